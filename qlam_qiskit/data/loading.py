"""From the ``data:`` section of an experiment to sequences, and the list of what there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qlam_qiskit.configuration import check
from qlam_qiskit.data.augmentation import Augmentation
from qlam_qiskit.data.catalogue import IMAGE_SETS, ImageSet
from qlam_qiskit.data.download import fetch_dataset
from qlam_qiskit.data.npz import load_npz
from qlam_qiskit.data.own_files import load_own
from qlam_qiskit.data.sequences import SequenceData, Split
from qlam_qiskit.data.series import generated_series
from qlam_qiskit.data.settings import DataSettings
from qlam_qiskit.data.storage import count_samples, locate, read_split
from qlam_qiskit.data.synthetic import associative_recall, copying_memory
from qlam_qiskit.data.views import permutation, task_name, view_images
from qlam_qiskit.errors import ConfigurationError, DataError

_Images = tuple[np.ndarray, np.ndarray]  # images and labels of one split


@dataclass(frozen=True)
class DatasetInfo:
    """One data set of the list: what it is, its samples, where it comes from, and whether it is there.

    ``train`` and ``test`` are None where the settings decide; ``problem`` says why it cannot be
    loaded, or is None.
    """

    name: str
    description: str
    train: int | None
    test: int | None
    present: bool
    location: str
    problem: str | None = None


def load_data(
    settings: DataSettings | Mapping[str, Any] | str, data_dir: Path | str | None = None, *, download: bool = True
) -> SequenceData:
    """Load a data set, cut into tokens.

    Parameters
    ----------
    settings
        The ``data:`` section of an experiment, also as a mapping; a data set's name takes its defaults.
    data_dir
        Holds a folder for each data set; looked in before the cache. A relative ``path`` of one's own
        file starts from it.
    download
        Whether image files that are in neither are downloaded into the cache.

    Returns
    -------
    SequenceData
        Training and test sequences (N, T, c) with their labels.

    Raises
    ------
    DataError
        When data are missing or damaged.
    ConfigurationError
        When the options do not fit them.
    """
    settings = _checked(settings)
    data_dir = None if data_dir is None else Path(data_dir)
    if settings.dataset == "copying":
        data = copying_memory(settings)
    elif settings.dataset == "recall":
        data = associative_recall(settings)
    elif settings.dataset == "series":
        data = generated_series(settings)
    elif settings.dataset == "npz":
        data = load_npz((data_dir or Path()) / settings.path)
    elif settings.dataset == "file":
        data = load_own(settings, data_dir or Path())
    else:
        data = _load_image_sequences(settings, data_dir, download)
    return replace(
        data,
        train=data.train.subset(slice(settings.train_limit)),
        test=data.test.subset(slice(settings.test_limit)),
    )


def _checked(settings: DataSettings | Mapping[str, Any] | str) -> DataSettings:
    if isinstance(settings, str):
        settings = {"dataset": settings}
    if isinstance(settings, Mapping):
        return check(DataSettings, settings, "data")
    if not isinstance(settings, DataSettings):
        raise ConfigurationError(
            f"data are a data set's name, a mapping of keys or a DataSettings, not {type(settings).__name__}"
        )
    return settings


def list_datasets(data_dir: Path | None = None) -> tuple[DatasetInfo, ...]:
    """List every data set and whether its files are there; raises DataError if ``data_dir`` is no folder."""
    return (
        *(_describe(image_set, data_dir) for image_set in IMAGE_SETS.values()),
        DatasetInfo("copying", "symbols to name after a delay", None, None, True, "generated"),
        DatasetInfo("recall", "the value that a key came with", None, None, True, "generated"),
        DatasetInfo("series", "NARMA-10, Mackey-Glass, Henon, Lorenz", None, None, True, "generated"),
        DatasetInfo("npz", "your own arrays", None, None, True, "the file that data.path names"),
        DatasetInfo("file", "your own CSV, Parquet, npz, .ts or datasets", None, None, True, "what data.path names"),
    )


def _describe(image_set: ImageSet, data_dir: Path | None) -> DatasetInfo:
    height, width, *_ = image_set.image_shape
    colour = "colour" if len(image_set.image_shape) == 3 else "grey"
    what = f"{height}x{width} {colour} images, {len(image_set.class_names)} classes"
    published = (image_set.name, what, image_set.train, image_set.test)
    if image_set.layout == "bundled":
        return DatasetInfo(*published, True, "bundled with scikit-learn")
    place = locate(image_set, data_dir)
    if place.missing:
        problem = f"{place.folder} lacks {', '.join(place.missing)}" if place.is_begun else "not downloaded"
        return DatasetInfo(*published, False, str(place.folder), problem)
    try:
        train, test = count_samples(image_set, place.folder)
    except DataError as error:
        return DatasetInfo(*published, False, str(place.folder), str(error))
    return DatasetInfo(image_set.name, what, train, test, True, str(place.folder))


def _load_image_sequences(settings: DataSettings, data_dir: Path | None, download: bool) -> SequenceData:
    image_set = IMAGE_SETS[settings.dataset]
    train, test = _read_images(image_set, data_dir, download)
    steps, token_size = view_images(train[0][:0], settings.view, settings.patch).shape[1:]
    positions = permutation(steps) if settings.permuted else None

    def view(images: np.ndarray) -> np.ndarray:
        values = view_images(images, settings.view, settings.patch)
        return values if positions is None else values[:, positions]

    tokens = [view(images) for images, _ in (train, test)]
    image_shape, augmentation = train[0].shape[1:], None
    if settings.shift or settings.flip:
        augmentation = Augmentation.of(image_shape, view, settings.shift or 0, flip=bool(settings.flip))
    scale, offset = 1 / (image_set.peak * image_set.std), -image_set.mean / image_set.std
    return SequenceData(
        task=task_name(image_set.title, settings.view, settings.patch, settings.permuted),
        train=Split(train[1].astype(np.int64), tokens[0], scale, offset, augmentation=augmentation),
        test=Split(test[1].astype(np.int64), tokens[1], scale, offset),
        steps=steps,
        token_size=token_size,
        num_classes=len(image_set.class_names),
        num_answers=1,
        image_shape=image_shape,
        class_names=image_set.class_names,
        positions=positions,
    )


def _read_images(image_set: ImageSet, data_dir: Path | None, download: bool) -> tuple[_Images, _Images]:
    if image_set.layout == "bundled":
        return _read_digits()
    folder = _folder_with_files(image_set, data_dir, download)
    train, test = read_split(image_set, folder, "train"), read_split(image_set, folder, "test")
    if train[0].shape[1:] != test[0].shape[1:]:
        sizes = " and ".join("x".join(map(str, images.shape[1:])) for images, _ in (train, test))
        raise DataError(f"{folder}: train and test images differ in size: {sizes}")
    return train, test


def _read_digits() -> tuple[_Images, _Images]:
    """Divide scikit-learn's 1,797 digits into 1,437 to train on and 360 to test on, always the same ones."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)),
        test_size=IMAGE_SETS["digits"].test,
        random_state=0,
        stratify=digits.target,
    )
    images = digits.images.astype(np.uint8)
    return (images[train], digits.target[train]), (images[test], digits.target[test])


def _folder_with_files(image_set: ImageSet, data_dir: Path | None, download: bool) -> Path:
    """Find the folder that has all files, downloading them into the cache where that is allowed."""
    place = locate(image_set, data_dir)
    if not place.missing:
        return place.folder
    advice = f"`qlam data fetch {image_set.name} --data-dir DIR` downloads it, then give --data-dir DIR"
    if not place.is_cache:
        raise DataError(f"{place.folder}: {', '.join(place.missing)} missing; {advice}")
    looked = str(place.folder) if data_dir is None else f"{data_dir / image_set.folder} nor in {place.folder}"
    if not download:
        raise DataError(f"{image_set.name} is not in {looked}; {advice}")
    try:
        return fetch_dataset(image_set.name).folder
    except DataError as error:
        raise DataError(
            f"{image_set.name} is not in {looked}, and: {error}; where there is a network, {advice}"
        ) from None
