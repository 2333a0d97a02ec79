"""What a comparison counts: right answers, or the errors of predicted numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qlam_qiskit.compare.records import unpack
from qlam_qiskit.compare.settings import Comparison
from qlam_qiskit.searching import ACCURACY, NRMSE, format_metric


@dataclass(frozen=True)
class Metric:
    """How good a run is.

    Attributes
    ----------
    name
        "accuracy", a fraction, or "nrmse", of which less is better.
    """

    name: str

    @property
    def test(self) -> str:
        """What a record calls it on the test set."""
        return f"test_{self.name}"

    @property
    def validation(self) -> str:
        """What a record calls it on validation samples."""
        return NRMSE if self.is_error else ACCURACY

    @property
    def is_error(self) -> bool:
        """Whether less is better."""
        return self.name == "nrmse"

    @property
    def title(self) -> str:
        """What a column of test results is called."""
        return "test NRMSE" if self.is_error else "test accuracy, %"

    def score(self, value: float | None) -> float | None:
        """Return a number that is the higher the better; None of a run that failed."""
        return -value if self.is_error and value is not None else value

    def written(self, mean: float, deviation: float | None = None) -> str:
        """Write a mean and its deviation: accuracies, fractions, in percent."""
        factor, digits = (1, 4) if self.is_error else (100, 2)
        return f"{factor * mean:.{digits}f}" + (f" +- {factor * deviation:.{digits}f}" if deviation is not None else "")

    def said(self, value: float, samples: str) -> str:
        """Say how good a run is on some samples."""
        return format_metric(self.validation, value, samples)

    def gain(self, ours: float, theirs: float) -> float:
        """Return by how much the first is better: percentage points, or NRMSE."""
        return theirs - ours if self.is_error else 100 * (ours - theirs)

    def said_gain(self, gain: float) -> str:
        """Write by how much one is better than another, with the unit."""
        return f"{gain:+.4f} of NRMSE" if self.is_error else f"{gain:+.2f} points"

    def of_samples(self, record: Mapping[str, Any]) -> np.ndarray:
        """Return what tells test samples apart: right answers, bool (N, M), or less the squared errors, (N, 1)."""
        return -np.array(record["errors"])[:, None] if self.is_error else unpack(record["correct"])


def metric_of(comparison: Comparison) -> Metric:
    """Return what a comparison counts."""
    return Metric("nrmse" if comparison.counts_errors else "accuracy")
