"""What can be said of density matrices, given as their Pauli strings' numbers r_P = tr(P rho), (..., 4^n)."""

from __future__ import annotations

import numpy as np

from qlam_qiskit.engine import pauli_matrices


def purity(states: np.ndarray) -> np.ndarray:
    """Return Tr(rho^2), (...): 1 for a pure state, 2^-n for a completely mixed one."""
    return np.sum(states**2, axis=-1) / 2 ** num_qubits(states)


def logarithmic_negativity(states: np.ndarray) -> np.ndarray:
    """Return each qubit's logarithmic negativity with all others, in bits, (..., n).

    log2 of the trace norm of the partial transpose: 0 where that shows no entanglement, 1 at most. Source: Vidal and
    Werner, Phys. Rev. A 65, 032314.
    """
    strings = np.arange(states.shape[-1])
    found = []
    for qubit in range(num_qubits(states)):
        # To transpose a qubit turns its Y, digit 3 of a string, into -Y.
        signs = np.where(strings >> 2 * qubit & 3 == 3, -1.0, 1.0)
        found.append(np.log2(np.maximum(_trace_norm(states * signs), 1.0)))
    return np.stack(found, axis=-1)


def fidelity_with_last(states: np.ndarray) -> np.ndarray:
    """Return the fidelity (tr sqrt(sqrt(rho_T) rho_t sqrt(rho_T)))^2 of states (..., T + 1, 4^n), (..., T + 1)."""
    values, vectors = np.linalg.eigh(density_matrices(states[..., -1, :]))
    root = vectors * np.sqrt(np.maximum(values, 0))[..., None, :] @ vectors.conj().swapaxes(-1, -2)
    inner = root[..., None, :, :] @ density_matrices(states) @ root[..., None, :, :]
    return np.sqrt(np.maximum(np.linalg.eigvalsh(inner), 0)).sum(axis=-1) ** 2


def trace_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return half the trace norm of the difference, (...): one measurement tells the two apart in (1 + D) / 2 cases."""
    return _trace_norm(first - second) / 2


def density_matrices(states: np.ndarray) -> np.ndarray:
    """Return the density matrices, complex (..., 2^n, 2^n), little-endian as Qiskit's."""
    paulis = pauli_matrices(num_qubits(states))
    dimension = paulis.shape[-1]
    return (states @ paulis.reshape(len(paulis), -1)).reshape(*states.shape[:-1], dimension, dimension) / dimension


def num_qubits(states: np.ndarray) -> int:
    """Return n of states (..., 4^n)."""
    return (states.shape[-1].bit_length() - 1) // 2


def _trace_norm(operators: np.ndarray) -> np.ndarray:
    return np.abs(np.linalg.eigvalsh(density_matrices(operators))).sum(axis=-1)
