"""Samples of a user's own, of whatever lengths, made into a task: padded, normalized, with classes or targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qlam_qiskit.data.sequences import SequenceData, Split, Targets, validation_split
from qlam_qiskit.errors import DataError
from qlam_qiskit.machine_memory import check_memory
from qlam_qiskit.words import counted

MOST_CLASSES = 65_536
LONGEST_NAME = 200  # characters of a class


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of one part of a file.

    Attributes
    ----------
    tokens
        Of each sample, (T_i, c), finite.
    answers
        Of each sample what is to be answered: names of classes, as str, or numbers, float64 (C,); at every step one of
        either for each, (T_i,) or (T_i, C).
    source
        What messages call them.
    """

    tokens: Sequence[np.ndarray]
    answers: Sequence[np.ndarray | str]
    source: str

    def __len__(self) -> int:
        return len(self.tokens)

    def subset(self, indices: np.ndarray) -> Samples:
        """Keep the chosen samples."""
        return Samples([self.tokens[k] for k in indices], [self.answers[k] for k in indices], self.source)


@dataclass(frozen=True)
class Goal:
    """What is to be learned: classes or numbers, at the end or at every step; ``names`` of numbers or of all classes.

    Tokens are normalized where ``normalize`` says so: each number to mean 0 and standard deviation 1 over the steps of
    the training part.
    """

    regression: bool
    every_step: bool
    normalize: bool = True
    names: tuple[str, ...] | None = None


def divide(samples: Samples, fraction: float, seed: int, *, regression: bool) -> tuple[Samples, Samples]:
    """Divide samples into a training and a test part, of classes in the same proportions where that is possible."""
    labels = np.zeros(len(samples), np.int64)
    if not regression and isinstance(samples.answers[0], str):
        number = {name: k for k, name in enumerate(sorted(set(samples.answers)))}
        labels = np.array([number[name] for name in samples.answers], np.int64)
    indices = np.arange(len(samples), dtype=np.float32).reshape(-1, 1, 1)
    train, test = validation_split(Split(labels, indices), fraction, seed)
    chosen = [part.values.ravel().astype(np.int64) for part in (train, test)]
    return samples.subset(chosen[0]), samples.subset(chosen[1])


def make_task(name: str, train: Samples, test: Samples, goal: Goal) -> SequenceData:
    """Make a task of samples; raises DataError when a part is empty, or they do not go together."""
    for part in (train, test):
        if not len(part):
            raise DataError(f"{part.source}: holds no samples")
        empty = [len(tokens) for tokens in part.tokens]
        if 0 in empty:
            raise DataError(f"{part.source}: sample {empty.index(0) + 1} has no tokens")
    sizes = {tokens.shape[1] for part in (train, test) for tokens in part.tokens}
    if len(sizes) > 1:
        raise DataError(f"{test.source}: tokens have {min(sizes)} numbers in one sample and {max(sizes)} in another")
    (size,) = sizes
    steps = max(len(tokens) for part in (train, test) for tokens in part.tokens)
    answers = steps if goal.every_step else 1
    count = len(train) + len(test)
    check_memory(
        4 * count * steps * (size + 1),
        f"{counted(count, 'sample')}, padded to {counted(steps, 'token')} of {counted(size, 'number')},",
        DataError,
    )
    mean, std = _statistics(np.concatenate(train.tokens)) if goal.normalize else (np.zeros(size), np.ones(size))
    tokens = [_padded(part, steps, (mean, std)) for part in (train, test)]
    if goal.regression:
        outputs, targets, labels = _targets(train, test, goal, steps)
    else:
        outputs, labels = _classes(train, test, goal, steps)
        targets = None
    parts = [
        Split(of_labels, values, lengths=lengths) for of_labels, (values, lengths) in zip(labels, tokens, strict=True)
    ]
    return SequenceData(
        task=name,
        train=parts[0],
        test=parts[1],
        steps=steps,
        token_size=size,
        num_classes=len(outputs),
        num_answers=answers,
        image_shape=None,
        class_names=outputs,
        targets=targets,
        every_step=goal.every_step,
    )


def _padded(
    part: Samples, steps: int, statistics: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Normalize tokens and write zeros behind their end; returns (N, T, c), and lengths unless all are T."""
    mean, std = statistics
    values = np.zeros((len(part), steps, len(mean)), np.float32)
    lengths = np.array([len(tokens) for tokens in part.tokens])
    for sample, tokens in enumerate(part.tokens):
        with np.errstate(over="ignore"):
            values[sample, : len(tokens)] = (tokens - mean) / std
    if not np.isfinite(values).all():
        sample = int(np.argmin(np.isfinite(values).all(axis=(1, 2))))
        raise DataError(f"{part.source}: sample {sample + 1} holds a number too large for single precision")
    return values, None if (lengths == steps).all() else lengths


def _classes(train: Samples, test: Samples, goal: Goal, steps: int) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Count the classes of both parts through; returns their names in order, and labels with -1 for padding."""
    # As objects: an array of str gives each word the room of the longest.
    flat = [
        np.concatenate([np.atleast_1d(np.asarray(answer, object)) for answer in part.answers]) for part in (train, test)
    ]
    found = set(flat[0]) | set(flat[1])
    names = goal.names or tuple(sorted(found, key=_order))
    if (longest := max(map(len, found))) > LONGEST_NAME:
        raise DataError(f"{train.source}: a label has {longest:,} characters, more than {LONGEST_NAME:,}")
    if len(found) < 2:
        raise DataError(f"{train.source}: all labels are {str(next(iter(found)))!r}; at least two classes are needed")
    if len(names) > MOST_CLASSES:
        raise DataError(f"{train.source}: {len(names):,} classes, more than {MOST_CLASSES:,}: are the labels numbers?")
    number = {name: k for k, name in enumerate(names)}
    labels = []
    for part, words in zip((train, test), flat, strict=True):
        numbers = np.array([number[word] for word in words], np.int64)
        labels.append(_laid_out(part, numbers, steps, -1) if goal.every_step else numbers)
    return names, labels


def _targets(
    train: Samples, test: Samples, goal: Goal, steps: int
) -> tuple[tuple[str, ...], Targets, list[np.ndarray]]:
    """Standardize what is to be predicted by the training part; returns names, how to undo it, and (N, M, C)."""
    flat = [np.concatenate([np.atleast_2d(answer) for answer in part.answers]) for part in (train, test)]
    mean, std = _statistics(flat[0])
    names = goal.names or tuple(f"target {k + 1}" for k in range(len(mean)))
    labels = []
    for part, numbers in zip((train, test), flat, strict=True):
        standard = ((numbers - mean) / std).astype(np.float32)
        labels.append(_laid_out(part, standard, steps, np.nan) if goal.every_step else standard[:, None])
    return names, Targets(mean, std), labels


def _laid_out(part: Samples, flat: np.ndarray, steps: int, nothing: float) -> np.ndarray:
    """Lay out what belongs to all steps of all samples, one after another, as (N, T, ...)."""
    laid = np.full((len(part), steps, *flat.shape[1:]), nothing, flat.dtype)
    lengths = np.array([len(tokens) for tokens in part.tokens])
    laid[np.arange(steps) < lengths[:, None]] = flat
    return laid


def _statistics(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of columns; 1 for one that never changes."""
    mean, std = numbers.mean(axis=0), numbers.std(axis=0)
    return mean, np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0)


def _order(name: str) -> tuple[int, float, str]:
    """Order classes that are numbers by size, and others by name."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
