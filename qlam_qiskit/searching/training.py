"""Trains the experiment of one trial, looking at validation samples only, and says which trial is best."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from qlam_qiskit.errors import BusyError
from qlam_qiskit.runs import Experiment
from qlam_qiskit.training import Interrupted, Reporter, train_on

Key = TypeVar("Key", int, float)
ACCURACY, NRMSE = "validation_accuracy", "validation_nrmse"  # what trials are compared by; of regression the latter
_POLL_SECONDS = 0.5


def format_metric(metric: str, value: float, samples: str = "validation samples") -> str:
    """Say how good a training is on some samples."""
    return f"NRMSE {value:.4f} on {samples}" if metric == NRMSE else f"{value:.2%} of {samples}"


def train_trial(
    experiment: Experiment,
    name: str,
    out: Path,
    reporter: Reporter,
    *,
    metric: str = ACCURACY,
    data_dir: Path | None = None,
    backends: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train an experiment in the folder ``out``, from wherever it was left there; the test set is not looked at.

    Returns ``metric``, ``ACCURACY`` (a fraction) or ``NRMSE``, of its best epoch, ``parameters`` and ``train_seconds``.
    Raises BusyError when another process is training there, and what :func:`~qlam_qiskit.training.train_on` raises.
    """
    options = {"data_dir": data_dir, "backends": backends, "should_stop": should_stop}
    folder, cost = train_on(experiment, name, reporter, out, test=False, **options)
    best = (min if metric == NRMSE else max)(row[metric] for row in folder.metrics())
    return {metric: best, **{key: cost[key] for key in ("parameters", "train_seconds")}}


def best_first(accuracies: Mapping[Key, float | None]) -> list[Key]:
    """Sort trials by validation accuracy, the best first, of equals the smallest; those that have none are left out.

    This is the choice of every search in the package; the test set has no part in it.
    """
    trained = {key: accuracy for key, accuracy in accuracies.items() if accuracy is not None}
    return sorted(trained, key=lambda key: (-trained[key], key))


def when_free(work: Callable[[], dict[str, Any]], should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Do what another process may still be at, once it is not; raises Interrupted when told to stop before."""
    while True:
        try:
            return work()
        except BusyError:
            if should_stop():
                raise Interrupted("interrupted") from None
            time.sleep(_POLL_SECONDS)
