"""Where a memory runs: on the exact engine, or on a backend's V2 primitives with a choice of gradients.

Every execution maps angles (B, T, H, P), weights (H, W) and queries (B or 1, R or 1, H, Q, A) to readouts
(B, R, H, Q, K), and carries a cotangent back to the three of them. All angles in radians.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qlam_qiskit.engine import ExactEngine, Gradients, Readout
from qlam_qiskit.engine.torch import make_engine
from qlam_qiskit.memory_circuit import MemoryCircuit

if TYPE_CHECKING:
    from qlam_qiskit.engine.open import OpenEngine
    from qlam_qiskit.engine.torch.torch_engine import TorchEngine


class Execution(Protocol):
    """Runs a memory forward and carries cotangents back."""

    def forward(self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return the readouts and whatever :meth:`backward` needs of this call."""

    def backward(self, tape: Any, cotangent: np.ndarray) -> Gradients:
        """Multiply dL/dy, of the readouts' shape, with the Jacobian of that forward call."""


@dataclass(frozen=True)
class ExactExecution:
    """An exact engine, forward and backward, on the CPU or a GPU.

    With ``shots``, bitstrings are drawn from the exact probabilities by ``rng``; the gradient stays that of the
    probabilities themselves.
    """

    engine: ExactEngine | OpenEngine | TorchEngine
    readout: Readout
    readout_steps: Sequence[int] | None = None
    shots: int | None = None
    rng: np.random.Generator | None = None

    @classmethod
    def of(
        cls,
        memory: MemoryCircuit,
        readout: Readout,
        readout_steps: Sequence[int] | None = None,
        *,
        shots: int | None = None,
        rng: np.random.Generator | None = None,
        **options: Any,
    ) -> ExactExecution:
        """Compile ``memory``; ``options`` are those of :func:`qlam_qiskit.engine.torch.make_engine`."""
        return cls(make_engine(memory, **options), readout, readout_steps, shots, rng)

    def forward(self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, Any]:
        """Run the engine."""
        probabilities, tape = self.engine.forward(angles, weights, queries, readout_steps=self.readout_steps)
        if self.shots is not None:
            probabilities = _drawn(probabilities, self.shots, self.rng or np.random.default_rng())
        return self.readout.from_probabilities(probabilities), tape

    def backward(self, tape: Any, cotangent: np.ndarray) -> Gradients:
        """Run the engine's adjoint differentiation."""
        return self.engine.backward(tape, self.readout.pull_back(np.asarray(cotangent, self.engine.dtype)))


def _drawn(probabilities: np.ndarray, shots: int, rng: np.random.Generator) -> np.ndarray:
    """Return the frequencies of bitstrings (..., D) in ``shots`` draws."""
    exact = np.clip(probabilities.astype(np.float64), 0.0, None)
    exact /= exact.sum(axis=-1, keepdims=True)
    return (rng.multinomial(shots, exact) / shots).astype(probabilities.dtype)
