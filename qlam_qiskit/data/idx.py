"""Reads and checks the IDX files of MNIST and Fashion-MNIST, gzipped or unpacked."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from qlam_qiskit.data.catalogue import ImageSet, PublishedFile
from qlam_qiskit.data.labels import check_labels
from qlam_qiskit.errors import DataError
from qlam_qiskit.machine_memory import check_memory
from qlam_qiskit.workspace import open_regular

_UNSIGNED_BYTES = 0x08
_BEST_PACKING = 1032  # bytes that one byte of a gzip file can stand for


def find_idx(folder: Path, name: str) -> Path | None:
    """Find the file ``name`` in a folder, gzipped or unpacked; None when there is neither."""
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def read_idx_split(image_set: ImageSet, folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the images, uint8 (N, H, W), and labels, uint8 (N,), of "train" or "test".

    Raises DataError naming the file that is missing or damaged, or whose labels do not fit.
    """
    images_file, labels_file = image_set.files[:2] if split == "train" else image_set.files[2:]
    images = read_idx(_existing(folder, images_file), images_file)
    labels_path = _existing(folder, labels_file)
    labels = read_idx(labels_path, labels_file)
    if len(images) != len(labels):
        raise DataError(f"{labels_path}: {len(labels)} labels for {len(images)} images")
    check_labels(labels, len(image_set.class_names), str(labels_path))
    return images, labels


def read_idx(path: Path, published: PublishedFile) -> np.ndarray:
    """Read one file, uint8 of shape (N, H, W) or (N,); read-only.

    A file as long as the published one must have its checksum; any other, such as a user's subset, needs only
    be well formed. Raises DataError naming the file otherwise, or when it holds no samples.
    """
    shape, start = _read_header(path, _unpacked(path, 4 + 4 * published.dimensions), published.dimensions)
    promised = math.prod(shape)
    _check_promise(path, promised)
    content = _unpacked(path, start + promised + 1)
    found = len(content) - start
    if promised != found:
        raise DataError(f"{path}: damaged or truncated: its header promises {promised} bytes, {found} follow")
    if not promised:
        raise DataError(f"{path}: holds no samples")
    if len(content) == published.size:
        checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if checksum != published.md5:
            raise DataError(f"{path}: wrong checksum: MD5 {checksum} unpacked, the published file has {published.md5}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def count_idx(path: Path, published: PublishedFile) -> int:
    """Read from its header how many samples a file holds; raises DataError when the header is damaged."""
    return _read_header(path, _unpacked(path, 4 + 4 * published.dimensions), published.dimensions)[0][0]


def _check_promise(path: Path, promised: int) -> None:
    """Raise DataError when a file of its size cannot hold what its header promises, or memory cannot."""
    size = path.stat().st_size
    most = size * _BEST_PACKING if path.suffix == ".gz" else size
    if promised > most:
        raise DataError(f"{path}: damaged or truncated: its header promises {promised} bytes, its size is {size}")
    check_memory(promised, f"{path}: what it unpacks to", DataError)


def _existing(folder: Path, published: PublishedFile) -> Path:
    path = find_idx(folder, published.name)
    if path is None:
        raise DataError(f"{folder / published.name}.gz: no such file, nor unpacked as {published.name}")
    return path


def _unpacked(path: Path, limit: int) -> bytes:
    """Read the first bytes of a file, unpacked where it is gzipped."""
    try:
        with open_regular(path) as stored, gzip.open(stored) if path.suffix == ".gz" else stored as file:
            return file.read(limit)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read, or is damaged: {reason}") from None


def _read_header(path: Path, content: bytes, dimensions: int) -> tuple[tuple[int, ...], int]:
    """Return the shape that the header states, and where the payload starts."""
    expected = (_UNSIGNED_BYTES << 8) | dimensions
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path}: damaged or truncated: {len(content)} bytes are less than an IDX header")
    magic, *shape = struct.unpack_from(f">{1 + dimensions}I", content)
    if magic != expected:
        kind = "images" if dimensions == 3 else "labels"
        raise DataError(f"{path}: not an IDX file of {kind}: starts with 0x{magic:08x}, expected 0x{expected:08x}")
    return tuple(shape), start
