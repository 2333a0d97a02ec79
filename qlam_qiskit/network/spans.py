"""The steps between readings, over which readouts are averaged where the memory can only be read after single steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qlam_qiskit.errors import CircuitError


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
