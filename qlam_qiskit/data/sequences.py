"""What every data set becomes: sequences of tokens with labels, in a train and a test split.

A split keeps its values in the type that they arrived in (uint8 for pixels and one-hot symbols) and makes
float32 tokens of one batch at a time, so that the training images of MNIST take 47 MB rather than 188.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qlam_qiskit.data.augmentation import Augmentation
from qlam_qiskit.errors import ConfigurationError, DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Samples of one split.

    Attributes
    ----------
    labels
        int64, shape (N,), or (N, M) when a sample has M answers, -1 where there is none to give; of regression float32
        (N, M, C), standardized, NaN where there is none.
    values
        Shape (N, T, c), uint8 or float32; a token is ``values * scale + offset``.
    scale, offset
        The affine map from values to tokens.
    lengths
        int64 (N,), the steps of each sample, the rest being padding; None where all have T.
    augmentation
        The variants of a sample that training draws from; None where there are none.
    variants
        int64 (N,), which variant of each sample is taken; None for the samples themselves.
    """

    labels: np.ndarray
    values: np.ndarray
    scale: float = 1.0
    offset: float = 0.0
    lengths: np.ndarray | None = None
    augmentation: Augmentation | None = None
    variants: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Split of {len(self):,} samples: values {self.values.shape}, labels {self.labels.shape}>"

    def tokens(self, indices: np.ndarray | slice) -> np.ndarray:
        """Make the tokens of the chosen samples: a new C-contiguous float32 array, shape (B, T, c); padding is NaN."""
        values = self.values[indices]
        if self.variants is not None:
            values = self.augmentation.apply(values, self.variants[indices])
        tokens = np.array(values, dtype=np.float32, order="C")
        if self.scale != 1.0:
            tokens *= np.float32(self.scale)
        if self.offset != 0.0:
            tokens += np.float32(self.offset)
        if self.lengths is not None:
            tokens[np.arange(tokens.shape[1]) >= self.lengths[indices][:, None]] = np.nan
        return tokens

    def subset(self, indices: np.ndarray | slice) -> Split:
        """Keep the chosen samples, in the order given."""
        lengths, variants = (None if each is None else each[indices] for each in (self.lengths, self.variants))
        kept = {"labels": self.labels[indices], "values": self.values[indices]}
        return replace(self, **kept, lengths=lengths, variants=variants)

    def varied(self, *entropy: int) -> Split:
        """Draw a variant of each sample, the same from the same ``entropy``; a split that has none stays as it is."""
        if self.augmentation is None:
            return self
        return replace(self, variants=self.augmentation.draw(len(self), *entropy))


@dataclass(frozen=True, eq=False)
class Targets:
    """How the C numbers that a regression predicts were standardized, by the training part: its ``mean``, ``std``."""

    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True, eq=False)
class SequenceData:
    """A task: its two splits, and the sizes that a model for it needs.

    Attributes
    ----------
    task
        The name to report results under, such as "sMNIST", "psMNIST", "MNIST rows" or "copying".
    train, test
        The samples to train on, and those to test on.
    steps, token_size
        T and c: every sample is T tokens of c numbers.
    num_classes, num_answers
        Each of the M answers of a sample is one of ``num_classes``, C, or that many numbers; M is 1 in classification
        and in regression at the end, and T at every step.
    image_shape
        (H, W) or (H, W, channels) of the images behind the tokens; None where there are none.
    class_names
        One name per class, or per number of a regression.
    targets
        Of a regression: how its numbers were standardized. None of classification.
    every_step
        Whether there is an answer to give after every step.
    positions
        Where the tokens are permuted: the original position of each step, int64, shape (T,); None otherwise.
    """

    task: str
    train: Split
    test: Split
    steps: int
    token_size: int
    num_classes: int
    num_answers: int
    image_shape: tuple[int, ...] | None
    class_names: tuple[str, ...]
    positions: np.ndarray | None = None
    targets: Targets | None = None
    every_step: bool = False


def validation_split(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Divide a split into (training, validation), with ``fraction`` of it in the latter; a seed decides.

    Where each sample has one answer and every class can be in both parts, both have the classes in the same
    proportions; otherwise the choice is uniform. Samples keep their order. Raises ConfigurationError unless
    0 < fraction < 1, and DataError when there are too few samples for two parts.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < fraction < 1:
        raise ConfigurationError(f"the validation fraction must lie between 0 and 1, not {fraction}")
    if len(split) < 2:
        raise DataError(f"a validation split needs at least 2 training samples, not {len(split)}")
    held_out = min(max(1, round(fraction * len(split))), len(split) - 1)
    training, validation = train_test_split(
        np.arange(len(split)),
        test_size=held_out,
        random_state=np.random.RandomState(np.random.MT19937(seed)),
        stratify=split.labels if _can_stratify(split.labels, held_out) else None,
    )
    return split.subset(np.sort(training)), split.subset(np.sort(validation))


def _can_stratify(labels: np.ndarray, held_out: int) -> bool:
    if labels.ndim != 1 or labels.dtype.kind != "i":
        return False
    _, counts = np.unique(labels, return_counts=True)
    return counts.min() >= 2 and len(counts) <= min(held_out, len(labels) - held_out)
