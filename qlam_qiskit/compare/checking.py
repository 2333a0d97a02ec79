"""Trains recorded runs again, from their recorded configurations, and says whether the same numbers come out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from qlam_qiskit.cluster import Cluster
from qlam_qiskit.compare.metric import Metric, metric_of
from qlam_qiskit.compare.planning import Job, Plan
from qlam_qiskit.compare.records import Records, machine
from qlam_qiskit.compare.running import EVERYTHING, Choice
from qlam_qiskit.compare.settings import Comparison
from qlam_qiskit.compare.team import Follow, Team
from qlam_qiskit.compare.training import Bench
from qlam_qiskit.engine import open_device
from qlam_qiskit.errors import ConfigurationError, Interrupted, QlamError
from qlam_qiskit.workspace import workspace


def check_records(
    comparison: Comparison,
    name: str,
    follow: Follow,
    *,
    out: Path,
    tolerance: float = 0.0,
    choice: Choice = EVERYTHING,
    data_dir: Path | None = None,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
    cluster: Cluster | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> list[dict[str, Any]]:
    """Train the recorded runs of ``out`` again and compare them, writing nothing there; the search is not repeated.

    Everything is trained afresh, in the workspace's folder ``check``; only a check that was interrupted is continued,
    and ``say`` names what it had finished. Raises ConfigurationError when a record is not what the comparison says now,
    and QlamError when a test accuracy differs by more than ``tolerance`` percentage points, or an NRMSE by more than
    ``tolerance``; at zero tolerance when any metric or any answer differs.
    """
    choice.check(comparison)
    open_device(device)
    records = Records(out)
    recorded = [
        record
        for record in records.runs()
        if (choice.models is None or record["model"] in choice.models)
        and (choice.seeds is None or record["seed"] in choice.seeds)
        and choice.includes(record["case"])
    ]
    if not recorded:
        raise ConfigurationError(f"{out}: no recorded runs to check")
    runs = workspace() / "check" / name
    ended = runs / "ended"
    if ended.exists():
        shutil.rmtree(runs)
    plans = {case.name: Plan(comparison, case, data_dir) for case in comparison.cases()}
    jobs, old = [], {}
    for record in recorded:
        case, model = record["case"], record["model"]
        if case not in plans or model not in comparison.models:
            raise ConfigurationError(f"{out}: holds a run of {case} {model}, which {name} does not have")
        variant = record.get("variant", {})
        if not comparison.models[model].holds(variant):
            raise ConfigurationError(f"{out}: holds a run of {model} with {variant}, which {name} does not list")
        job = plans[case].final(model, record["multiplier"], record["seed"], variant)
        records.find(job)
        jobs.append(job)
        old[job.name] = record
    team = Team(Bench(runs, data_dir, comparison.threads, device), follow, say, should_stop, cluster)
    metric = metric_of(comparison)
    found = _trained_again(jobs, old, team, metric)
    ended.touch()
    different = [one["run"] for one in found if not _agrees(one, tolerance, metric)]
    if different:
        raise QlamError(f"{len(different)} of {len(found)} runs differ from {out}: {', '.join(different)}")
    return found


def _trained_again(jobs: list[Job], old: dict[str, dict[str, Any]], team: Team, metric: Metric) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    failure: QlamError | None = None

    def begun() -> Iterator[Job]:
        for job in jobs:
            if failure is not None:
                return
            if team.bench.is_finished(job):
                team.say(f"{job.name}: trained before this check was interrupted")
            yield job

    for job, outcome in team.train(begun()):
        if isinstance(outcome, QlamError):
            failure = failure or outcome
            continue
        found[job.name] = _compared(job, old[job.name], outcome, metric)
        team.say(_sentence(found[job.name], metric))
    if isinstance(failure, Interrupted):
        raise Interrupted("interrupted; the state is saved, and the same command continues")
    if failure is not None:
        raise failure
    return [found[job.name] for job in jobs]


def _compared(job: Job, old: dict[str, Any], new: dict[str, Any], metric: Metric) -> dict[str, Any]:
    then, now = metric.of_samples(old), metric.of_samples(new)
    return {
        "run": job.name,
        "recorded": old[metric.test],
        "now": new[metric.test],
        "same_metrics": _numbers(old.get("metrics", [])) == _numbers(new["metrics"]),
        "different_answers": int((then != now).sum()) if then.shape == now.shape else None,
        "processors": [machine(old), machine(new)],
    }


def _numbers(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in metrics]


def _agrees(one: dict[str, Any], tolerance: float, metric: Metric) -> bool:
    if one["same_metrics"] and one["different_answers"] == 0:
        return True
    return tolerance > 0 and abs(metric.gain(one["recorded"], one["now"])) <= tolerance


def _sentence(one: dict[str, Any], metric: Metric) -> str:
    if one["same_metrics"] and one["different_answers"] == 0:
        return f"{one['run']}: the same numbers"
    then, now = one["processors"]
    reason = "" if then == now else f" (recorded on {then}, run on {now}: rounding differs)"
    return (
        f"{one['run']}: {metric.said(one['now'], 'test samples')}, recorded {metric.written(one['recorded'])}; "
        f"{one['different_answers']} answers differ{reason}"
    )
