"""Long-range tasks made from a seed: copying memory and associative recall, as one-hot tokens.

The test samples come from a random stream of their own, so they do not depend on the size of the training
split, and no training sample equals one of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qlam_qiskit.data.sequences import SequenceData, Split
from qlam_qiskit.data.settings import DataSettings
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.machine_memory import check_memory

# Draws n samples: the symbols of each token, shape (n, T), and the labels, shape (n,) or (n, M).
_Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]

_MAX_ROUNDS = 50


def copying_memory(settings: DataSettings) -> SequenceData:
    """Make the copying task: remember S symbols over a delay, and name all of them when the delimiter asks.

    A sample is S symbols out of A, ``delay`` blanks, and the delimiter: T = S + delay + 1 and c = A + 2 (the
    blank and the delimiter come last). The S answers are read together after the delimiter; the original
    reads one per step. Source: Hochreiter and Schmidhuber 1997, in the form of Arjovsky, Shah and Bengio
    2016.
    """
    symbols, alphabet, delay = settings.symbols, settings.alphabet, settings.delay

    def draw(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = generator.integers(alphabet, size=(count, symbols))
        blanks = np.full((count, delay), alphabet)
        delimiter = np.full((count, 1), alphabet + 1)
        return np.hstack([chosen, blanks, delimiter]), chosen

    return _make_task(settings, draw, token_size=alphabet + 2, num_classes=alphabet, num_answers=symbols)


def associative_recall(settings: DataSettings) -> SequenceData:
    """Make the recall task: key, value, key, value, ..., blanks, and a key again, whose value is the label.

    The keys of a sample differ, and the last token, the query, is one of them. T = 2 pairs + delay + 1 and c
    = keys + values + 1 (keys come first, the blank last). Source: Graves, Wayne and Danihelka 2014; Ba et al.
    2016.
    """
    pairs, keys, values, delay = settings.pairs, settings.keys, settings.values, settings.delay

    def draw(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        shown = generator.random((count, keys)).argsort(axis=1)[:, :pairs]
        bound = generator.integers(values, size=(count, pairs))
        asked = (np.arange(count), generator.integers(pairs, size=count))
        memories = np.stack([shown, keys + bound], axis=2).reshape(count, 2 * pairs)
        blanks = np.full((count, delay), keys + values)
        return np.hstack([memories, blanks, shown[asked][:, None]]), bound[asked]

    return _make_task(settings, draw, token_size=keys + values + 1, num_classes=values, num_answers=1)


def _make_task(
    settings: DataSettings, draw: _Draw, *, token_size: int, num_classes: int, num_answers: int
) -> SequenceData:
    _check_size(settings, token_size)
    symbols, labels = draw(np.random.default_rng([settings.seed, 1]), settings.test_samples)
    taken = {row.tobytes() for row in symbols}
    test = _one_hot(symbols, labels, token_size)
    train = _one_hot(*_draw_apart(settings, draw, taken), token_size)
    return SequenceData(
        task=settings.dataset,
        train=train,
        test=test,
        steps=symbols.shape[1],
        token_size=token_size,
        num_classes=num_classes,
        num_answers=num_answers,
        image_shape=None,
        class_names=tuple(str(symbol) for symbol in range(num_classes)),
    )


def _check_size(settings: DataSettings, token_size: int) -> None:
    """Raise ConfigurationError where tokens, a byte each number, and the symbols they are made of cannot fit."""
    length = settings.symbols + 1 if settings.dataset == "copying" else 2 * settings.pairs + 1
    steps, samples = length + settings.delay, settings.train_samples + settings.test_samples
    drawn = 8 * (settings.keys or 0)
    check_memory(
        samples * (steps * (8 + token_size) + drawn),
        f"data set {settings.dataset} of {samples:,} samples with {steps:,} tokens of {token_size:,} numbers",
    )


def _draw_apart(settings: DataSettings, draw: _Draw, taken: set[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Draw the training samples, leaving out those that the test split holds."""
    generator = np.random.default_rng([settings.seed, 0])
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    lacking = settings.train_samples
    for _ in range(_MAX_ROUNDS):
        symbols, labels = draw(generator, lacking)
        fresh = np.array([row.tobytes() not in taken for row in symbols])
        parts.append((symbols[fresh], labels[fresh]))
        lacking -= int(fresh.sum())
        if not lacking:
            return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    raise ConfigurationError(
        f"{settings.dataset}: so few different sequences exist at these sizes that {settings.test_samples} "
        "test samples leave too few to train on; make the sequences longer or test_samples smaller"
    )


def _one_hot(symbols: np.ndarray, labels: np.ndarray, token_size: int) -> Split:
    return Split(labels.astype(np.int64), np.eye(token_size, dtype=np.uint8)[symbols])
