"""Runs a comparison: the search for each model's rate, one seed of every model, then the seeds that decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from qlam_qiskit.compare.claims import claimed
from qlam_qiskit.compare.planning import Job, Plan
from qlam_qiskit.compare.process import training_process
from qlam_qiskit.compare.records import Records
from qlam_qiskit.compare.settings import Comparison
from qlam_qiskit.compare.tables import write_tables
from qlam_qiskit.compare.training import Bench, run_final, run_trial
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.train import Interrupted, Reporter
from qlam_qiskit.workspace import workspace, write_atomically

# Follows the training of one job: entered when it starts.
Follow = Callable[[Job], AbstractContextManager[Reporter]]


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
) -> Records:
    """Train what is not finished yet, and write records and tables into ``out``.

    However this ends, calling it again continues: finished jobs are read, interrupted ones resumed from their run
    folders in the workspace. A run that fails does not keep the others from running. Several processes that call it at
    once share the jobs.

    Raises ConfigurationError when a record in ``out`` is of another configuration, and QlamError when a run failed.
    """
    choice.check(comparison)
    runner = _Runner(comparison, name, follow, Records(out), choice, data_dir, say, should_stop)
    out.mkdir(parents=True, exist_ok=True)
    resolved = dump_yaml(comparison.model_dump(exclude_none=True))
    write_atomically(out / "comparison.yaml", resolved)
    try:
        with training_process(comparison.threads):
            for case in comparison.cases():
                if choice.includes(case.name):
                    runner.run(Plan(comparison, case, data_dir))
    except Interrupted:
        raise Interrupted("interrupted; the state is saved, and the same command continues") from None
    if runner.failed:
        raise QlamError("failed: " + "; ".join(f"{name}: {why}" for name, why in runner.failed.items()))
    return runner.records


@dataclass
class _Runner:
    comparison: Comparison
    name: str
    follow: Follow
    records: Records
    choice: Choice
    data_dir: Path | None
    say: Callable[[str], None]
    should_stop: Callable[[], bool]

    def __post_init__(self) -> None:
        self.failed: dict[str, str] = {}  # jobs, or models that no rate trains, and why
        runs = workspace() / "compare" / self.name
        self._bench = Bench(runs, self.data_dir, self.comparison.threads)

    def run(self, plan: Plan) -> None:
        """Run one case."""
        models = list(self.choice.models or self.comparison.models)
        if len(self.comparison.search.multipliers) > 1:
            self._each([job for model in models for job in plan.trials(model)], self._search)
            self._each([job for model in models for job in self._finalists(plan, model)], self._search)
        self._finals(plan, models, self.choice.seeds or self.comparison.seeds[:1])
        if self.choice.seeds is None and len(self.comparison.seeds) > 1:
            self._finals(plan, [model for model in self._deciding(plan) if model in models], self.comparison.seeds[1:])

    def _finals(self, plan: Plan, models: Sequence[str], seeds: Sequence[int]) -> None:
        rates = {model: self._rate(plan, model) for model in models}
        self.failed |= {model: "no rate of the search trains it" for model, rate in rates.items() if rate is None}
        jobs = [plan.final(model, rate, seed) for seed in seeds for model, rate in rates.items() if rate is not None]
        self._each(jobs, lambda job: self._final(job, plan))

    def _each(self, jobs: list[Job], work: Callable[[Job], None]) -> None:
        """Work on the unfinished jobs that no other process is at, then wait for those that one is at."""
        for wait in (False, True):
            for job in jobs:
                if self.records.find(job) is not None:
                    continue
                with claimed(job, self._bench.runs, wait=wait, should_stop=self.should_stop) as mine:
                    if mine and job.name not in self.failed and self.records.find(job) is None:
                        work(job)

    def _rate(self, plan: Plan, model: str) -> float | None:
        """Return the multiplier of best validation accuracy, of equals the smallest.

        It is None when none trains the model, or when its search is not finished.
        """
        multipliers = self.comparison.search.multipliers
        if len(multipliers) == 1:
            return multipliers[0]
        finalists = self._finalists(plan, model)
        return next(iter(self._ranked(finalists or plan.trials(model))), None)

    def _finalists(self, plan: Plan, model: str) -> list[Job]:
        """Return the finalists of a model's search; none where its trials decide or are not finished."""
        search, ranked = self.comparison.search, self._ranked(plan.trials(model))
        if not search.epochs:
            return [plan.finalist(model, multiplier) for multiplier in search.multipliers]
        if not search.confirm or not ranked:
            return []
        next_smaller = sorted(multiplier for multiplier in ranked if multiplier < ranked[0])[-1:]
        return [plan.finalist(model, multiplier) for multiplier in (ranked[0], *next_smaller)]

    def _ranked(self, jobs: Sequence[Job]) -> list[float]:
        """Return the multipliers of jobs that could be trained, the best first; none until all of them have ended."""
        records = {job.multiplier: self.records.find(job) for job in jobs}
        if None in records.values():
            return []
        found = {multiplier: record["validation_accuracy"] for multiplier, record in records.items()}
        trained = [multiplier for multiplier, accuracy in found.items() if accuracy is not None]
        return sorted(trained, key=lambda multiplier: (-found[multiplier], multiplier))

    def _search(self, job: Job) -> None:
        try:
            with self.follow(job) as reporter:
                record = run_trial(job, self._bench, reporter, self.should_stop)
        except (Interrupted, ConfigurationError):
            raise
        except QlamError as error:  # a rate so high that the loss is not finite
            record = {"validation_accuracy": None, "failure": str(error)}
        self.records.write(job, record)
        accuracy = record["validation_accuracy"]
        self.say(f"{job.name}: " + ("failed" if accuracy is None else f"{accuracy:.2%} of validation samples"))

    def _final(self, job: Job, plan: Plan) -> None:
        try:
            with self.follow(job) as reporter:
                record = run_final(job, plan.data, self._bench, reporter, self.should_stop)
        except (Interrupted, ConfigurationError):
            raise
        except QlamError as error:
            self.failed[job.name] = str(error)
            self.say(f"{job.name}: {error}")
            return
        self.records.write(job, record)
        write_tables(self.comparison, self.name, self.records)
        self.say(
            f"{job.name}: {record['test_accuracy']:.2%} of test samples, {record['parameters']:,} parameters, "
            f"{record['train_seconds']:.0f} s"
        )

    def _deciding(self, plan: Plan) -> list[str]:
        """Name the models that get further seeds; baselines only once the first seed of all of them is finished."""
        reference = self.comparison.reference
        baselines = [model for model in self.comparison.models if model != reference]
        scores, missing = {}, []
        for model in baselines:
            rate = self._rate(plan, model)
            job = None if rate is None else plan.final(model, rate, self.comparison.seeds[0])
            record = None if job is None else self.records.find(job)
            if record is not None:
                scores[model] = record["validation_accuracy"]
            elif model not in self.failed and (job is None or job.name not in self.failed):
                missing.append(model)
        if missing:
            self.say(f"which baselines get further seeds is decided when {', '.join(missing)} have run")
            return [reference]
        return [reference, *sorted(scores, key=lambda model: -scores[model])[: self.comparison.contenders]]
