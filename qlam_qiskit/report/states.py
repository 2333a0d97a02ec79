"""The memory at every step: its states psi_0 ... psi_T, and what can be said of them.

The exact engine keeps one state of a sequence, which is all that training needs. Here the engine's plan of one step
is applied by numpy, to all sequences at once, and every state is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qiskit.circuit import Parameter

from qlam_qiskit.engine import (
    AngleFunctions,
    Operation,
    Permutation,
    PhaseRun,
    Rotation,
    beside,
    compile_plan,
    string_signs,
)
from qlam_qiskit.memory_circuit import MemoryCircuit


def trajectory(memory: MemoryCircuit, angles: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the states psi_0 ... psi_T of sequences, complex (B, T + 1, D), up to a global phase each.

    angles (B, T, P) and weights (W,) in radians; psi_0 = |0...0>, amplitudes in Qiskit's little-endian order.
    """
    plan = compile_plan(memory.update, memory.inputs, memory.weights)
    samples, steps, _ = angles.shape
    arguments = beside(angles, weights)
    parameters = (*plan.inputs, *plan.weights)
    turns = [_angles(operation, parameters, arguments, plan.num_qubits) for operation in plan.operations]
    states = np.zeros((samples, steps + 1, 1 << memory.num_qubits), np.complex128)
    states[:, 0, 0] = 1.0
    for step in range(steps):
        state = states[:, step]
        for operation, turn in zip(plan.operations, turns, strict=True):
            state = _apply(operation, None if turn is None else turn[:, step], state)
        states[:, step + 1] = state
    return states


def entanglement_entropy(states: np.ndarray) -> np.ndarray:
    """Return each qubit's entanglement entropy with all others, in bits, (..., n), for pure states (..., D).

    It is the von Neumann entropy of the qubit's reduced state: 0 for a qubit on its own, 1 if maximally entangled.
    """
    num_qubits = states.shape[-1].bit_length() - 1
    entropies = np.empty((*states.shape[:-1], num_qubits))
    for qubit in range(num_qubits):
        off, on = np.moveaxis(states.reshape(*states.shape[:-1], -1, 2, 1 << qubit), -2, 0)
        populations = [np.sum(np.abs(part) ** 2, axis=(-2, -1)) for part in (off, on)]
        coherence = np.abs(np.sum(off * on.conj(), axis=(-2, -1)))
        length = np.sqrt((populations[0] - populations[1]) ** 2 + 4 * coherence**2)  # of the Bloch vector
        larger = (1 + np.minimum(length, 1.0)) / 2
        entropies[..., qubit] = -sum(_times_log(part) for part in (larger, 1 - larger))
    return entropies


def overlap_with_last(states: np.ndarray) -> np.ndarray:
    """Return |<psi_t|psi_T>|^2 of states (..., T + 1, D), shape (..., T + 1)."""
    return np.abs(np.einsum("...td,...d->...t", states.conj(), states[..., -1, :])) ** 2


def _times_log(probability: np.ndarray) -> np.ndarray:
    return probability * np.log2(np.where(probability > 0, probability, 1.0))


def _angles(
    operation: Operation, parameters: Sequence[Parameter], arguments: np.ndarray, num_qubits: int
) -> np.ndarray | None:
    """Evaluate an operation's angle at every step: (B, T) of a rotation, (B, T, D) of phases."""
    if isinstance(operation, Permutation):
        return None
    if isinstance(operation, Rotation):
        return AngleFunctions([operation.angle], parameters)(arguments)[..., 0]
    strings = AngleFunctions(list(operation.angles.values()), parameters)(arguments)
    return strings @ string_signs(tuple(operation.angles), num_qubits)


def _apply(operation: Operation, angles: np.ndarray | None, state: np.ndarray) -> np.ndarray:
    """Apply an operation to states (B, D), with each state's own angles."""
    if isinstance(operation, Permutation):
        moved = np.empty_like(state)
        moved[:, operation.target] = state
        return moved
    if isinstance(operation, PhaseRun):
        return state * np.exp(-0.5j * angles)
    cosine, sine = (part[:, None, None] for part in (np.cos(angles / 2), np.sin(angles / 2)))
    parts = state.reshape(len(state), -1, 2, 1 << operation.qubit)
    off, on = parts[:, :, 0], parts[:, :, 1]
    down, up = (-1j * sine, -1j * sine) if operation.axis == "X" else (-sine, sine)
    return np.stack([cosine * off + down * on, cosine * on + up * off], axis=2).reshape(state.shape)
