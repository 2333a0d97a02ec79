"""A finished run as reports read it: its folder, and, once they are needed, its data and its model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import nn

from qlam_qiskit.data import SequenceData, load_data
from qlam_qiskit.runs.experiment import Experiment
from qlam_qiskit.runs.loading import load_run
from qlam_qiskit.runs.run_folder import RunFolder


@dataclass(frozen=True)
class OpenedRun:
    """A run's folder, with what is in it read at first use; the model runs on the exact engine."""

    folder: RunFolder
    data_dir: Path | None = None

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the run was started with."""
        return self.folder.experiment()

    @cached_property
    def data(self) -> SequenceData:
        """The task's sequences."""
        return load_data(self.experiment.data, self.data_dir)

    @cached_property
    def model(self) -> nn.Module:
        """The model with its best weights."""
        return load_run(self.folder, self.data)
