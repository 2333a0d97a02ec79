"""Reads CIFAR-10's binary batches: records of one label byte, then 32x32 red, green and blue bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qlam_qiskit.data.catalogue import CIFAR_CLASSES
from qlam_qiskit.data.labels import check_labels
from qlam_qiskit.errors import DataError
from qlam_qiskit.machine_memory import check_memory

_RECORD = 1 + 3 * 32 * 32


def cifar_batches(folder: Path, split: str) -> list[Path]:
    """List the batch files of "train" or "test" that are there, in order."""
    return sorted(folder.glob("data_batch_*.bin" if split == "train" else "test_batch.bin"))


def read_cifar_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the images, uint8 (N, 32, 32, 3), and labels, uint8 (N,), of a split, whatever its size.

    Raises DataError naming the file that is missing, damaged or empty, or whose labels are out of range.
    """
    batches = cifar_batches(folder, split)
    if not batches:
        raise DataError(f"{folder / ('data_batch_1.bin' if split == 'train' else 'test_batch.bin')}: no such file")
    size = sum(count_cifar(path) * _RECORD for path in batches)
    check_memory(2 * size, f"{folder}: {len(batches)} batches of {size:,} bytes together", DataError)
    records = np.concatenate([_read_batch(path) for path in batches])
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].copy()


def count_cifar(path: Path) -> int:
    """Tell from its size how many samples a batch holds; raises DataError when it is empty or truncated."""
    size = path.stat().st_size
    if not size:
        raise DataError(f"{path}: holds no samples")
    if size % _RECORD:
        raise DataError(f"{path}: damaged or truncated: {size} bytes are not a multiple of {_RECORD}")
    return size // _RECORD


def _read_batch(path: Path) -> np.ndarray:
    count = count_cifar(path)
    try:
        records = np.fromfile(path, np.uint8).reshape(count, _RECORD)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    check_labels(records[:, 0], len(CIFAR_CLASSES), str(path))
    return records
