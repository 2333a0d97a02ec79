"""What a model answers to samples: the one loop that asks it, its confusions, and samples worth a closer look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from qlam_qiskit.data import Split

_BATCH = 256


@dataclass(frozen=True)
class Predictions:
    """Answers to samples.

    Attributes
    ----------
    labels, predicted
        True and predicted classes, int64 (N, M).
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
        return (self.labels == self.predicted).all(axis=1)

    @property
    def accuracy(self) -> float:
        """Part of the answers that are right."""
        return float((self.labels == self.predicted).mean())

    def confusion(self) -> np.ndarray:
        """Count answers by true class (row) and predicted class (column), int64 (C, C)."""
        counts = np.zeros((len(self.class_names),) * 2, np.int64)
        np.add.at(counts, (self.labels.ravel(), self.predicted.ravel()), 1)
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
    class_names: tuple[str, ...],
    progress: Callable[[int, int], None] = lambda done, total: None,
    batch_size: int = _BATCH,
) -> Predictions:
    """Answer all samples of a split; ``progress`` hears how many of how many are done."""
    labels = split.labels.reshape(len(split), -1)
    parts = []
    for indices, logits in outputs(model, split, batch_size, progress=progress):
        losses = cross_entropy(logits.flatten(0, 1), torch.from_numpy(labels[indices]).flatten(), reduction="none")
        confidence, predicted = logits.softmax(-1).max(-1)
        parts.append((predicted, confidence, losses.reshape(predicted.shape).mean(1)))
    predicted, confidence, losses = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return Predictions(labels, predicted, confidence, losses, class_names)


def _spread(classes: int, count: int) -> list[int]:
    """Choose ``count`` of the classes at even distances."""
    return sorted({round(k * (classes - 1) / max(count - 1, 1)) for k in range(min(count, classes))})
