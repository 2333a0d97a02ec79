"""What a run wrote down: its headline, its training curves, and how well it did on every backend it was tried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TrainingCurves:
    """Loss, and accuracy or NRMSE (``figure``), of every epoch; validation curves are None where nothing was held out.

    Losses are in nats, or of regression squared standardized numbers.
    """

    epochs: np.ndarray
    train_loss: np.ndarray
    train_figure: np.ndarray
    validation_loss: np.ndarray | None
    validation_figure: np.ndarray | None
    best_epoch: int | None
    figure: str = "accuracy"

    @classmethod
    def of(cls, metrics: Sequence[Mapping[str, Any]], best_epoch: int | None) -> TrainingCurves:
        """Read the rows of metrics.jsonl."""

        def column(name: str) -> np.ndarray | None:
            return np.array([row[name] for row in metrics], float) if name in metrics[0] else None

        figure = "accuracy" if "train_accuracy" in metrics[0] else "nrmse"
        return cls(
            np.array([row["epoch"] for row in metrics]),
            column("train_loss"),
            column(f"train_{figure}"),
            column("validation_loss"),
            column(f"validation_{figure}"),
            best_epoch,
            figure,
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
class Error:
    """The NRMSE of predicted numbers on some samples; nothing is said of how far it scatters."""

    value: float
    samples: int

    @property
    def interval(self) -> tuple[float, float]:
        """The value itself, twice."""
        return self.value, self.value


@dataclass(frozen=True)
class Evaluation:
    """The run on one backend; ``exact`` is the exact engine's figure on the same samples, where it is known."""

    backend: str
    shots: int | None
    accuracy: Accuracy | Error
    mitigated: bool
    exact: float | None = None

    @property
    def is_error(self) -> bool:
        """Whether it is an NRMSE, the lower the better."""
        return isinstance(self.accuracy, Error)

    def said(self, value: float | None) -> str:
        """Write a figure of this kind."""
        if value is None:
            return "not computed"
        return f"{value:.4g}" if self.is_error else f"{100 * value:.2f}\u202f%"

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
        accuracy: Accuracy | Error = (
            Accuracy(row["accuracy"], row["samples"]) if "accuracy" in row else Error(row["nrmse"], row["samples"])
        )
        found = Evaluation(row["backend"], row["shots"], accuracy, bool(row.get("mitigated")))
        kept[found.backend, found.shots, accuracy.samples, found.mitigated] = found
    return sorted(kept.values(), key=lambda found: found.accuracy.value * (1 if found.is_error else -1))
