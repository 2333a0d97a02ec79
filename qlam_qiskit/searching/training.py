"""Trains the experiment of one trial, looking at validation samples only, and says which trial is best."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from qlam_qiskit.errors import BusyError, ConfigurationError
from qlam_qiskit.runs import Experiment
from qlam_qiskit.training import Interrupted, Reporter, train_on

Key = TypeVar("Key", int, float)
_POLL_SECONDS = 0.5


def train_trial(
    experiment: Experiment,
    name: str,
    out: Path,
    reporter: Reporter,
    *,
    data_dir: Path | None = None,
    backends: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train an experiment in the folder ``out``, from wherever it was left there; the test set is not looked at.

    Returns its best ``validation_accuracy`` (a fraction), ``parameters`` and ``train_seconds``. Raises BusyError when
    another process is training there, ConfigurationError where numbers are predicted, and what
    :func:`~qlam_qiskit.training.train_on` raises.
    """
    if experiment.data.task == "regression":
        raise ConfigurationError("trials are chosen by their validation accuracy, which predicted numbers do not have")
    options = {"data_dir": data_dir, "backends": backends, "should_stop": should_stop}
    folder, cost = train_on(experiment, name, reporter, out, test=False, **options)
    best = max(row["validation_accuracy"] for row in folder.metrics())
    return {"validation_accuracy": best, **{key: cost[key] for key in ("parameters", "train_seconds")}}


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
