"""Readouts of a run's samples, wherever they were measured, and what the run's head makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from qlam_qiskit.data import Split
from qlam_qiskit.model import QLAM
from qlam_qiskit.runs import Part, SavedRun, mean_loss, quality


@dataclass(frozen=True)
class Measured:
    """Readouts (N, R, H * Q * K) of the first N samples of a part of a run's data.

    Attributes
    ----------
    run, model, part, split
        The run, its model, and the samples.
    readouts
        What was read of each sample.
    backend, shots
        Where; shots are None where expectation values are exact.
    origin
        What else is worth remembering: the seed, or the submission and whether readout errors were undone.
    as_saved
        Whether readouts are normalized with the saved statistics: on the exact engine, as the run was tested.
    """

    run: SavedRun
    model: QLAM
    part: Part
    split: Split
    readouts: torch.Tensor
    backend: str
    shots: int | None
    origin: dict[str, Any] = field(default_factory=dict)
    as_saved: bool = False

    @property
    def labels(self) -> torch.Tensor:
        """The samples' labels, (N, M), or of regression (N, M, C)."""
        labels = torch.from_numpy(self.split.labels)
        return labels if labels.is_floating_point() else labels.reshape(len(self.split), -1)

    def features(self) -> torch.Tensor:
        """Return what the head sees, (N, F)."""
        with torch.no_grad():
            return self.model.features(self.readouts, own_statistics=not self.as_saved)

    def score(self) -> dict[str, Any]:
        """Return accuracy, or the errors of numbers, and mean loss, and of what."""
        with torch.no_grad():
            logits = self.model.classify(self.readouts, own_statistics=not self.as_saved)
        return {
            **quality(logits, self.labels, self.run.data.targets, self.run.data.class_names),
            "samples": len(self.split),
            "part": self.part,
            "backend": self.backend,
            "shots": self.shots,
            "loss": mean_loss(logits, self.labels).item(),
            "task": self.run.data.task,
            **self.origin,
            "run": self.run.folder.reference,
        }
