"""The image data sets: their sizes, where they are published, and the checksums of the real files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qlam_qiskit.errors import ConfigurationError

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class PublishedFile:
    """An IDX file as published: its name, dimensions and bytes unpacked, and two MD5 checksums.

    ``md5`` is of the unpacked bytes, which do not depend on who packed them; ``download_md5`` is of the
    gzipped file that the mirrors serve.
    """

    name: str
    dimensions: int
    size: int
    md5: str
    download_md5: str


@dataclass(frozen=True)
class ImageSet:
    """An image data set; a pixel x becomes (x / peak - mean) / std.

    Attributes
    ----------
    title
        The name within a task's name, as in sMNIST.
    layout
        ``bundled`` (comes with scikit-learn), ``idx`` or ``cifar``.
    train, test
        Samples as published.
    mean, std
        Of all the published training pixels, all channels together, on the scale from 0 to 1.
    peak
        The largest pixel value.
    folder
        Where its files lie under a data folder.
    files
        Of layout ``idx``: train images, train labels, test images, test labels.
    archive
        Of layout ``cifar``: the published archive's name and MD5.
    mirrors
        Addresses that a file's name is appended to, tried in order.
    """

    name: str
    title: str
    layout: Literal["bundled", "idx", "cifar"]
    image_shape: tuple[int, ...]
    train: int
    test: int
    class_names: tuple[str, ...]
    mean: float
    std: float
    peak: int = 255
    folder: str = ""
    files: tuple[PublishedFile, ...] = ()
    archive: tuple[str, str] = ("", "")
    mirrors: tuple[str, ...] = ()


def _idx_files(*checksums: tuple[str, str]) -> tuple[PublishedFile, ...]:
    layout = (
        ("train-images-idx3-ubyte", 3, 16 + 60_000 * 784),
        ("train-labels-idx1-ubyte", 1, 8 + 60_000),
        ("t10k-images-idx3-ubyte", 3, 16 + 10_000 * 784),
        ("t10k-labels-idx1-ubyte", 1, 8 + 10_000),
    )
    return tuple(PublishedFile(*file, *pair) for file, pair in zip(layout, checksums, strict=True))


_DIGIT_NAMES = tuple(str(digit) for digit in range(10))

IMAGE_SETS: dict[str, ImageSet] = {
    image_set.name: image_set
    for image_set in (
        ImageSet(
            name="digits",
            title="Digits",
            layout="bundled",
            image_shape=(8, 8),
            train=1437,
            test=360,
            class_names=_DIGIT_NAMES,
            mean=0.3054,
            std=0.3761,
            peak=16,
        ),
        ImageSet(
            name="mnist",
            title="MNIST",
            layout="idx",
            image_shape=(28, 28),
            train=60_000,
            test=10_000,
            class_names=_DIGIT_NAMES,
            mean=0.1307,
            std=0.3081,
            folder="mnist",
            files=_idx_files(
                ("6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                ("a25bea736e30d166cdddb491f175f624", "d53e105ee54ea40749a09fcbcd1e9432"),
                ("2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
                ("27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c"),
            ),
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
        ),
        ImageSet(
            name="fashion_mnist",
            title="Fashion-MNIST",
            layout="idx",
            image_shape=(28, 28),
            train=60_000,
            test=10_000,
            class_names=(
                *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
                *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
            ),
            mean=0.2860,
            std=0.3530,
            folder="fashion_mnist",
            files=_idx_files(
                ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                ("9018921c3c673c538a1fc5bad174d6f9", "25c81989df183df01b3e8a0aad5dffbe"),
                ("8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
                ("15d484375f8d13e6eb1aabb0c3f46965", "bb300cfdad3c16e7a12a480ee83cd310"),
            ),
            mirrors=(
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
        ),
        ImageSet(
            name="cifar10",
            title="CIFAR-10",
            layout="cifar",
            image_shape=(32, 32, 3),
            train=50_000,
            test=10_000,
            class_names=CIFAR_CLASSES,
            mean=0.4734,
            std=0.2516,
            folder="cifar10/cifar-10-batches-bin",
            archive=("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
            mirrors=("https://www.cs.toronto.edu/~kriz/",),
        ),
    )
}


def fetchable_set(name: str) -> ImageSet:
    """Find a data set that is published as files; raises ConfigurationError for any other name."""
    image_set = IMAGE_SETS.get(name)
    if image_set is None or not image_set.mirrors:
        listed = ", ".join(name for name, candidate in IMAGE_SETS.items() if candidate.mirrors)
        raise ConfigurationError(f"{name!r} is not a data set to download; these are: {listed}")
    return image_set
