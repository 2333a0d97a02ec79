"""Variants of training images: moves and mirror images, in whatever order the pixels are read."""

from __future__ import annotations

import numpy as np
import pytest

from qlam_qiskit.data import view_images
from qlam_qiskit.data.augmentation import Augmentation
from qlam_qiskit.data.views import permutation


def _moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return image[rows][:, columns]


@pytest.mark.parametrize("permuted", [False, True])
@pytest.mark.parametrize(("view", "patch"), [("pixels", None), ("rows", None), ("patches", 2)])
@pytest.mark.parametrize("shape", [(4, 6), (6, 4, 3)])
def test_variants_are_the_views_of_moved_and_mirrored_images(
    shape: tuple[int, ...], view: str, patch: int | None, permuted: bool
) -> None:
    def tokens(images: np.ndarray) -> np.ndarray:
        values = view_images(images, view, patch)
        return values[:, permutation(values.shape[1])] if permuted else values

    images = np.random.default_rng(5).integers(0, 256, (1, *shape), dtype=np.uint8)
    augmentation = Augmentation.of(shape, tokens, 1, flip=True)
    values = np.repeat(tokens(images), 18, axis=0)
    found = augmentation.apply(values, np.arange(18))
    moved = [_moved(images[0], down, right) for down in (1, 0, -1) for right in (1, 0, -1)]
    expected = tokens(np.stack([*moved, *(image[:, ::-1] for image in moved)]))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("shift", "flip", "count"), [(0, True, 2), (2, False, 25), (8, True, 578)])
def test_number_of_variants(shift: int, flip: bool, count: int) -> None:
    augmentation = Augmentation.of((8, 8), lambda images: view_images(images, "pixels"), shift, flip=flip)
    assert augmentation.sources.shape == (count, 64)


def test_draws_follow_from_their_entropy() -> None:
    augmentation = Augmentation.of((8, 8), lambda images: view_images(images, "pixels"), 1, flip=False)
    first = augmentation.draw(1000, 3, 0)
    assert set(first) == set(range(9))
    np.testing.assert_array_equal(first, augmentation.draw(1000, 3, 0))
    assert (first != augmentation.draw(1000, 3, 1)).mean() > 0.8
