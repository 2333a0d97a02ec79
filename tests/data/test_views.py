"""Token views against plain indexing."""

import numpy as np
import pytest

from qlam_qiskit.data.views import permutation, task_name, view_images
from qlam_qiskit.errors import ConfigurationError


@pytest.fixture(params=[(), (3,)], ids=["grey", "colour"])
def images(request):
    shape = (5, 12, 8, *request.param)
    return np.random.default_rng(2).integers(256, size=shape, dtype=np.uint8)


def test_pixels_are_scanned_row_by_row(images):
    tokens = view_images(images, "pixels")
    assert tokens.shape == (5, 96, images[0, 0, 0].size)
    for step in (0, 1, 8, 95):
        np.testing.assert_array_equal(tokens[:, step], images[:, step // 8, step % 8].reshape(5, -1))


def test_rows_hold_their_pixels_in_order(images):
    tokens = view_images(images, "rows")
    assert tokens.shape == (5, 12, images[0, 0].size)
    for row in range(12):
        np.testing.assert_array_equal(tokens[:, row], images[:, row].reshape(5, -1))


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_patches_are_squares_row_by_row(images, patch):
    tokens = view_images(images, "patches", patch)
    across = 8 // patch
    assert tokens.shape == (5, (12 // patch) * across, images[0, :patch, :patch].size)
    for step in range(tokens.shape[1]):
        down, right = patch * (step // across), patch * (step % across)
        square = images[:, down : down + patch, right : right + patch]
        np.testing.assert_array_equal(tokens[:, step], square.reshape(5, -1))


@pytest.mark.parametrize("patch", [3, 5, 16])
def test_a_patch_that_does_not_divide_the_image_is_refused(images, patch):
    with pytest.raises(ConfigurationError, match=f"patch {patch} does not divide images of 12 by 8 pixels"):
        view_images(images, "patches", patch)


def test_the_permutation_is_pinned():
    positions = permutation(784)
    assert positions.dtype == np.int64
    assert positions[:8].tolist() == [319, 576, 323, 107, 355, 716, 197, 20]
    assert sorted(positions) == list(range(784))


@pytest.mark.parametrize(
    ("view", "patch", "permuted", "name"),
    [
        ("pixels", None, False, "sMNIST"),
        ("pixels", None, True, "psMNIST"),
        ("rows", None, False, "MNIST rows"),
        ("patches", 7, False, "MNIST 7x7 patches"),
        ("patches", 4, True, "permuted MNIST 4x4 patches"),
    ],
)
def test_each_task_is_reported_under_its_own_name(view, patch, permuted, name):
    assert task_name("MNIST", view, patch, permuted) == name
