"""Every state of a memory with channels, for a look inside: what the engine runs, applied by numpy and kept.

The engine itself keeps no more states than its backward pass needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlam_qiskit.engine.angles import AngleFunctions
from qlam_qiskit.engine.arguments import beside
from qlam_qiskit.engine.open.chain import Chain
from qlam_qiskit.engine.open.pauli import turned_pairs
from qlam_qiskit.engine.open.plan import compile_open_plan
from qlam_qiskit.engine.open.primitives import Turn
from qlam_qiskit.engine.open.tables import rows_of
from qlam_qiskit.memory_circuit import MemoryCircuit


def open_trajectory(memory: MemoryCircuit, angles: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the states rho_0 ... rho_T of sequences, and what each step emits.

    Parameters
    ----------
    memory
        The circuit, open or not.
    angles, weights
        Of one register, (B, T, P) and (W,) (radians).

    Returns
    -------
    tuple
        The numbers tr(P rho_t) of all Pauli strings, float64 (B, T + 1, 4^n), in the order of
        :func:`pauli_matrices`, and the probabilities that the emission bits are 1, (B, T, E).

    Raises
    ------
    CircuitError
        If the circuit holds what cannot be run.
    """
    plan = compile_open_plan(memory.update, memory.inputs, memory.weights, memory.ancillas, memory.emissions)
    samples, steps, _ = angles.shape
    operations = [_prepare(operation, weights, plan.num_qubits) for operation in plan.operations]
    turns = [operation.angle for operation in plan.operations if isinstance(operation, Turn)]
    turned = AngleFunctions(turns, (*plan.inputs, *plan.weights))(beside(angles, weights))
    cosines, sines = np.cos(turned), np.sin(turned)
    strings, size = np.arange(4**plan.num_qubits), 4**plan.memory_qubits
    flips = sum(1 << 2 * qubit for qubit in range(plan.num_qubits))
    state = np.tile((strings & flips == 0).astype(float), (samples, 1))  # |0...0>: strings of I and Z are 1
    states = np.empty((samples, steps + 1, size))
    emitted = np.empty((samples, steps, plan.num_emissions))
    states[:, 0] = state[:, :size]
    for step in range(steps):
        angle = iter(np.stack([cosines[:, step], sines[:, step]]).T)  # of each turn in order, (B, 2)
        for operation in operations:
            if isinstance(operation, _Matrix):
                operation.apply(state, emitted[:, step])
            else:
                first, second = operation
                cosine, sine = next(angle).T[..., None]
                a, b = state[:, first], state[:, second]
                state[:, first], state[:, second] = cosine * a - sine * b, cosine * b + sine * a
        states[:, step + 1] = state[:, :size]
    return states, emitted


@dataclass(frozen=True)
class _Matrix:
    """A chain at its weights: its matrix on ``rows`` of the state, and which rows its emissions are read from."""

    matrix: np.ndarray
    rows: np.ndarray
    read: np.ndarray
    emissions: np.ndarray
    numbers: list[int]

    def apply(self, state: np.ndarray, emitted: np.ndarray) -> None:
        """Change states (B, 4^m) in place, and write what they emit before."""
        emitted[:, self.numbers] = state[:, self.read] @ self.emissions.T
        state[:, self.rows] = state[:, self.rows] @ self.matrix.T


def _prepare(operation: Turn | Chain, weights: np.ndarray, num_qubits: int) -> _Matrix | np.ndarray:
    """Return a chain's matrix, or the pairs that a turn turns, (2, 4^m / 4)."""
    if isinstance(operation, Turn):
        return turned_pairs(operation.string, num_qubits).T
    values, strings = operation.values(weights[None]), np.arange(4**num_qubits)
    own = rows_of(operation.qubits)
    others = strings[strings & own[-1] == 0]  # the last string is Y on every qubit, all bits of its digits
    return _Matrix(values.matrix[0], others[:, None] | own, own, values.emissions[0], operation.emissions)
