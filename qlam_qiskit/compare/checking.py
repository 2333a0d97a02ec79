"""Trains recorded runs again, from their recorded configurations, and says whether the same numbers come out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qlam_qiskit.compare.planning import Job, Plan
from qlam_qiskit.compare.process import training_process
from qlam_qiskit.compare.records import Records, environment, unpack
from qlam_qiskit.compare.running import EVERYTHING, Choice, Follow
from qlam_qiskit.compare.settings import Comparison
from qlam_qiskit.compare.training import Bench, run_final
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.train import Interrupted
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
) -> list[dict[str, Any]]:
    """Train the recorded runs of ``out`` again and compare them, writing nothing there; the search is not repeated.

    The runs are kept in the workspace's folder ``check``, from which an interrupted check continues. Raises
    ConfigurationError when a record is not what the comparison says now, and QlamError when a test accuracy differs by
    more than ``tolerance`` percentage points, or at zero tolerance when any metric or any answer differs.
    """
    choice.check(comparison)
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
    plans = {case.name: Plan(comparison, case, data_dir) for case in comparison.cases()}
    found = []
    for old in recorded:
        if old["case"] not in plans or old["model"] not in comparison.models:
            raise ConfigurationError(f"{out}: holds a run of {old['case']} {old['model']}, which {name} does not have")
        plan = plans[old["case"]]
        job = plan.final(old["model"], old["multiplier"], old["seed"])
        records.find(job)
        found.append(_compare(job, old, plan, name, follow, data_dir, should_stop))
        say(_sentence(found[-1]))
    different = [one["run"] for one in found if not _agrees(one, tolerance)]
    if different:
        raise QlamError(f"{len(different)} of {len(found)} runs differ from {out}: {', '.join(different)}")
    return found


def _compare(
    job: Job,
    old: dict[str, Any],
    plan: Plan,
    name: str,
    follow: Follow,
    data_dir: Path | None,
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    bench = Bench(workspace() / "check" / name, data_dir, plan.comparison.threads)
    try:
        with training_process(plan.comparison.threads), follow(job) as reporter:
            new = run_final(job, plan.data, bench, reporter, should_stop)
    except Interrupted:
        raise Interrupted("interrupted; the state is saved, and the same command continues") from None
    then, now = unpack(old["correct"]), unpack(new["correct"])
    return {
        "run": job.name,
        "recorded": old["test_accuracy"],
        "now": new["test_accuracy"],
        "same_metrics": _numbers(old.get("metrics", [])) == _numbers(new["metrics"]),
        "different_answers": int((then != now).sum()) if then.shape == now.shape else None,
        "processors": [old.get("environment", {}).get("processor", "unknown"), environment({})["processor"]],
    }


def _numbers(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in metrics]


def _agrees(one: dict[str, Any], tolerance: float) -> bool:
    if one["same_metrics"] and one["different_answers"] == 0:
        return True
    return tolerance > 0 and abs(one["recorded"] - one["now"]) <= tolerance / 100


def _sentence(one: dict[str, Any]) -> str:
    if one["same_metrics"] and one["different_answers"] == 0:
        return f"{one['run']}: the same numbers"
    then, now = one["processors"]
    reason = "" if then == now else f" (recorded on {then}, run on {now}: rounding differs)"
    return (
        f"{one['run']}: {one['now']:.2%} of test samples, recorded {one['recorded']:.2%}; "
        f"{one['different_answers']} answers differ{reason}"
    )
