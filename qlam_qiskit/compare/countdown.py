"""Counts the trainings of a comparison, and estimates how long those that are left will take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from qlam_qiskit.compare.planning import Job
from qlam_qiskit.compare.settings import Comparison
from qlam_qiskit.words import span


class Countdown:
    """How many trainings were reached, of how many, and what this process has learned of their pace.

    Parameters
    ----------
    comparison
        What is run.
    models
        Which of its models.
    seeds
        The seeds that were asked for; None for those of the comparison.
    cases
        How many tasks.
    samples
        Training samples of one task.
    """

    def __init__(
        self, comparison: Comparison, models: Sequence[str], seeds: Sequence[int] | None, cases: int, samples: int
    ) -> None:
        search, training = comparison.search, comparison.training
        self._comparison, self._models = comparison, len(models)
        short, full = search.epochs * min(search.train_limit, samples), training.epochs * samples
        searched = len(search.multipliers) > 1
        # Whose weights the search leaves: a final run of the first seed is then only tested.
        self._tested = searched and (search.confirm or not search.epochs)
        self.finalists = (2 if search.epochs else len(search.multipliers)) * self._models if self._tested else 0
        self.contenders = 0
        if seeds is None:
            self.contenders = min(self._models, 1 + comparison.contenders) * (len(comparison.seeds) - 1)
        trials = 0
        if searched and search.epochs:
            alternatives = (comparison.models[name].alternatives.values() for name in models)
            trials = len(search.multipliers) * self._models
            trials += sum(len(values) for of_model in alternatives for values in of_model)
        firsts = self._models * len(seeds or comparison.seeds[:1])
        counts = {"trial": trials, "finalist": self.finalists, "first": firsts, "further": self.contenders}
        self._left = {kind: count * cases for kind, count in counts.items()}
        self._samples = {"trial": short, "finalist": full, "first": 0 if self._tested else full, "further": full}
        self.reached = self.trained = 0
        self._began: dict[str, float] = {}
        self._pace: list[float] = [0.0, 0.0]  # seconds, and samples that passed in them

    def reach(self, job: Job) -> None:
        """Come to a training, finished before or not."""
        self.reached += 1
        self._left[self._kind(job)] -= 1

    def correct(self, kind: str, expected: int, found: int) -> None:
        """Replace what was expected of one task by what the search has decided."""
        self._left[kind] += found - expected

    def begin(self, job: Job) -> None:
        """Take the time at which a training begins."""
        self._began[job.name] = time.monotonic()

    def end(self, job: Job) -> None:
        """Learn from a training that has ended."""
        self.trained += 1
        self._pace[0] += time.monotonic() - self._began.pop(job.name)
        self._pace[1] += self._samples[self._kind(job)]

    def describe(self, job: Job, at_once: int = 1) -> str:
        """Say which training this is, of how many, and what is to do yet, this one included, so many at a time."""
        text = f"training {self.reached} of {self.reached + sum(self._left.values())}: {job.name}"
        seconds, samples = self._pace
        if not samples:
            return text
        left = sum(count * self._samples[kind] for kind, count in self._left.items())
        left += self._samples[self._kind(job)]
        return f"{text}, about {span(left * seconds / samples / at_once)} left"

    def _kind(self, job: Job) -> str:
        if job.stage != "final":
            return job.stage
        return "first" if job.experiment.seed == self._comparison.seeds[0] or not self.contenders else "further"
