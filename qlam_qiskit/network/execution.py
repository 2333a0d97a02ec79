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
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.engine.torch import make_engine
from qlam_qiskit.memory_circuit import MemoryCircuit

if TYPE_CHECKING:
    from qlam_qiskit.engine.torch.torch_engine import TorchEngine


class Execution(Protocol):
    """Runs a memory forward and carries cotangents back."""

    def forward(self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return the readouts and whatever :meth:`backward` needs of this call."""

    def backward(self, tape: Any, cotangent: np.ndarray) -> Gradients:
        """Multiply dL/dy, of the readouts' shape, with the Jacobian of that forward call."""


@dataclass(frozen=True)
class ExactExecution:
    """The exact engine, forward and backward, on the CPU or a GPU."""

    engine: ExactEngine | OpenEngine | TorchEngine
    readout: Readout
    readout_steps: Sequence[int] | None = None

    @classmethod
    def of(
        cls,
        memory: MemoryCircuit,
        readout: Readout,
        readout_steps: Sequence[int] | None = None,
        **options: Any,
    ) -> ExactExecution:
        """Compile ``memory``; ``options`` are those of :func:`qlam_qiskit.engine.torch.make_engine`."""
        return cls(make_engine(memory, **options), readout, readout_steps)

    def forward(self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, Any]:
        """Run the engine."""
        probabilities, tape = self.engine.forward(angles, weights, queries, readout_steps=self.readout_steps)
        return self.readout.from_probabilities(probabilities), tape

    def backward(self, tape: Any, cotangent: np.ndarray) -> Gradients:
        """Run the engine's adjoint differentiation."""
        return self.engine.backward(tape, self.readout.pull_back(np.asarray(cotangent, self.engine.dtype)))
