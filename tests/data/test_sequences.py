"""Splits: tokens, subsets and validation."""

import time

import numpy as np
import pytest

from qlam_qiskit.data import Split, validation_split
from qlam_qiskit.errors import ConfigurationError, DataError


@pytest.fixture
def split():
    generator = np.random.default_rng(3)
    return Split(np.repeat(np.arange(10), 20), generator.integers(256, size=(200, 6, 2), dtype=np.uint8), 0.5, -3.0)


@pytest.mark.parametrize(
    "indices", [np.array([5, 0, 199]), np.array([], int), slice(3, 9), slice(None), np.arange(200) % 2 == 0]
)
def test_tokens_are_scaled_float32_in_the_order_asked_for(split, indices):
    tokens = split.tokens(indices)
    assert tokens.dtype == np.float32
    assert tokens.flags.c_contiguous
    np.testing.assert_array_equal(tokens, split.values[indices].astype(np.float32) * 0.5 - 3)


def test_tokens_never_share_memory_with_the_split():
    split = Split(np.zeros(4, np.int64), np.ones((4, 3, 2), np.float32))
    split.tokens(slice(None))[:] = 7
    assert (split.values == 1).all()


def test_a_subset_keeps_labels_with_their_tokens(split):
    chosen = np.array([150, 3, 77])
    part = split.subset(chosen)
    assert len(part) == 3
    np.testing.assert_array_equal(part.labels, [7, 0, 3])
    np.testing.assert_array_equal(part.tokens(slice(None)), split.tokens(chosen))


def test_a_batch_of_mnist_size_is_made_in_about_a_millisecond():
    split = Split(np.zeros(5000, np.int64), np.zeros((5000, 784, 1), np.uint8), 0.1, 0.2)
    indices = np.random.default_rng(0).permutation(5000)[:128]
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        split.tokens(indices)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1e-3


def test_validation_is_disjoint_stratified_and_fixed_by_its_seed(split):
    marked = Split(split.labels, np.arange(200, dtype=np.float32).reshape(200, 1, 1))
    training, validation = validation_split(marked, 0.1, seed=5)
    first, second = training.values.ravel(), validation.values.ravel()
    assert sorted([*first, *second]) == list(range(200))
    assert (np.diff(first) > 0).all()
    np.testing.assert_array_equal(np.bincount(validation.labels), np.full(10, 2))
    np.testing.assert_array_equal(validation_split(marked, 0.1, seed=5)[1].values.ravel(), second)
    assert not np.array_equal(validation_split(marked, 0.1, seed=6)[1].values.ravel(), second)


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((40, 3), np.int64),  # several answers
        np.array([0] * 39 + [1]),  # a class of one sample
        np.arange(40) // 2,  # more classes than validation samples
    ],
)
def test_validation_is_uniform_where_it_cannot_be_stratified(labels):
    training, validation = validation_split(Split(labels, np.zeros((40, 1, 1), np.float32)), 0.1, seed=0)
    assert (len(training), len(validation)) == (36, 4)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(split, fraction):
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        validation_split(split, fraction, seed=0)


def test_one_sample_cannot_be_divided(split):
    with pytest.raises(DataError, match="at least 2 training samples, not 1"):
        validation_split(split.subset(slice(1)), 0.5, seed=0)


def test_both_parts_of_two_samples_hold_one(split):
    assert [len(part) for part in validation_split(split.subset(slice(2)), 0.01, seed=0)] == [1, 1]
