"""The check that all readers share: labels within their range."""

from __future__ import annotations

import numpy as np

from qlam_qiskit.errors import DataError


def check_labels(labels: np.ndarray, num_classes: int, source: str) -> None:
    """Raise DataError, naming ``source`` and the sample, when a label is outside 0 to num_classes - 1.

    ``labels`` has shape (N,) or (N, M).
    """
    faulty = np.argwhere((labels < 0) | (labels >= num_classes))
    if len(faulty):
        first = tuple(faulty[0])
        raise DataError(f"{source}: sample {first[0]} has label {labels[first]}, outside 0 to {num_classes - 1}")
