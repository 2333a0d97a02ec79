"""What a run wrote down: its headline, its training curves, and its accuracy on every backend it was tried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TrainingCurves:
    """Loss (nats) and accuracy after every epoch; validation curves are None where nothing was held out."""

    epochs: np.ndarray
    train_loss: np.ndarray
    train_accuracy: np.ndarray
    validation_loss: np.ndarray | None
    validation_accuracy: np.ndarray | None
    best_epoch: int | None

    @classmethod
    def of(cls, metrics: Sequence[Mapping[str, Any]], best_epoch: int | None) -> TrainingCurves:
        """Read the rows of metrics.jsonl."""

        def column(name: str) -> np.ndarray | None:
            return np.array([row[name] for row in metrics], float) if name in metrics[0] else None

        return cls(
            np.array([row["epoch"] for row in metrics]),
            column("train_loss"),
            column("train_accuracy"),
            column("validation_loss"),
            column("validation_accuracy"),
            best_epoch,
        )


@dataclass(frozen=True)
class Accuracy:
    """A measured accuracy with the 95 % Wilson interval of its number of samples."""

    value: float
    samples: int

    @property
    def interval(self) -> tuple[float, float]:
        """Where the accuracy on endless such samples lies, with 95 % confidence."""
        from scipy.stats import binomtest

        low, high = binomtest(round(self.value * self.samples), self.samples).proportion_ci(method="wilson")
        return float(low), float(high)


@dataclass(frozen=True)
class Evaluation:
    """The run on one backend; ``exact`` is the exact engine's accuracy on the same samples, where it is known."""

    backend: str
    shots: int | None
    accuracy: Accuracy
    mitigated: bool
    exact: float | None = None

    @property
    def name(self) -> str:
        """The backend, and what was done to its readouts."""
        return f"{self.backend}, readout mitigated" if self.mitigated else self.backend


def latest_evaluations(rows: Sequence[Mapping[str, Any]]) -> list[Evaluation]:
    """Keep the last evaluation of test samples for each backend and numbers of shots and samples, the best first."""
    kept: dict[tuple, Evaluation] = {}
    for row in rows:
        if row.get("part", "test") != "test":
            continue
        accuracy = Accuracy(row["accuracy"], row["samples"])
        found = Evaluation(row["backend"], row["shots"], accuracy, bool(row.get("mitigated")))
        kept[found.backend, found.shots, accuracy.samples, found.mitigated] = found
    return sorted(kept.values(), key=lambda found: -found.accuracy.value)
