"""A data set of the user's own kind that a small memory learns in a second."""

import numpy as np


def write_small_data(path, samples=120, spoil=None):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2 * samples)
    tokens = rng.normal(size=(2 * samples, 6, 2)) + labels[:, None, None]
    if spoil is not None:
        tokens[5, 2, 1] = spoil
    np.savez(path, x_train=tokens[:samples], y_train=labels[:samples], x_test=tokens[samples:], y_test=labels[samples:])
