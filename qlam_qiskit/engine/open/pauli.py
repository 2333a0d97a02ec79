"""Density matrices as Pauli strings: their order, their products, and superoperators in that basis.

A state of n qubits is the 4^n real numbers r_P = tr(P rho). String P is the number whose digits to base 4, qubit 0 the
lowest, are I = 0, X = 1, Z = 2, Y = 3: bit 0 of a digit flips the qubit, bit 1 changes its phase, so that a product of
strings is, up to a phase, the exclusive or of their numbers.
"""

from __future__ import annotations

from functools import cache

import numpy as np

DIGITS = "IXZY"
_MATRICES = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, -1]], [[0, -1j], [1j, 0]]], complex)
# PQ = i^k S for one qubit, k by digits of P and Q: XY = iZ, YZ = iX, ZX = iY.
_POWERS = np.array([[0, 0, 0, 0], [0, 0, 3, 1], [0, 1, 0, 3], [0, 3, 1, 0]])


def string_of(label: str, qubits: tuple[int, ...] | list[int]) -> int:
    """Return the number of the string with ``label[k]`` on ``qubits[k]`` and I elsewhere."""
    return sum(DIGITS.index(letter) << 2 * qubit for letter, qubit in zip(label, qubits, strict=True))


def support(string: int) -> frozenset[int]:
    """Return the qubits on which a string is not I."""
    return frozenset(qubit for qubit in range((string.bit_length() + 1) // 2) if string >> 2 * qubit & 3)


def commute(first: int, second: int) -> bool:
    """Say whether two strings commute."""
    crossed = (first >> 1) & second ^ first & (second >> 1)
    return not (crossed & 0x5555_5555_5555_5555).bit_count() & 1


def move(string: int, place: dict[int, int]) -> int:
    """Carry a string's letters from each qubit to ``place[qubit]``."""
    return sum((string >> 2 * qubit & 3) << 2 * place[qubit] for qubit in support(string))


@cache
def turned_pairs(string: int, num_qubits: int) -> np.ndarray:
    """List the pairs (a, b) that exp(-i t P/2) turns: int64 (4^n / 4, 2).

    r_a becomes cos(t) r_a - sin(t) r_b, and r_b becomes cos(t) r_b + sin(t) r_a; all other strings commute with P.
    """
    strings = np.arange(4**num_qubits)
    power = np.zeros_like(strings)
    for qubit in range(num_qubits):
        power += _POWERS[string >> 2 * qubit & 3, strings >> 2 * qubit & 3]
    # i P Q is minus the partner where P Q = i S, and the partner itself where P Q = -i S.
    first = strings[power % 4 == 1]
    return np.stack([first, first ^ string], axis=1)


@cache
def pauli_matrices(num_qubits: int) -> np.ndarray:
    """Tabulate the matrices of all strings in order: complex (4^n, 2^n, 2^n), little-endian."""
    matrices = np.ones((1, 1, 1), complex)
    for _ in range(num_qubits):
        matrices = np.einsum("pab,qcd->pqacbd", _MATRICES, matrices).reshape(
            4 * len(matrices), 2 * matrices.shape[1], 2 * matrices.shape[2]
        )
    return matrices


def transfer_of_unitary(unitary: np.ndarray) -> np.ndarray:
    """Return the Pauli transfer matrix of a unitary (2^k, 2^k): float64 (4^k, 4^k) on the numbers r."""
    return transfer_of_kraus([unitary])


def transfer_of_kraus(operators: list[np.ndarray]) -> np.ndarray:
    """Return the Pauli transfer matrix of rho -> sum_k K rho K^dagger: float64 (4^k, 4^k)."""
    dimension = len(operators[0])
    paulis = pauli_matrices(dimension.bit_length() - 1)
    images = sum(operator @ paulis @ operator.conj().T for operator in operators)
    return np.einsum("pab,qba->pq", paulis, images).real / dimension


def transfer_of_superoperator(superoperator: np.ndarray) -> np.ndarray:
    """Return the Pauli transfer matrix of a superoperator in Qiskit's column-stacking form (4^k, 4^k)."""
    dimension = 1 << (len(superoperator).bit_length() - 1) // 2
    paulis = pauli_matrices(dimension.bit_length() - 1)
    columns = paulis.transpose(0, 2, 1).reshape(len(paulis), -1)  # vec stacks columns
    images = (columns @ superoperator.T).reshape(len(paulis), dimension, dimension).transpose(0, 2, 1)
    return np.einsum("pab,qba->pq", paulis, images).real / dimension


def embed(matrix: np.ndarray, qubits: list[int] | tuple[int, ...], num_qubits: int) -> np.ndarray:
    """Extend a Pauli transfer matrix on some qubits to the strings of ``num_qubits`` qubits."""
    strings = np.arange(4**num_qubits)
    own = np.zeros_like(strings)
    rest = strings.copy()
    for place, qubit in enumerate(qubits):
        own |= (strings >> 2 * qubit & 3) << 2 * place
        rest &= ~(3 << 2 * qubit)
    return np.where(rest[:, None] == rest, matrix[own[:, None], own], 0.0)


RESET = np.array([[1.0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
DEPHASE = np.diag([1.0, 0, 1, 0])
