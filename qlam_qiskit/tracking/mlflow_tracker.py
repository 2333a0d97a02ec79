"""MLflow: a run of the experiment "qlam" on the server that MLFLOW_TRACKING_URI names, else where MLflow keeps runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow.entities import Metric, Param

from qlam_qiskit.tracking.tracker import TrackedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AT_ONCE = 500  # numbers, of at most 1,000 that a server takes in one request
_SECONDS = 5.0  # between two requests, or more
_LONGEST = 6000  # characters of a parameter that MLflow takes
_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MLflowTracker:
    """Logs parameters, metrics and artifacts; MLFLOW_EXPERIMENT_NAME takes the place of "qlam"."""

    def __init__(self) -> None:
        self._client = mlflow.MlflowClient()
        self._waiting: list[Metric] = []
        self._sent = time.monotonic()

    def begin(self, run: TrackedRun) -> str:
        """Begin a run with the experiment's settings as parameters, or go on with one."""
        if run.known_as is not None:
            self._id = run.known_as
            self._client.update_run(self._id, status="RUNNING")
            return self._id
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "qlam")
        experiment = self._client.get_experiment_by_name(name)
        number = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        self._id = self._client.create_run(number, run_name=run.name, tags={"qlam.run": str(run.path)}).info.run_id
        settings = [Param(key, str(value)[:_LONGEST]) for key, value in run.settings.items()]
        self._client.log_batch(self._id, params=settings[:100])
        return self._id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics, some hundred at once."""
        now = int(time.time() * 1000)
        self._waiting.extend(Metric(name, value, now, step) for name, value in values.items())
        if len(self._waiting) >= _AT_ONCE or time.monotonic() - self._sent > _SECONDS:
            self._send()

    def finish(self, figures: Callable[[], Mapping[str, Figure]], files: Sequence[Path]) -> None:
        """Log figures and files as artifacts."""
        self._send()
        for name, figure in figures().items():
            self._client.log_figure(self._id, figure, f"figures/{name}.png")
        for file in files:
            self._client.log_artifact(self._id, str(file))

    def close(self, status: str) -> None:
        """Send what is left, and end the run."""
        self._send()
        self._client.set_terminated(self._id, _STATUS[status])

    def _send(self) -> None:
        while self._waiting:
            self._client.log_batch(self._id, metrics=self._waiting[:_AT_ONCE])
            del self._waiting[:_AT_ONCE]
        self._sent = time.monotonic()
