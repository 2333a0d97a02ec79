"""Weights & Biases: a run of the project "qlam"; WANDB_PROJECT, WANDB_MODE and the like are as everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import wandb

from qlam_qiskit.tracking.tracker import TrackedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class WandbTracker:
    """Logs settings, metrics, figures, and the run's files as an artifact."""

    def begin(self, run: TrackedRun) -> str:
        """Begin a run, or go on with one; without a network WANDB_MODE=offline keeps it in the run's folder."""
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "qlam"),
            name=run.name,
            id=run.known_as,
            resume="allow" if run.known_as else None,
            dir=str(run.path),
            config=dict(run.settings),
        )
        return self._run.id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics."""
        self._run.log(dict(values), step=step)

    def finish(self, figures: Callable[[], Mapping[str, Figure]], files: Sequence[Path]) -> None:
        """Log figures as images, and files as one artifact."""
        self._run.log({f"figures/{name}": wandb.Image(figure) for name, figure in figures().items()})
        artifact = wandb.Artifact(f"run-{self._run.id}", type="model")
        for file in files:
            artifact.add_file(str(file), name=file.name)
        self._run.log_artifact(artifact)

    def close(self, status: str) -> None:
        """End the run."""
        self._run.finish(exit_code=0 if status == "finished" else 1)
