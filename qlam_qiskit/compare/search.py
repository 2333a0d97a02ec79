"""A model's search in a comparison: how far its records go, what is to be trained next, and what they decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qlam_qiskit.compare.metric import metric_of
from qlam_qiskit.compare.planning import Job, Plan
from qlam_qiskit.compare.records import Records
from qlam_qiskit.searching import best_first


@dataclass(frozen=True)
class Found:
    """What a search has decided: the factor of both rates, and the alternatives that are taken."""

    multiplier: float
    variant: Mapping[str, Any] = field(default_factory=dict)


class Search:
    """The search of one model: rates, then its alternatives one key after the other, then the finalists.

    Parameters
    ----------
    plan
        The case.
    records
        What was trained.
    model
        Whose search it is.
    """

    def __init__(self, plan: Plan, records: Records, model: str) -> None:
        self._plan, self._records, self._model = plan, records, model
        self._settings = plan.comparison.search

    def steps(self) -> Iterator[list[Job]]:
        """Yield the trials step by step: those of one are to be run before the next is asked for."""
        taken = 0
        while taken < len(steps := self._walk().steps):
            yield steps[taken]
            taken += 1

    def finalists(self) -> list[Job]:
        """List the trainings in full that decide; none where trials do, or while these are not finished."""
        return self._finalists(self._walk()) if self._is_searched else []

    def _finalists(self, walk: _Walk) -> list[Job]:
        if not self._settings.epochs:
            return [self._plan.finalist(self._model, multiplier) for multiplier in self._settings.multipliers]
        if not self._settings.confirm or not walk.ranked or not walk.ended:
            return []
        best = walk.ranked[0]
        next_smaller = sorted(multiplier for multiplier in walk.ranked if multiplier < best)[-1:]
        return [self._plan.finalist(self._model, multiplier, walk.variant) for multiplier in (best, *next_smaller)]

    def found(self) -> Found | None:
        """Return what does best on validation samples, of equals the smallest rate.

        It is None when no rate trains the model, or when its search is not finished.
        """
        if not self._is_searched:
            return Found(self._settings.multipliers[0])
        walk = self._walk()
        finalists = self._finalists(walk)
        ranked = _ranked(finalists, self._scores(finalists)) if finalists else walk.ranked
        return Found(ranked[0], walk.variant) if ranked and walk.ended else None

    @property
    def _is_searched(self) -> bool:
        return len(self._settings.multipliers) > 1

    def _walk(self) -> _Walk:
        """Follow the trials as far as their records go."""
        trials = self._plan.trials(self._model) if self._is_searched else []
        scores = self._scores(trials)
        walk = _Walk([trials], _ranked(trials, scores), ended=scores is not None)
        if scores is None or not walk.ranked:
            return walk
        best = max(score for score in scores if score is not None)
        for key, values in self._plan.comparison.models[self._model].alternatives.items():
            variants = [{**walk.variant, key: value} for value in values]
            # Beside one taken before, such as both directions, another may have no size within the budget.
            fitting = [variant for variant in variants if not walk.variant or self._plan.fits(self._model, variant)]
            jobs = [self._plan.trial(self._model, walk.ranked[0], variant) for variant in fitting]
            walk.steps.append(jobs)
            scores = self._scores(jobs)
            if scores is None:
                walk.ended = False
                break
            for place in best_first(dict(enumerate(scores)))[:1]:
                if scores[place] > best:
                    best, walk.variant = scores[place], jobs[place].variant
        return walk

    def _scores(self, jobs: Sequence[Job]) -> list[float | None] | None:
        """Return how good jobs are on validation samples, the higher the better; None of one that failed.

        It is None until all of them have ended.
        """
        records = [self._records.find(job) for job in jobs]
        if None in records:
            return None
        metric = metric_of(self._plan.comparison)
        return [metric.score(record.get(metric.validation)) for record in records]


def _ranked(jobs: Sequence[Job], scores: Sequence[float | None] | None) -> list[float]:
    """Return the rates of jobs that could be trained, the best first; none until all of them have ended."""
    if scores is None:
        return []
    return best_first(dict(zip((job.multiplier for job in jobs), scores, strict=True)))


@dataclass
class _Walk:
    """Trials by steps, the last perhaps not run, and what the others say: rates, the best first, and variant."""

    steps: list[list[Job]]
    ranked: list[float]
    variant: Mapping[str, Any] = field(default_factory=dict)
    ended: bool = True
