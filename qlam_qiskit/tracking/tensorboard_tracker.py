"""TensorBoard: the run's events in its own folder, ``tensorboard --logdir runs`` shows them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch.utils.tensorboard import SummaryWriter

from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.tracking.tracker import TrackedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TensorBoardTracker:
    """Writes events to ``tensorboard`` in the run's folder; files stay where they are."""

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None

    def begin(self, run: TrackedRun) -> str:
        """Remember the run; its events begin with the first numbers, which say where it goes on."""
        self._run = run
        return "tensorboard"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars; events of a killed process after this step no longer count."""
        if self._writer is None:
            resumed = {"purge_step": step} if self._run.known_as else {}
            self._writer = SummaryWriter(str(self._run.path / "tensorboard"), **resumed)
            self._writer.add_text("experiment", f"```\n{dump_yaml(dict(self._run.settings))}\n```", step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._step = step

    def finish(self, figures: Callable[[], Mapping[str, Figure]], files: Sequence[Path]) -> None:
        """Write the figures as images."""
        if self._writer is not None:
            for name, figure in figures().items():
                self._writer.add_figure(name, figure, self._step, close=False)

    def close(self, status: str) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
