"""The four primitives that the exact engine runs: RX, RY, Pauli-Z strings, and permutations of the amplitudes.

Angles stay Qiskit ``ParameterExpression``s until numbers are bound. Amplitudes are little-endian, as in Qiskit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qiskit.circuit import ParameterExpression

Angle = ParameterExpression | float


@dataclass(frozen=True)
class Rotation:
    """exp(-i angle G/2) with G the Pauli ``axis`` ("X" or "Y") of one qubit."""

    axis: str
    qubit: int
    angle: Angle


@dataclass(frozen=True)
class Phase:
    """exp(-i angle Z/2) with Z the Pauli-Z string on the qubits whose bits are set in ``mask``."""

    mask: int
    angle: Angle


@dataclass(frozen=True, eq=False)
class Permutation:
    """The amplitude at index j moves to index ``target[j]``."""

    target: np.ndarray


Primitive = Rotation | Phase | Permutation


def permute_string(mask: int, target: np.ndarray) -> tuple[int, int] | None:
    """Express j -> Z_mask(target[j]) as sign * Z_mask'(j); None when the permutation makes it no Pauli-Z string.

    Returns (mask', sign): the string that acts before the permutation as Z_mask does after it.
    """
    indices = np.arange(len(target))
    values = _eigenvalues(mask, target)
    sign = int(values[0])
    qubits = range(len(target).bit_length() - 1)
    moved = sum(1 << qubit for qubit in qubits if values[1 << qubit] != sign)
    return (moved, sign) if np.array_equal(values, sign * _eigenvalues(moved, indices)) else None


def _eigenvalues(mask: int, indices: np.ndarray) -> np.ndarray:
    """Z_mask's eigenvalues (+1 or -1) at the given amplitudes."""
    return 1 - 2 * (np.bitwise_count(indices & mask).astype(np.int64) & 1)


def string_signs(masks: Sequence[int], num_qubits: int) -> np.ndarray:
    """Tabulate the eigenvalues of Pauli-Z strings: float64 (strings, 2^n), little-endian amplitudes."""
    indices = np.arange(1 << num_qubits)
    return np.array([_eigenvalues(mask, indices) for mask in masks], float).reshape(len(masks), 1 << num_qubits)
