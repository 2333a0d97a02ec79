"""What is read from the memory: expectation values of Pauli-Z strings, or the scaled probabilities of all bitstrings.

Both are linear in the bitstring probabilities p_j, so that every backend that yields probabilities or Z strings yields
either readout. What ancillas emit is read of a memory with channels, whose own qubits are then never measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np
from qiskit.quantum_info import SparsePauliOp

from qlam_qiskit.engine.primitives import string_signs
from qlam_qiskit.errors import ConfigurationError

KINDS = ("probabilities", "z_strings", "emissions")
POOLINGS = ("last", "mean")


@dataclass(frozen=True)
class Readout:
    """K numbers y_k = sum_j M_kj p_j + m_k read from n qubits.

    ``kind`` "z_strings": y_k = <Z_{S_k}> for every set S_k of 1 to ``max_weight`` qubits. ``kind`` "probabilities":
    y_j = 2^n p_j - 1 for every bitstring j, from -1 to 2^n - 1: not the probability p_j = (y_j + 1) / 2^n itself, but
    by how much, relatively, it differs from the uniform distribution's. ``kind`` "emissions": the mean probability that
    each of ``emissions`` bits is 1, over the steps since the reading before.

    ``pooling`` "last" reads the state after each of the chosen steps, "mean" the mean state over the steps since the
    chosen one before; emissions are means in any case.
    """

    num_qubits: int
    kind: str = "probabilities"
    max_weight: int = 2
    pooling: str = "last"
    emissions: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigurationError(f"unknown readout {self.kind!r}; allowed: {', '.join(KINDS)}")
        if self.pooling not in POOLINGS:
            raise ConfigurationError(f"unknown pooling {self.pooling!r}; allowed: {', '.join(POOLINGS)}")
        if self.kind == "emissions" and self.emissions < 1:
            raise ConfigurationError("this memory emits nothing: its update measures no ancilla")
        if self.kind == "z_strings" and not 1 <= self.max_weight <= self.num_qubits:
            raise ConfigurationError(f"Z strings on {self.num_qubits} qubits have weight 1 to {self.num_qubits}")

    @property
    def size(self) -> int:
        """Numbers read, K."""
        if self.kind == "emissions":
            return self.emissions
        return len(self.masks) if self.kind == "z_strings" else 1 << self.num_qubits

    @property
    def averages_states(self) -> bool:
        """Whether the memory's own qubits are read as means over steps."""
        return self.kind != "emissions" and self.pooling == "mean"

    @cached_property
    def masks(self) -> tuple[int, ...]:
        """The Z strings that determine the readout, each as a mask of its qubits, lighter ones first."""
        if self.kind == "emissions":
            return ()
        heaviest = self.max_weight if self.kind == "z_strings" else self.num_qubits
        sets = (chosen for weight in range(1, heaviest + 1) for chosen in combinations(range(self.num_qubits), weight))
        return tuple(sum(1 << qubit for qubit in chosen) for chosen in sets)

    def observables(self) -> list[SparsePauliOp]:
        """Return the strings ``masks`` as Qiskit observables, in order."""
        qubits = range(self.num_qubits - 1, -1, -1)
        return [SparsePauliOp("".join("Z" if mask >> qubit & 1 else "I" for qubit in qubits)) for mask in self.masks]

    def _signs(self, dtype: np.dtype) -> np.ndarray:
        return _signs_in(self.masks, self.num_qubits, dtype)

    def from_probabilities(self, probabilities: np.ndarray) -> np.ndarray:
        """Read (..., D) bitstring probabilities; returns (..., K) in their precision."""
        if self.kind == "probabilities":
            return probabilities * probabilities.dtype.type(1 << self.num_qubits) - probabilities.dtype.type(1)
        return probabilities @ self._signs(probabilities.dtype).T

    def from_z_strings(self, values: np.ndarray) -> np.ndarray:
        """Read (..., len(masks)) expectation values of the strings ``masks``; returns (..., K)."""
        return values if self.kind == "z_strings" else values @ self._signs(np.dtype(float))

    def pull_back(self, cotangent: np.ndarray) -> np.ndarray:
        """Turn dL/dy (..., K) into dL/dp (..., D)."""
        if self.kind == "probabilities":
            return cotangent * cotangent.dtype.type(1 << self.num_qubits)
        return cotangent @ self._signs(cotangent.dtype)


@lru_cache(maxsize=64)
def _signs_in(masks: tuple[int, ...], num_qubits: int, dtype: np.dtype) -> np.ndarray:
    """Return the sign of every string in every bitstring, (strings, D), and keep it: every batch is read by it."""
    signs = string_signs(masks, num_qubits).astype(dtype)
    signs.flags.writeable = False
    return signs
