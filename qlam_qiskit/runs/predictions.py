"""What a model answers to samples: the one loop that asks it, its confusions or errors, and samples worth a look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from qlam_qiskit.data import SequenceData, Split, Targets
from qlam_qiskit.runs.objective import losses, quality

_BATCH = 256


@dataclass(frozen=True)
class Predictions:
    """Answers to samples.

    Attributes
    ----------
    labels, predicted
        True and predicted classes, int64 (N, M); the true one is -1 where there is none to give.
    confidence
        The probability that the model gives to its own answer, (N, M).
    losses
        Cross-entropy of each sample, the mean over its answers, in nats, (N,).
    class_names
        One name per class.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    losses: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> Predictions:
        """Keep the first samples."""
        kept = (values[:count] for values in (self.labels, self.predicted, self.confidence, self.losses))
        return Predictions(*kept, self.class_names)

    @property
    def right(self) -> np.ndarray:
        """Whether all answers to a sample are right, bool (N,)."""
        return ((self.labels == self.predicted) | (self.labels < 0)).all(axis=1)

    @property
    def accuracy(self) -> float:
        """Part of the answers that are right."""
        given = self.labels >= 0
        right = ((self.labels == self.predicted) & given).sum(axis=1)
        return float((right / np.maximum(given.sum(axis=1), 1)).mean())

    def confusion(self) -> np.ndarray:
        """Count answers by true class (row) and predicted class (column), int64 (C, C)."""
        counts = np.zeros((len(self.class_names),) * 2, np.int64)
        given = self.labels >= 0
        np.add.at(counts, (self.labels[given], self.predicted[given]), 1)
        return counts

    def mistakes(self, count: int) -> np.ndarray:
        """Return the indices of the ``count`` wrongly answered samples of highest loss, the worst first."""
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.losses[wrong], kind="stable")][:count]

    def examples(self, count: int) -> np.ndarray:
        """Choose ``count`` samples: two thirds right, of classes as far apart as there are, and the worst mistakes.

        Of each class the first right one is taken. Where there are too few of one kind, the other fills up.
        """
        right, classes = np.flatnonzero(self.right), len(self.class_names)
        rank = {label: place for place, label in enumerate(_spread(classes, -(-2 * count // 3)))}
        seen = dict.fromkeys(range(classes), 0)
        order = []
        for index in right:  # by how many of the class came before, then by the class's place
            label = int(self.labels[index, 0])
            order.append((seen[label], rank.get(label, classes), label, index))
            seen[label] += 1
        ordered = [index for *_, index in sorted(order)]
        wrong = self.mistakes(count)
        kept = min(len(wrong), max(count // 3, count - len(ordered)))
        return np.array([*ordered[: count - kept], *wrong[:kept]], np.int64)


@dataclass(frozen=True)
class Estimates:
    """Numbers predicted of samples.

    Attributes
    ----------
    labels, predicted
        True and predicted numbers, in their own unit, (N, M, C); NaN where there is none to give.
    losses
        Mean squared error of each sample's standardized numbers, (N,).
    names
        Of the C numbers.
    targets
        How they were standardized.
    """

    labels: np.ndarray
    predicted: np.ndarray
    losses: np.ndarray
    names: tuple[str, ...]
    targets: Targets

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> Estimates:
        """Keep the first samples."""
        kept = (values[:count] for values in (self.labels, self.predicted, self.losses))
        return Estimates(*kept, self.names, self.targets)

    @property
    def figures(self) -> dict[str, Any]:
        """``nrmse``, ``mae`` and ``r2``, as in :func:`~qlam_qiskit.runs.objective.quality`."""
        mean, std = self.targets.mean, self.targets.std
        standard = (torch.from_numpy((part - mean) / std) for part in (self.predicted, self.labels))
        return quality(*standard, self.targets, self.names)

    def mistakes(self, count: int) -> np.ndarray:
        """Return the indices of the ``count`` samples of highest loss, the worst first."""
        return np.argsort(-self.losses, kind="stable")[:count]

    def examples(self, count: int) -> np.ndarray:
        """Choose ``count`` samples from the best predicted to the worst, at even distances."""
        return np.argsort(self.losses, kind="stable")[_spread(len(self), min(count, len(self)))]


def outputs(
    function: Callable[[torch.Tensor], torch.Tensor],
    split: Split,
    batch_size: int = _BATCH,
    *,
    share: Callable[[np.ndarray], np.ndarray] = lambda indices: indices,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Yield a function of tokens (B, T, c), batch by batch over a split, without gradients.

    Parameters
    ----------
    function
        A model, or what part of it is wanted.
    split, batch_size
        The samples, and how many at once.
    share
        Takes from the indices of a batch those that are this process's to work on.
    progress
        Hears how many samples of how many are done.

    Yields
    ------
    tuple
        The indices of samples (B,), and what the function returned for them.
    """
    for start in range(0, len(split), batch_size):
        stop = min(start + batch_size, len(split))
        indices = share(np.arange(start, stop))
        if len(indices):
            with torch.no_grad():
                found = function(torch.from_numpy(split.tokens(indices)))
            yield indices, found
        progress(stop, len(split))


def predict(
    model: nn.Module,
    split: Split,
    data: SequenceData,
    progress: Callable[[int, int], None] = lambda done, total: None,
    batch_size: int = _BATCH,
) -> Predictions | Estimates:
    """Answer all samples of a split of ``data``; ``progress`` hears how many of how many are done."""
    parts = []
    for indices, found in outputs(model, split, batch_size, progress=progress):
        of_samples = losses(found, torch.from_numpy(split.labels[indices]))
        confidence, predicted = found.softmax(-1).max(-1)
        parts.append((found, of_samples) if data.targets else (predicted, confidence, of_samples))
    arrays = [torch.cat(part).numpy() for part in zip(*parts, strict=True)]
    if data.targets is None:
        return Predictions(split.labels.reshape(len(split), -1), *arrays, data.class_names)
    numbers = (part * data.targets.std + data.targets.mean for part in (split.labels, arrays[0]))
    return Estimates(*numbers, arrays[1], data.class_names, data.targets)


def _spread(classes: int, count: int) -> list[int]:
    """Choose ``count`` of the classes at even distances."""
    return sorted({round(k * (classes - 1) / max(count - 1, 1)) for k in range(min(count, classes))})
