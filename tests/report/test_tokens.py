"""Tokens turned back into what people see."""

import numpy as np
import pytest

from qlam_qiskit.data import DataSettings, SequenceData, Split, load_data
from qlam_qiskit.data.views import permutation, view_images
from qlam_qiskit.report.tokens import show_tokens

VIEWS = [
    {"view": "pixels"},
    {"view": "rows"},
    {"view": "patches", "patch": 4},
    {"view": "pixels", "permuted": True},
    {"view": "patches", "patch": 2, "permuted": True},
]


@pytest.mark.parametrize("options", VIEWS, ids=str)
def test_the_image_comes_back_whatever_its_tokens(options):
    plain = load_data(DataSettings(dataset="digits", view="pixels"))
    settings = DataSettings(dataset="digits", **options)
    data = load_data(settings)
    shown = show_tokens(data, settings, 7)
    np.testing.assert_allclose(shown.image, plain.test.values[7].reshape(8, 8) / 16)
    laid = shown.over_image(np.arange(data.steps))
    for step in range(data.steps):  # the numbers of a token are where its value is laid
        np.testing.assert_allclose(sorted(shown.image[laid == step]), sorted(data.test.values[7, step] / 16))


def test_a_colour_image_keeps_its_channels():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    images[0, 0, 0], images[1, 0, 0] = 0, 255  # the range of a data set is that of its pixels
    settings = DataSettings(dataset="cifar10", view="patches", patch=2, permuted=True)
    order = permutation(4)
    split = Split(np.array([0, 1]), view_images(images, "patches", 2)[:, order])
    names = tuple(map(str, range(10)))
    data = SequenceData("colour", split, split, 4, 12, 10, 1, (4, 4, 3), names, order)
    shown = show_tokens(data, settings, 1)
    np.testing.assert_allclose(shown.image, images[1] / 255)
    laid = shown.over_image(np.arange(4))
    for step, place in enumerate(order):
        down, across = divmod(place, 2)
        assert (laid[2 * down : 2 * down + 2, 2 * across : 2 * across + 2] == step).all()


def test_symbols_are_named():
    settings = DataSettings(dataset="copying", symbols=3, alphabet=4, delay=2, train_samples=20, test_samples=5)
    data = load_data(settings)
    shown = show_tokens(data, settings, 2)
    assert shown.symbols == (*map(str, data.test.labels[2]), "·", "·", "?")
    assert shown.image is None
    settings = DataSettings(dataset="recall", pairs=2, keys=3, values=4, delay=1, train_samples=20, test_samples=5)
    data = load_data(settings)
    key, value, *_, blank, asked = show_tokens(data, settings, 0).symbols
    assert key in "ABC"
    assert value in "0123"
    assert blank == "·"
    pairs = dict(zip(*[iter(show_tokens(data, settings, 0).symbols[:4])] * 2, strict=True))
    assert pairs[asked] == str(data.test.labels[0])


def test_other_tokens_are_a_strip_from_0_to_1():
    values = np.array([[[1.0], [2.0]], [[3.0], [5.0]]], np.float32)
    split = Split(np.array([0, 1]), values)
    data = SequenceData("own", split, split, 2, 1, 2, 1, None, ("0", "1"))
    settings = DataSettings(dataset="npz", path="own.npz")
    np.testing.assert_allclose(show_tokens(data, settings, 1).strip, [[0.5, 1.0]])
