"""Runs a comparison: the search for each model's rate, one seed of every model, then the seeds that decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from qlam_qiskit.cluster import Cluster
from qlam_qiskit.compare.countdown import Countdown
from qlam_qiskit.compare.metric import metric_of
from qlam_qiskit.compare.planning import Job, Plan
from qlam_qiskit.compare.records import Records
from qlam_qiskit.compare.search import Search
from qlam_qiskit.compare.settings import Comparison
from qlam_qiskit.compare.tables import write_tables
from qlam_qiskit.compare.team import Follow, Team
from qlam_qiskit.compare.training import Bench
from qlam_qiskit.engine import open_device
from qlam_qiskit.errors import BusyError, ConfigurationError, Interrupted, QlamError
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.workspace import workspace, write_file

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Choice:
    """Which part of a comparison to run; None is everything."""

    models: Sequence[str] | None = None
    seeds: Sequence[int] | None = None
    cases: Sequence[str] | None = None

    def check(self, comparison: Comparison) -> None:
        """Raise ConfigurationError for a model or a case that the comparison does not have."""
        for model in self.models or ():
            if model not in comparison.models:
                raise ConfigurationError(f"--models: {model!r} is none of {', '.join(comparison.models)}")
        if self.cases and comparison.vary is None:
            raise ConfigurationError("--cases: this comparison has only one; it varies no key")
        names = [case.name for case in comparison.cases()]
        for case in self.cases or ():
            if case not in names:
                raise ConfigurationError(f"--cases: {case!r} is none of {', '.join(names)}")

    def includes(self, case: str) -> bool:
        """Whether a case belongs to it."""
        return self.cases is None or case in self.cases


EVERYTHING = Choice()


def compare(
    comparison: Comparison,
    name: str,
    follow: Follow,
    *,
    out: Path,
    choice: Choice = EVERYTHING,
    data_dir: Path | None = None,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
    cluster: Cluster | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Records:
    """Train what is not finished yet, here or in the processes of a cluster, and write records and tables into ``out``.

    With ``device`` "cuda" memories and baselines run on the current GPU, in full single precision.
    However this ends, calling it again continues: finished jobs are read, interrupted ones resumed from their run
    folders in the workspace. A run that fails does not keep the others from running. Several processes that call it at
    once share the jobs: each run is trained by whoever holds the lock of its folder.

    Raises ConfigurationError when a record in ``out`` is of another configuration, and QlamError when a run failed.
    """
    choice.check(comparison)
    open_device(device)  # or refused, before anything is written
    bench = Bench(workspace() / "compare" / name, data_dir, comparison.threads, device)
    team = Team(bench, follow, say, should_stop, cluster)
    runner = _Runner(comparison, name, team, Records(out), choice)
    resolved = dump_yaml(comparison.model_dump(exclude_none=True))
    write_file(out / "comparison.yaml", resolved, parents=True)
    plans = [Plan(comparison, case, data_dir) for case in comparison.cases() if choice.includes(case.name)]
    models = choice.models or list(comparison.models)
    runner.countdown = Countdown(comparison, models, choice.seeds, len(plans), len(plans[0].data.train))
    try:
        for plan in plans:
            runner.run(plan)
    except Interrupted:
        raise Interrupted("interrupted; the state is saved, and the same command continues") from None
    if not runner.countdown.trained:
        say(f"nothing was trained: {out} has the records of all {runner.countdown.reached} trainings already")
    if runner.failed:
        raise QlamError("failed: " + "; ".join(f"{name}: {why}" for name, why in runner.failed.items()))
    return runner.records


@dataclass
class _Runner:
    comparison: Comparison
    name: str
    team: Team
    records: Records
    choice: Choice
    countdown: Countdown = field(init=False)

    def __post_init__(self) -> None:
        self.metric = metric_of(self.comparison)
        self.failed: dict[str, str] = {}  # jobs, or models that no rate trains, and why

    def run(self, plan: Plan) -> None:
        """Run one case."""
        models = list(self.choice.models or self.comparison.models)
        searches = [Search(plan, self.records, model) for model in models]
        for steps in zip_longest(*(search.steps() for search in searches), fillvalue=()):
            self._each([job for trials in steps for job in trials])
        finalists = [job for search in searches for job in search.finalists()]
        self.countdown.correct("finalist", self.countdown.finalists, len(finalists))
        self._each(finalists)
        self._finals(plan, models, self.choice.seeds or self.comparison.seeds[:1])
        if self.choice.seeds is None and len(self.comparison.seeds) > 1:
            deciding = [model for model in self._deciding(plan) if model in models]
            further = self.comparison.seeds[1:]
            self.countdown.correct("further", self.countdown.contenders, len(deciding) * len(further))
            self._finals(plan, deciding, further)

    def _finals(self, plan: Plan, models: Sequence[str], seeds: Sequence[int]) -> None:
        found = {model: Search(plan, self.records, model).found() for model in models}
        self.failed |= {model: "no rate of the search trains it" for model, one in found.items() if one is None}
        jobs = [
            plan.final(model, one.multiplier, seed, one.variant)
            for seed in seeds
            for model, one in found.items()
            if one is not None
        ]
        self._each(jobs)

    def _each(self, jobs: Sequence[Job]) -> None:
        """Train the unfinished jobs that no other process is at, then wait for those that one is at."""
        waiting, first = list(jobs), True
        while waiting:
            busy: list[Job] = []
            stopped: list[QlamError] = []
            for job, outcome in self.team.train(self._unfinished(waiting, first, busy, stopped)):
                if isinstance(outcome, BusyError):
                    busy.append(job)
                elif isinstance(outcome, Interrupted | ConfigurationError):
                    stopped.append(outcome)
                elif self.records.find(job) is None:
                    self.countdown.end(job)
                    self._keep(job, outcome)
            if stopped:
                raise stopped[0]
            if busy:
                if self.team.should_stop():
                    raise Interrupted("interrupted")
                time.sleep(_POLL_SECONDS)
            waiting, first = busy, False

    def _unfinished(
        self, jobs: Sequence[Job], first: bool, busy: list[Job], stopped: Sequence[QlamError]
    ) -> Iterator[Job]:
        """Yield the jobs to begin, until something has stopped the work; those of other processes become ``busy``."""
        for job in jobs:
            if stopped:
                return
            if first:
                self.countdown.reach(job)
            if job.name in self.failed or self.records.find(job) is not None:
                continue
            if self.team.bench.is_busy(job):
                busy.append(job)
                continue
            self.team.say(self.countdown.describe(job, self.team.size))
            self.countdown.begin(job)
            yield job

    def _keep(self, job: Job, outcome: dict[str, Any] | QlamError) -> None:
        """Write the record of a job that has ended, and say how it went."""
        failure = str(outcome) if isinstance(outcome, QlamError) else None
        if job.stage == "final":
            if failure is not None:
                self.failed[job.name] = failure
                self.team.say(f"{job.name}: {failure}")
                return
            self.records.write(job, outcome)
            write_tables(self.comparison, self.name, self.records)
            self.team.say(
                f"{job.name}: {self.metric.said(outcome[self.metric.test], 'test samples')}, "
                f"{outcome['parameters']:,} parameters, {outcome['train_seconds']:.0f} s"
            )
            return
        if failure is not None:  # a rate so high that the loss is not finite
            outcome = {self.metric.validation: None, "failure": failure}
        self.records.write(job, outcome)
        value = outcome[self.metric.validation]
        said = "failed" if value is None else self.metric.said(value, "validation samples")
        self.team.say(f"{job.name}: {said}")

    def _deciding(self, plan: Plan) -> list[str]:
        """Name the models that get further seeds; baselines only once the first seed of all of them is finished."""
        reference = self.comparison.reference
        scores, missing = {}, []
        for model in self.comparison.baselines:
            found, job = Search(plan, self.records, model).found(), None
            if found is not None:
                job = plan.final(model, found.multiplier, self.comparison.seeds[0], found.variant)
            record = None if job is None else self.records.find(job)
            if record is not None:
                scores[model] = self.metric.score(record[self.metric.validation])
            elif model not in self.failed and (job is None or job.name not in self.failed):
                missing.append(model)
        if missing:
            self.team.say(f"which baselines get further seeds is decided when {', '.join(missing)} have run")
            return [reference]
        return [reference, *sorted(scores, key=lambda model: -scores[model])[: self.comparison.contenders]]
