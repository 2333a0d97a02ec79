"""Readouts standardized over the samples that run together (QuantumNAT, arXiv 2110.11331).

To first order, noise shrinks each readout and shifts it, alike for all samples; the mean and standard deviation over
samples undo both. Which samples these are depends on where the readouts come from:

=========================  ==============================================================================
training                   the batch, over all processes that share it
evaluation as in training  samples of the training split, read as in evaluation when the epoch ended (saved)
evaluation, elsewhere      the evaluated samples themselves: all of them are there at once
=========================  ==============================================================================

As in training means on the exact engine, and with the noise that the model is trained with, if with any. The last row
uses statistics of the test samples, though no label: an accuracy found so is one of a whole batch of samples, and a
single sample could not be classified alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from qlam_qiskit.errors import ConfigurationError

# Below it accuracy falls fast: docs/hardware-models.md has what smaller batches cost.
FEWEST_SAMPLES = 16
# Far below the variance that any readout has, shots alone give it more; it keeps a dead readout finite.
_EPSILON = 1e-5


class ReadoutNormalization(nn.Module):
    """Standardizes each of F readouts; the head's linear map follows, so it has no scale and shift to be trained.

    ``mean`` and ``std``, shape (F,), are the saved statistics: plain buffers that nothing but :meth:`settle` changes.
    ``spread`` is the standard deviation that readouts are brought to. Adam moves each weight of the head alike,
    whatever it multiplies, so that a smaller spread slows the head down against the circuit. ``total`` adds up a tensor
    over the processes that share a batch, and its gradient; without it, the batch is this process's own.
    """

    total: Callable[[torch.Tensor], torch.Tensor] | None = None

    def __init__(self, features: int, spread: float = 1.0) -> None:
        super().__init__()
        self._spread = spread
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    def forward(self, readouts: torch.Tensor, *, own_statistics: bool = False) -> torch.Tensor:
        """Standardize readouts (B, F) with the batch's statistics in training, else with those saved or their own.

        A batch of one sample has no statistics, and takes those saved. Raises ConfigurationError for fewer than
        FEWEST_SAMPLES samples to be evaluated with their own statistics.
        """
        if self.training and (found := self._of_batch(readouts)) is not None:
            return self._standardize(readouts, *found)
        if not own_statistics:
            return self._standardize(readouts, self.mean, self.std)
        self.check_samples(len(readouts))
        return self._standardize(readouts, *_statistics(readouts))

    def check_samples(self, count: int) -> None:
        """Raise ConfigurationError when ``count`` samples are too few for statistics of their own."""
        if count < FEWEST_SAMPLES:
            raise ConfigurationError(
                f"this model standardizes readouts over the samples that run together (model.readout.normalize): at "
                f"least {FEWEST_SAMPLES} of them, not {count}"
            )

    def settle(self, readouts: Iterable[torch.Tensor]) -> None:
        """Save the statistics of all these readouts, each (B, F)."""
        everything = torch.cat([part.detach() for part in readouts]).double()
        mean, std = _statistics(everything)
        self.mean.copy_(mean)
        self.std.copy_(std)

    def stand_by(self, *, trained: bool) -> None:
        """Take part in the statistics of a batch of which this process has no samples.

        ``trained`` says whether anything before the readouts is, so that gradients are added up too.
        """
        if self.total is not None:
            features = self(torch.zeros(0, len(self.mean), requires_grad=trained))
            if trained:
                features.sum().backward()

    def _of_batch(self, readouts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return mean and standard deviation of a batch; None where it has one sample."""
        if self.total is None:
            return _statistics(readouts) if len(readouts) > 1 else None
        sums = self.total(torch.cat([readouts.sum(0), readouts.new_tensor([len(readouts)])]))
        if sums[-1] < 2:
            return None
        mean = sums[:-1] / sums[-1]
        return mean, _deviation(self.total((readouts - mean).square().sum(0)) / sums[-1])

    def _standardize(self, readouts: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        return (readouts - mean) / std * self._spread


def _statistics(readouts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return readouts.mean(0), _deviation(readouts.var(0, correction=0))


def _deviation(variance: torch.Tensor) -> torch.Tensor:
    return (variance + _EPSILON).sqrt()
