"""Reads a user's own sequences from an .npz file: x_train, y_train, x_test, y_test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qlam_qiskit.data.labels import check_labels
from qlam_qiskit.data.sequences import SequenceData, Split
from qlam_qiskit.errors import DataError
from qlam_qiskit.npz_archive import read_npz

_MAX_CLASSES = 65_536


def load_npz(path: Path) -> SequenceData:
    """Read real tokens x, shape (N, T) or (N, T, c), and integer labels y from 0 on, shape (N,) or (N, M).

    Classes are counted over both splits. Raises DataError when the file is missing or damaged, an array is
    missing, empty or of the wrong type or shape, a token is not finite, or a label is out of range.
    """
    try:
        arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    train = _make_split(path, "train", arrays["x_train"], arrays["y_train"])
    test = _make_split(path, "test", arrays["x_test"], arrays["y_test"])
    for what, first, second in (("x", train.values, test.values), ("y", train.labels, test.labels)):
        if first.shape[1:] != second.shape[1:]:
            raise DataError(
                f"{path}: {what}_train and {what}_test differ in shape: {first.shape[1:]}, {second.shape[1:]}"
            )
    num_classes = 1 + int(max(train.labels.max(), test.labels.max()))
    if num_classes < 2:
        raise DataError(f"{path}: all labels are 0; at least two classes are needed")
    return SequenceData(
        task=path.stem,
        train=train,
        test=test,
        steps=train.values.shape[1],
        token_size=train.values.shape[2],
        num_classes=num_classes,
        num_answers=1 if train.labels.ndim == 1 else train.labels.shape[1],
        image_shape=None,
        class_names=tuple(str(label) for label in range(num_classes)),
    )


def _make_split(path: Path, split: str, tokens: np.ndarray, labels: np.ndarray) -> Split:
    if tokens.dtype.kind not in "fiu" or tokens.ndim not in (2, 3):
        raise DataError(
            f"{path}: x_{split} must hold real numbers in shape (N, T) or (N, T, c), "
            f"not {tokens.dtype} in {tokens.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2):
        raise DataError(
            f"{path}: y_{split} must hold integers in shape (N,) or (N, M), not {labels.dtype} in {labels.shape}"
        )
    if not tokens.size or not labels.size:
        raise DataError(f"{path}: the {split} split holds no samples: x {tokens.shape}, y {labels.shape}")
    if len(tokens) != len(labels):
        raise DataError(f"{path}: {len(labels)} labels in y_{split} for {len(tokens)} samples in x_{split}")
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite and is reported below
        tokens = tokens.astype(np.float32).reshape(*tokens.shape[:2], -1)
    finite = np.isfinite(tokens).all(axis=(1, 2))
    if not finite.all():
        raise DataError(f"{path}: {split} sample {int(np.argmin(finite))} holds a token that is NaN or infinite")
    check_labels(labels, _MAX_CLASSES, f"{path}: {split} split")
    return Split(labels.astype(np.int64), tokens)
