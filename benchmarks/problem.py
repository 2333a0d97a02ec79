"""What every framework computes: one scalar loss of a batch of sequences, and its gradients.

The update of the ring template (RY and RZ of the inputs on each qubit, RZZ around a ring, RX) acts T times on |0...0>,
and where the problem is damped, amplitude damping of every qubit ends each update, as in the template ``damped_ring``;
<Z> of every qubit is read once at the end, and the loss is the sum of all readouts times given random coefficients, so
that a backward pass starts from an arbitrary cotangent, as in any training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Problem:
    """Sizes of a run, and which of its samples are computed: all, or the first ``samples``."""

    qubits: int
    steps: int
    batch: int
    samples: int | None = None
    seed: int = 0
    damped: bool = False

    @property
    def num_weights(self) -> int:
        """Trainable angles of an update."""
        return (3 if self.damped else 2) * self.qubits

    @property
    def rows(self) -> int:
        """Samples that are computed."""
        return self.batch if self.samples is None else min(self.samples, self.batch)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The qubits of every RZZ, in order."""
        return [(k, (k + 1) % self.qubits) for k in range(self.qubits)]

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw inputs (S, T, 2n) and weights (W,) in radians, and coefficients (S, n); float32, deviation 1.

        Inputs hold RY's and RZ's angle of each qubit in turn; weights those of RZZ on each pair, then of RX, then,
        where qubits are damped, g of each: it loses its excitation with probability gamma = 1 / (1 + exp(-g)).
        """
        rng = np.random.default_rng(self.seed)
        shapes = (self.batch, self.steps, 2 * self.qubits), (self.num_weights,), (self.batch, self.qubits)
        inputs, weights, coefficients = (rng.standard_normal(shape, np.float32) for shape in shapes)
        return inputs[: self.rows].copy(), weights, coefficients[: self.rows].copy()

    def as_json(self) -> dict[str, Any]:
        """Return the fields, for another process."""
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """A loss and its gradients with respect to inputs (S, T, 2n) and weights (W,)."""

    loss: float
    inputs: np.ndarray
    weights: np.ndarray

    def save(self, path: Path) -> None:
        """Write an .npz file."""
        np.savez(path, loss=self.loss, inputs=self.inputs, weights=self.weights)

    @classmethod
    def load(cls, path: Path) -> Answer:
        """Read what :meth:`save` wrote."""
        with np.load(path) as saved:
            return cls(float(saved["loss"]), saved["inputs"], saved["weights"])

    def errors(self, exact: Answer, coefficients: np.ndarray) -> dict[str, float]:
        """Return how far this is from ``exact``: gradients in relative norm, the loss relative to the coefficients."""
        found = {"loss": abs(self.loss - exact.loss) / float(np.linalg.norm(coefficients))}
        for name in ("inputs", "weights"):
            mine, right = (np.asarray(getattr(answer, name), np.float64) for answer in (self, exact))
            if mine.shape != right.shape:
                raise ValueError(f"the gradient of {name} has shape {mine.shape}, not {right.shape}")
            found[name] = float(np.linalg.norm(mine - right) / np.linalg.norm(right))
        return found
