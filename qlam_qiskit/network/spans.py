"""The steps between readings, over which readouts are averaged where the memory can only be read after single steps.

A circuit measures the memory's qubits once, when it ends; ancillas it may measure in every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from qiskit.primitives import BitArray

from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import CircuitError, ConfigurationError

MOST_AVERAGED_STEPS = 64  # circuits, each as long as the step that it is measured after


@dataclass(frozen=True)
class Spans:
    """R spans of steps: each ends with a step of ``read``, and begins behind the one before."""

    read: tuple[int, ...]

    @classmethod
    def of(cls, read: Sequence[int]) -> Spans:
        """Make the spans of increasing steps; CircuitError for others."""
        if list(read) != sorted(set(read)):
            raise CircuitError(f"means over spans are read after increasing steps, not {list(read)}")
        return cls(tuple(read))

    @property
    def steps(self) -> tuple[int, ...]:
        """All steps of all spans."""
        return tuple(range(self.read[-1] + 1))

    @cached_property
    def lengths(self) -> np.ndarray:
        """Steps of each span, (R,)."""
        return np.diff(self.read, prepend=-1)

    @cached_property
    def slots(self) -> np.ndarray:
        """The span of each step, (steps,)."""
        return np.repeat(np.arange(len(self.read)), self.lengths)

    def of_steps(self, array: np.ndarray) -> np.ndarray:
        """Repeat (B, R or 1, ...) for every step of a span; what is alike for all spans stays (B, 1, ...)."""
        return array if array.shape[1] == 1 else array[:, self.slots]

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Add up (B, steps, ...) over each span; returns (B, R, ...)."""
        return np.add.reduceat(array, np.concatenate([[0], np.cumsum(self.lengths)[:-1]]), axis=1)

    def mean(self, array: np.ndarray) -> np.ndarray:
        """Average (B, steps, ...) over each span; returns (B, R, ...)."""
        return self.sum(array) / self._beside(array)

    def share(self, array: np.ndarray) -> np.ndarray:
        """Carry the cotangent (B, R, ...) of means back to every step, (B, steps, ...)."""
        return (array / self._beside(array))[:, self.slots]

    def _beside(self, array: np.ndarray) -> np.ndarray:
        return self.lengths.astype(array.dtype).reshape(-1, *[1] * (array.ndim - 2))


def lengths_of_spans(times: np.ndarray) -> np.ndarray:
    """Count the steps of each span of samples with times of their own, rising, (B, R); 1 where nothing is read."""
    return np.where(times >= 0, np.diff(times, axis=1, prepend=-1), 1)


def measured_steps(readout: Readout, read: Sequence[int]) -> tuple[tuple[int, ...], np.ndarray]:
    """List the steps after which circuits are measured, and the reading that each belongs to.

    Raises ConfigurationError where a mean over steps takes too many circuits.
    """
    if not readout.averages_states:
        return tuple(read), np.arange(len(read))
    spans = Spans.of(read)
    if len(spans.steps) > MOST_AVERAGED_STEPS:
        raise ConfigurationError(
            f"means over the memory's qubits (readout.pooling: mean) take a circuit for each of {len(spans.steps)} "
            f"steps, more than {MOST_AVERAGED_STEPS}: read emissions or pooling: last, or use a backend of kind exact"
        )
    return spans.steps, spans.slots


def emission_means(bits: BitArray, emissions: int, read: Sequence[int]) -> np.ndarray:
    """Average emission bits of N circuits, T*E each, over shots and over the steps of each span; returns (N, R, E)."""
    spans = Spans.of(read)
    width = len(spans.steps) * emissions
    rows = bits.array.reshape(-1, *bits.array.shape[-2:])
    # Whole bytes, most significant bit first.
    ones = np.stack([np.unpackbits(row, axis=-1)[:, ::-1][:, :width].mean(axis=0) for row in rows])
    return spans.mean(ones.reshape(len(rows), -1, emissions))
