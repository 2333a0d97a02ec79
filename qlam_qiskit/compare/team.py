"""Where the trainings of a comparison run: in this process one after the other, or in those of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from qlam_qiskit.cluster import Cluster
from qlam_qiskit.compare.planning import Job
from qlam_qiskit.compare.training import Bench, run_job
from qlam_qiskit.errors import QlamError
from qlam_qiskit.progress import EpochLines
from qlam_qiskit.training import Reporter

# Follows the training of one job: entered when it starts.
Follow = Callable[[Job], AbstractContextManager[Reporter]]


@dataclass(frozen=True)
class Team:
    """Trains jobs.

    Attributes
    ----------
    bench
        Where run folders and data are.
    follow
        Hears of a training in this process.
    say
        Hears lines.
    should_stop
        Asked after each step.
    cluster
        The processes that train, where it is not this one.
    """

    bench: Bench
    follow: Follow
    say: Callable[[str], None]
    should_stop: Callable[[], bool]
    cluster: Cluster | None = None

    @property
    def size(self) -> int:
        """How many jobs are trained at a time."""
        return 1 if self.cluster is None else max(1, len(self.cluster.workers))

    def train(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, dict[str, Any] | QlamError]]:
        """Train jobs, each asked for when it can begin; yields a job with what its record says, or its error."""
        if self.cluster is not None:
            calls = ((job, self.bench) for job in jobs)
            found = self.cluster.run(train_elsewhere, calls, say=self.say, should_stop=self.should_stop)
            yield from ((job, outcome) for (job, _), outcome in found)
            return
        for job in jobs:
            try:
                with self.follow(job) as reporter:
                    outcome: dict[str, Any] | QlamError = run_job(job, self.bench, reporter, self.should_stop)
            except QlamError as error:
                outcome = error
            yield job, outcome


def train_elsewhere(
    job: Job, bench: Bench, *, say: Callable[[str], None], should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """Train a job in a process of a cluster."""
    return run_job(job, bench, EpochLines(job.name, job.experiment.training.epochs, say), should_stop)
