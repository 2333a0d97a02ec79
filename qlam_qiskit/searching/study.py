"""A study that processes and machines share: no trial of it is lost, and none counts twice, whoever dies when.

A *trial* of the study is one point and its training. Optuna numbers *attempts*: a trial has another one each time that
its process dies, which the storage then calls failed. What counts follows from the storage alone, by rules that each
process applies alike; the numbers, which the storage gives out one by one, decide where two did the same at once:

- Of attempts that repeat the same one, the first counts.
- Of first attempts, as many count as trials were asked for, the first ones.
- One that does not count is void: it is withdrawn before anything is trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.runs import Experiment
from qlam_qiskit.searching.methods import Method
from qlam_qiskit.searching.space import Dimension, Space, Value
from qlam_qiskit.searching.storage import Keeping, Worker
from qlam_qiskit.searching.training import best_first

MOST_DEATHS = 3  # of a trial's processes, after which it is the trial that is taken to kill them
# Attributes of an attempt.
_WORKER, _REPEATS, _VOID, _FAILURE, _STOPPED = "worker", "repeats", "void", "failure", "stopped"
_EXPERIMENT, _SPACE = "experiment", "space"  # of a study


class Standing(Enum):
    """How a trial stands."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"  # for a reason of its own
    RUNNING = "running"
    WAITING = "waiting"  # of a study whose process died, or that somebody put there


@dataclass(frozen=True)
class Entry:
    """A trial of a study.

    Attributes
    ----------
    ordinal
        Its place among the study's trials, from 0.
    attempts
        The first and those that repeated it, in order.
    """

    ordinal: int
    attempts: list[FrozenTrial]

    @property
    def number(self) -> int:
        """What it is called: its first attempt's number."""
        return self.attempts[0].number

    @property
    def last(self) -> FrozenTrial:
        """The attempt that counts."""
        return self.attempts[-1]

    @property
    def standing(self) -> Standing:
        """How it stands."""
        state = self.last.state
        if state is TrialState.FAIL:
            dead = sum(_STOPPED not in attempt.user_attrs for attempt in self.attempts)
            failed = _FAILURE in self.last.user_attrs or dead >= MOST_DEATHS
            return Standing.FAILED if failed else Standing.WAITING
        return Standing[state.name]

    @property
    def failure(self) -> str:
        """Why it failed."""
        return self.last.user_attrs.get(_FAILURE, f"its process died {MOST_DEATHS} times")


def entries(attempts: list[FrozenTrial]) -> list[Entry]:
    """Sort a study's attempts into its trials, without void ones."""
    by_number = sorted(attempts, key=lambda attempt: attempt.number)
    valid = [attempt for attempt in by_number if _VOID not in attempt.user_attrs]
    repeated: dict[int, FrozenTrial] = {}
    for attempt in valid:
        if _REPEATS in attempt.user_attrs:
            repeated.setdefault(attempt.user_attrs[_REPEATS], attempt)
    found = []
    for first in (attempt for attempt in valid if _REPEATS not in attempt.user_attrs):
        chain = [first]
        while chain[-1].number in repeated:
            chain.append(repeated[chain[-1].number])
        found.append(Entry(len(found), chain))
    return found


@dataclass(frozen=True)
class Taken:
    """A trial that this process is to train.

    Attributes
    ----------
    number
        What the trial is called, whichever attempt this is.
    ordinal
        Its place among the study's trials.
    trial
        The attempt, for Optuna.
    point
        A value for each dimension.
    """

    number: int
    ordinal: int
    trial: Trial
    point: dict[str, Value]


class Study:
    """What is known of a search, shared by all processes that work on it.

    Parameters
    ----------
    study
        Optuna's.
    keeping
        Its storage.
    experiment, space, method
        What is varied, over which values, and how.
    total
        How many trials the study is to have.
    """

    def __init__(
        self, study: optuna.Study, keeping: Keeping, experiment: Experiment, space: Space, method: Method, total: int
    ) -> None:
        self.study, self.keeping, self.space, self.total = study, keeping, space, total
        self._experiment, self._method = experiment, method
        self._grid = method.grid(space)
        if self._grid is not None:
            self.total = min(total, len(self._grid))

    @classmethod
    def open(
        cls, name: str, keeping: Keeping, experiment: Experiment, space: Space, method: Method, total: int
    ) -> Study:
        """Open a study, or begin it; raises ConfigurationError when it is of something else."""
        study = optuna.create_study(
            storage=keeping.storage,
            study_name=name,
            load_if_exists=True,
            direction="maximize",
            sampler=method.sampler(0),
            pruner=method.pruner,
        )
        said = experiment.model_dump(mode="json", exclude={"description": True, "training": {"checkpoint_seconds"}})
        now = {_EXPERIMENT: said, _SPACE: space.description()}
        then = study.user_attrs
        for what, value in now.items():
            if what not in then:
                study.set_user_attr(what, value)
            elif then[what] != value:
                keys = ", ".join(sorted(_differing(then[what], value)))
                raise ConfigurationError(
                    f"study {name} in {keeping.url}: of another {what} ({keys}); give this one a --name of its own"
                )
        return cls(study, keeping, experiment, space, method, total)

    def entries(self) -> list[Entry]:
        """Read the study's trials."""
        return entries(self.study.get_trials(deepcopy=False))

    def best(self) -> Entry | None:
        """Return the complete trial of the best value, of equals the first; None where none is complete."""
        complete = {e.number: e for e in self.entries() if e.standing is Standing.COMPLETE}
        ranked = best_first({number: entry.last.value for number, entry in complete.items()})
        return complete[ranked[0]] if ranked else None

    def take(self, worker: Worker) -> Taken | None:
        """Take a trial whose process died, one that waits, or a new one; None where there is none of these now."""
        while True:
            with self.keeping.alone():
                self._bury(worker)
                attempt = self._begin(worker)
                taken = None if attempt is None else self._settled(attempt)
            if attempt is None or taken is not None:
                return taken

    def is_done(self) -> bool:
        """Whether every trial has come to its end."""
        found = self.entries()
        return len(found) >= self.total and all(
            entry.standing not in (Standing.RUNNING, Standing.WAITING) for entry in found
        )

    def complete(self, taken: Taken, value: float) -> bool:
        """Keep a trial's value; returns False where another process took it up meanwhile, taking this one for dead."""
        return self._tell(taken.trial.number, TrialState.COMPLETE, value)

    def prune(self, taken: Taken) -> bool:
        """Keep that a trial was ended early; returns as :meth:`complete`."""
        return self._tell(taken.trial.number, TrialState.PRUNED)

    def fail(self, taken: Taken, reason: str) -> bool:
        """Keep that a trial cannot be trained; returns as :meth:`complete`."""
        return self._withdraw(taken, _FAILURE, reason)

    def stop(self, taken: Taken) -> bool:
        """Leave a trial for whoever goes on with the study; returns as :meth:`complete`."""
        return self._withdraw(taken, _STOPPED, True)

    def _withdraw(self, taken: Taken, attribute: str, value: Any) -> bool:
        try:
            taken.trial.set_user_attr(attribute, value)
        except UpdateFinishedTrialError:
            return False
        return self._tell(taken.trial.number, TrialState.FAIL)

    def _tell(self, number: int, state: TrialState, value: float | None = None) -> bool:
        try:
            self.study.tell(number, value, state)
        except (UpdateFinishedTrialError, ValueError):  # of a trial that is finished already
            return False
        return True

    def _bury(self, worker: Worker) -> None:
        """Fail the attempts of dead processes."""
        for attempt in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            name = attempt.user_attrs.get(_WORKER)
            if name is not None and worker.is_dead(name):
                self._end(attempt)
        if self.keeping.beats:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                fail_stale_trials(self.study)

    def _end(self, attempt: FrozenTrial) -> None:
        with suppress(UpdateFinishedTrialError):
            self.keeping.storage.set_trial_state_values(attempt._trial_id, TrialState.FAIL)

    def _begin(self, worker: Worker) -> int | None:
        """Begin an attempt in the storage, as this worker's from its first moment on; returns its id."""
        found, storage = self.entries(), self.keeping.storage
        for entry in found:
            if entry.standing is not Standing.WAITING:
                continue
            if entry.last.state is TrialState.WAITING:  # somebody put it there
                storage.set_trial_user_attr(entry.last._trial_id, _WORKER, worker.name)
                if storage.set_trial_state_values(entry.last._trial_id, TrialState.RUNNING):
                    return entry.last._trial_id
                continue
            attributes = {_WORKER: worker.name, _REPEATS: entry.last.number}
            params, distributions = entry.last.params, entry.last.distributions
            return self._create(create_trial(
                state=TrialState.RUNNING, params=params, distributions=distributions, user_attrs=attributes
            ))  # fmt: skip
        if len(found) >= self.total:
            return None
        return self._create(create_trial(state=TrialState.RUNNING, user_attrs={_WORKER: worker.name}))

    def _create(self, template: FrozenTrial) -> int:
        return self.keeping.storage.create_new_trial(self.study._study_id, template)

    def _settled(self, trial_id: int) -> Taken | None:
        """Give an attempt its point; None where it turns out not to count, which is then kept."""
        found = self.entries()
        mine = next((entry for entry in found if entry.last._trial_id == trial_id), None)
        if mine is None or mine.ordinal >= self.total:
            with suppress(UpdateFinishedTrialError):
                self.keeping.storage.set_trial_user_attr(trial_id, _VOID, True)
                self.keeping.storage.set_trial_state_values(trial_id, TrialState.FAIL)
            return None
        enqueued = "fixed_params" in mine.last.system_attrs  # by Optuna's enqueue_trial, which says the point
        for name, value in ({} if enqueued else self._prescribed(mine.ordinal)).items():
            if name not in mine.last.params:
                distribution = _distribution(self._dimension(name))
                internal = distribution.to_internal_repr(value)
                self.keeping.storage.set_trial_param(trial_id, name, internal, distribution)
        self.study.sampler = self._method.sampler(mine.ordinal)
        trial = Trial(self.study, trial_id)
        point = {dimension.name: _suggest(trial, dimension) for dimension in self.space.dimensions}
        return Taken(mine.number, mine.ordinal, trial, point)

    def _prescribed(self, ordinal: int) -> Mapping[str, Value]:
        """Return the point of a trial that no sampler chooses: one of a grid, or the experiment's own, the first."""
        if self._grid is not None:
            return self._grid[ordinal]
        return (self.space.own_point(self._experiment) or {}) if ordinal == 0 else {}

    def _dimension(self, name: str) -> Dimension:
        return next(dimension for dimension in self.space.dimensions if dimension.name == name)


def _distribution(dimension: Dimension) -> BaseDistribution:
    settings = dimension.settings
    if (labels := dimension.labels) is not None:
        return CategoricalDistribution(list(labels))
    if settings.int is not None:
        return IntDistribution(*dimension.bounds, log=settings.log, step=int(settings.step or 1))
    return FloatDistribution(*dimension.bounds, log=settings.log, step=settings.step)


def _suggest(trial: Trial, dimension: Dimension) -> Value:
    distribution = _distribution(dimension)
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(dimension.name, distribution.choices)
    suggest = trial.suggest_int if isinstance(distribution, IntDistribution) else trial.suggest_float
    step = {} if distribution.step is None else {"step": distribution.step}
    return suggest(dimension.name, distribution.low, distribution.high, log=distribution.log, **step)


def _differing(one: Any, other: Any, key: str = "") -> set[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return set().union(*(
            _differing(one.get(name), other.get(name), f"{key}.{name}" if key else name) for name in one.keys() | other
        ))  # fmt: skip
    return set() if one == other else {key}
