"""Where the files of an image data set are looked for, and what is missing there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qlam_qiskit.data.catalogue import ImageSet
from qlam_qiskit.data.cifar import cifar_batches, count_cifar, read_cifar_split
from qlam_qiskit.data.idx import count_idx, find_idx, read_idx_split
from qlam_qiskit.errors import DataError


@dataclass(frozen=True)
class Place:
    """The folder that an image data set is read from, and the files that are missing in it."""

    folder: Path
    missing: tuple[str, ...]
    is_cache: bool

    @property
    def is_begun(self) -> bool:
        """Whether the folder holds anything."""
        return self.folder.is_dir() and any(self.folder.iterdir())


def cache_dir() -> Path:
    """Name the folder that downloads go to: the environment's QLAM_DATA, or one in the user's cache."""
    if chosen := os.environ.get("QLAM_DATA"):
        return Path(chosen)
    import pooch

    return Path(pooch.os_cache("qlam-qiskit"))


def locate(image_set: ImageSet, data_dir: Path | None) -> Place:
    """Find a data set under ``data_dir`` if that has a folder for it, else in the cache.

    Raises DataError when ``data_dir`` is given but is no folder.
    """
    if data_dir is not None:
        if not data_dir.is_dir():
            raise DataError(
                f"{data_dir}: no such data folder; `qlam data fetch {image_set.name} --data-dir {data_dir}` makes it, "
                "and without --data-dir QLAM_DATA or your cache is taken"
            )
        folder = data_dir / image_set.folder
        if folder.is_dir():
            return Place(folder, _missing(image_set, folder), is_cache=False)
    folder = cache_dir() / image_set.folder
    return Place(folder, _missing(image_set, folder), is_cache=True)


def read_split(image_set: ImageSet, folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the images, uint8 (N, H, W) or (N, H, W, channels), and labels of a split; raises DataError."""
    if image_set.layout == "idx":
        return read_idx_split(image_set, folder, split)
    return read_cifar_split(folder, split)


def count_samples(image_set: ImageSet, folder: Path) -> tuple[int, int]:
    """Count the train and test samples of a complete folder by its headers; raises DataError."""
    if image_set.layout == "idx":
        train, test = (count_idx(find_idx(folder, file.name), file) for file in image_set.files[::2])
        return train, test
    train, test = (sum(map(count_cifar, cifar_batches(folder, split))) for split in ("train", "test"))
    return train, test


def _missing(image_set: ImageSet, folder: Path) -> tuple[str, ...]:
    if image_set.layout == "idx":
        return tuple(f"{file.name}.gz" for file in image_set.files if find_idx(folder, file.name) is None)
    first = {"train": "data_batch_1.bin", "test": "test_batch.bin"}
    return tuple(name for split, name in first.items() if not cifar_batches(folder, split))
