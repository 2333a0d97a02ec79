"""Synthetic tasks: labels that follow from the tokens, and test samples of their own."""

import numpy as np
import pytest

from qlam_qiskit.data import DataSettings, load_data
from qlam_qiskit.errors import ConfigurationError


def _symbols(split):
    """Turn one-hot tokens back into symbols, checking that they are one-hot."""
    tokens = split.tokens(slice(None))
    assert set(np.unique(tokens)) <= {0.0, 1.0}
    assert (tokens.sum(axis=2) == 1).all()
    return tokens.argmax(axis=2)


@pytest.mark.parametrize("delay", [0, 1, 30])
def test_copying_asks_for_the_symbols_it_showed(delay):
    data = load_data(
        DataSettings(dataset="copying", symbols=4, alphabet=6, delay=delay, train_samples=300, test_samples=50)
    )
    assert (data.task, data.steps, data.token_size) == ("copying", 4 + delay + 1, 8)
    assert (data.num_classes, data.num_answers, data.image_shape) == (6, 4, None)
    for split, count in ((data.train, 300), (data.test, 50)):
        symbols = _symbols(split)
        assert symbols.shape == (count, data.steps)
        np.testing.assert_array_equal(symbols[:, :4], split.labels)
        assert (symbols[:, 4:-1] == 6).all()
        assert (symbols[:, -1] == 7).all()
        assert split.labels.dtype == np.int64
        assert set(np.unique(split.labels)) == set(range(6))


@pytest.mark.parametrize("delay", [0, 9])
def test_recall_asks_for_the_value_that_the_last_key_came_with(delay):
    data = load_data(
        DataSettings(dataset="recall", pairs=3, keys=5, values=4, delay=delay, train_samples=200, test_samples=40)
    )
    assert (data.task, data.steps, data.token_size) == ("recall", 2 * 3 + delay + 1, 5 + 4 + 1)
    assert (data.num_classes, data.num_answers) == (4, 1)
    for split in (data.train, data.test):
        asked = set()
        for row, label in zip(_symbols(split), split.labels, strict=True):
            memory = dict(zip(row[0:6:2].tolist(), (row[1:6:2] - 5).tolist(), strict=True))
            assert len(memory) == 3
            assert max(memory) < 5
            assert set(memory.values()) <= set(range(4))
            assert (row[6:-1] == 9).all()
            assert memory[int(row[-1])] == label
            asked.add(list(memory).index(int(row[-1])))
        assert asked == {0, 1, 2}


@pytest.mark.parametrize(
    "options",
    [
        {"dataset": "copying", "symbols": 3, "alphabet": 4},  # 64 sequences in all
        {"dataset": "recall", "pairs": 2, "keys": 3, "values": 2},
    ],
)
def test_no_training_sample_is_a_test_sample(options):
    data = load_data(DataSettings(**options, train_samples=500, test_samples=10))
    train = {row.tobytes() for row in _symbols(data.train)}
    test = {row.tobytes() for row in _symbols(data.test)}
    assert train.isdisjoint(test)
    assert len(data.train) == 500


@pytest.mark.parametrize("dataset", ["copying", "recall"])
def test_a_seed_fixes_the_task_and_the_test_split_whatever_the_training_size(dataset):
    def make(**options):
        return load_data(DataSettings(dataset=dataset, test_samples=30, **options))

    first, again = make(train_samples=80, seed=4), make(train_samples=80, seed=4)
    np.testing.assert_array_equal(first.train.values, again.train.values)
    np.testing.assert_array_equal(first.train.labels, again.train.labels)
    np.testing.assert_array_equal(make(train_samples=20, seed=4).test.values, first.test.values)
    assert not np.array_equal(make(train_samples=80, seed=5).test.values, first.test.values)


def test_a_task_with_too_few_sequences_says_so():
    with pytest.raises(ConfigurationError, match="copying: so few different sequences exist"):
        load_data(DataSettings(dataset="copying", symbols=1, alphabet=2))
