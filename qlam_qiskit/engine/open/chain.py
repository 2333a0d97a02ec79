"""A chain of primitives on a few qubits as one small matrix, made from the weights, with the way back for gradients.

The matrix acts on the memory's qubits alone. Ancillas of the chain start in |0> and are forgotten at its end. The
probabilities of emissions within the chain are linear in the state before it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from qiskit.circuit import Parameter

from qlam_qiskit.engine.angles import AngleFunctions, parameters_of
from qlam_qiskit.engine.open.pauli import DEPHASE, RESET, embed, move, string_of, turned_pairs
from qlam_qiskit.engine.open.primitives import Channel, Measurement, Primitive, Turn
from qlam_qiskit.engine.primitives import Angle

MOST_QUBITS = 4  # of a chain, ancillas included
_ZERO = 1e-13


@dataclass(frozen=True)
class ChainValues:
    """A chain at given weights of H registers.

    ``matrix`` (H, 4^k, 4^k) acts on the numbers r of the k memory qubits; ``emissions`` (H, E', 4^k) are the
    probabilities of the chain's emissions as linear functions of them; ``saved`` is what the way back needs.
    """

    matrix: np.ndarray
    emissions: np.ndarray
    saved: list[np.ndarray]


class Chain:
    """Primitives without inputs, on ``qubits`` of the memory (whose order is that of the matrix) and on ancillas."""

    def __init__(
        self,
        primitives: Sequence[Primitive],
        qubits: Sequence[int],
        ancillas: Sequence[int],
        weights: Sequence[Parameter],
    ) -> None:
        self.primitives, self.qubits, self.ancillas = tuple(primitives), tuple(qubits), tuple(ancillas)
        self._size = len(self.qubits) + len(self.ancillas)
        self._place = {qubit: index for index, qubit in enumerate((*self.qubits, *self.ancillas))}
        self._factors: list[np.ndarray | int] = []  # a fixed matrix, or the index of a turn's angle
        self._pairs: list[np.ndarray] = []
        self._read: dict[int, list[tuple[int, int]]] = {}  # before which factor: (emission, local row of Z)
        self.emissions: list[int] = []
        self.angles: list[Angle] = []
        for primitive in self.primitives:
            if isinstance(primitive, Turn) and parameters_of(primitive.angle):
                self._factors.append(len(self.angles))
                self.angles.append(primitive.angle)
                self._pairs.append(turned_pairs(move(primitive.string, self._place), self._size))
                continue
            if isinstance(primitive, Measurement) and primitive.emission is not None:
                row = string_of("Z", [self._place[primitive.qubit]])
                self._read.setdefault(len(self._factors), []).append((len(self.emissions), row))
                self.emissions.append(primitive.emission)
            self._multiply(self._fixed(primitive))
        self._functions = AngleFunctions(self.angles, weights)

    def _fixed(self, primitive: Primitive) -> np.ndarray:
        """Return the matrix of a primitive without parameters on the strings of all the chain's qubits."""
        if isinstance(primitive, Turn):
            matrix = np.eye(4**self._size)
            _turn(matrix[None], turned_pairs(move(primitive.string, self._place), self._size), float(primitive.angle))
            return matrix
        own, matrix = (
            ((primitive.qubit,), DEPHASE)
            if isinstance(primitive, Measurement)
            else (primitive.places, primitive.matrix)
        )
        return embed(matrix, [self._place[qubit] for qubit in own], self._size)

    def _multiply(self, matrix: np.ndarray) -> None:
        """Add a fixed factor, joined with the one before it unless an emission is read in between."""
        last = len(self._factors) - 1
        if last >= 0 and isinstance(self._factors[last], np.ndarray) and last + 1 not in self._read:
            self._factors[last] = matrix @ self._factors[last]
        else:
            self._factors.append(matrix)

    def values(self, weights: np.ndarray) -> ChainValues:
        """Evaluate at weights (H, W)."""
        return self.at_angles(self._functions(weights))

    def at_angles(self, angles: np.ndarray) -> ChainValues:
        """Evaluate at angles (H, A)."""
        states = np.broadcast_to(self._start, (len(angles), *self._start.shape))
        saved = []
        emissions = np.empty((len(angles), len(self.emissions), 4 ** len(self.qubits)))
        for position in range(len(self._factors) + 1):
            for index, row in self._read.get(position, ()):
                emissions[:, index] = (states[:, 0] - states[:, row]) / 2
            if position == len(self._factors):
                break
            factor = self._factors[position]
            if isinstance(factor, np.ndarray):
                states = factor @ states
            else:
                states = states.copy()
                _turn(states, self._pairs[factor], angles[:, factor])
            saved.append(states)
        return ChainValues(states[:, : 4 ** len(self.qubits)], emissions, saved)

    def pull_back(
        self, weights: np.ndarray, values: ChainValues, matrix: np.ndarray, emissions: np.ndarray
    ) -> np.ndarray:
        """Turn the gradients of ``values`` into that of the weights, (H, W)."""
        angles = self._functions(weights)
        return self._functions.pull_back(weights, self.pull_back_to_angles(angles, values, matrix, emissions))

    def pull_back_to_angles(
        self, angles: np.ndarray, values: ChainValues, matrix: np.ndarray, emissions: np.ndarray
    ) -> np.ndarray:
        """Turn the gradients of ``values`` into that of the angles, (H, A)."""
        gradient = np.zeros_like(angles)
        adjoint = np.zeros((len(angles), 4**self._size, 4 ** len(self.qubits)))
        adjoint[:, : matrix.shape[1]] = matrix
        for position in range(len(self._factors), -1, -1):
            if position < len(self._factors):
                factor = self._factors[position]
                if isinstance(factor, np.ndarray):
                    adjoint = factor.T @ adjoint
                else:
                    first, second = self._pairs[factor].T
                    after = values.saved[position]
                    moved = adjoint[:, second] * after[:, first] - adjoint[:, first] * after[:, second]
                    gradient[:, factor] = moved.sum(axis=(1, 2))
                    _turn(adjoint, self._pairs[factor], -angles[:, factor])
            for index, row in self._read.get(position, ()):
                adjoint[:, 0] += emissions[:, index] / 2
                adjoint[:, row] -= emissions[:, index] / 2
        return gradient

    @cached_property
    def structure(self) -> tuple[Hashable, ...]:
        """What chains have in common that differ in nothing but the angles of their turns."""
        factors = tuple(part if isinstance(part, int) else part.tobytes() for part in self._factors)
        pairs = tuple(part.tobytes() for part in self._pairs)
        return len(self.qubits), len(self.ancillas), factors, pairs, str(self._read)

    @cached_property
    def _start(self) -> np.ndarray:
        """The strings of all qubits as functions of the memory's: ancillas in |0>, where I and Z are 1."""
        start = np.eye(4 ** len(self.qubits))
        for _ in self.ancillas:
            start = np.concatenate([start, np.zeros_like(start), start, np.zeros_like(start)])
        return start

    def pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """Say which elements of the matrix can differ from zero, and which of them depend on the weights."""
        rng = np.random.default_rng(0)
        drawn = self.values(rng.uniform(0.1, 1.4, size=(3, self._functions.num_parameters))).matrix
        present = np.abs(drawn).max(axis=0) > _ZERO
        return present, present & (np.ptp(drawn, axis=0) > _ZERO)


def _turn(states: np.ndarray, pairs: np.ndarray, angles: np.ndarray | float) -> None:
    """Turn rows of states (H, 4^m, ...) in place by angles (H,)."""
    first, second = pairs.T
    cosine, sine = (np.asarray(part)[..., None, None] for part in (np.cos(angles), np.sin(angles)))
    a, b = states[:, first], states[:, second]
    states[:, first], states[:, second] = cosine * a - sine * b, cosine * b + sine * a


def is_reset(primitive: Primitive, qubit: int) -> bool:
    """Say whether a primitive is the reset of this qubit."""
    return isinstance(primitive, Channel) and primitive.places == (qubit,) and np.array_equal(primitive.matrix, RESET)


def damps(present: np.ndarray) -> bool:
    """Say whether a matrix of this pattern is a channel x -> a x, y -> b y, z -> c z + d of one qubit."""
    allowed = np.eye(4, dtype=bool)
    allowed[2, 0] = True
    return present.shape == (4, 4) and not (present & ~allowed).any()
