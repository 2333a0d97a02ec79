"""What all samples and steps share as functions of the weights, and gradients back: once a run, in float64.

Chains of one structure are evaluated at once. A turn is 1, cos and sin of its angle times fixed matrices, so that the
coefficients of a chain with few turns are a short polynomial, and so are their slopes: one small product makes both.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
from qiskit.circuit import Parameter

from qlam_qiskit.engine.angles import AngleFunctions
from qlam_qiskit.engine.open.chain import Chain, ChainValues
from qlam_qiskit.engine.primitives import Angle

_MOST_TURNS = 4  # of a chain that is written as a polynomial: it has 3 terms for each turn, multiplied
# The matrices of 1, cos and sin, from those at the angles 0, pi / 2 and pi.
_AT = (0.0, np.pi / 2, np.pi)
_INTERPOLATION = np.array([[0.5, 0.0, 0.5], [0.5, 0.0, -0.5], [-0.5, 1.0, -0.5]])
_DERIVATIVE = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # of x + y cos + z sin


@dataclass(frozen=True)
class PlacedChain:
    """A chain's place among the coefficients: its elements (rows, columns) and those of its emissions."""

    chain: Chain
    elements: np.ndarray  # (2, elements)
    trained: np.ndarray  # (elements,)
    coefficients: np.ndarray  # (elements,)
    emissions: np.ndarray  # (emissions of the chain, 4^k)
    damps: bool  # whether it has the form x -> a x, y -> b y, z -> c z + d

    @property
    def numbers(self) -> np.ndarray:
        """All its coefficients."""
        return np.concatenate([self.coefficients, self.emissions.ravel()])


@dataclass(frozen=True)
class SharedNumbers:
    """``values`` (H, C + A + R) at weights of H registers, and in ``saved`` what the way back needs.

    Coefficients come first, then angles of turns, then of each angle row the part that inputs do not change.
    """

    values: np.ndarray
    saved: list[tuple[np.ndarray, Any]]


class SharedFunctions:
    """Angles that no input changes, and coefficients of chains, as functions of the weights."""

    def __init__(
        self,
        turns: Sequence[Angle],
        offsets: Sequence[Angle],
        chains: Sequence[PlacedChain],
        num_coefficients: int,
        weights: Sequence[Parameter],
    ) -> None:
        alike: dict[Hashable, list[PlacedChain]] = {}
        for placed in chains:  # of the same form, elements may be zero only where angles are the same
            alike.setdefault((placed.chain.structure, placed.elements.tobytes()), []).append(placed)
        self._batches = [_Batch(members) for members in alike.values()]
        of_chains = [angle for batch in self._batches for angle in batch.angles]
        self._functions = AngleFunctions([*of_chains, *turns, *offsets], weights)
        ends = np.cumsum([len(batch.angles) for batch in self._batches], dtype=int).tolist()
        self._slices = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
        self._num_coefficients, self._num_of_chains = num_coefficients, len(of_chains)

    def __call__(self, weights: np.ndarray) -> SharedNumbers:
        """Evaluate at weights (H, W)."""
        angles = self._functions(weights)
        others = angles[:, self._num_of_chains :]
        values = np.empty((len(weights), self._num_coefficients + others.shape[1]))
        values[:, self._num_coefficients :] = others
        saved = []
        for batch, own in zip(self._batches, self._slices, strict=True):
            of_batch = angles[:, own].reshape(len(weights) * batch.count, -1)
            found, kept = batch.function(of_batch)
            values[:, batch.numbers] = found.reshape(len(weights), -1)
            saved.append((of_batch, kept))
        return SharedNumbers(values, saved)

    def pull_back(
        self, weights: np.ndarray, shared: SharedNumbers, coefficients: np.ndarray, others: np.ndarray
    ) -> np.ndarray:
        """Turn the gradients of coefficients (H, C) and other values (H, A + R) into that of the weights (H, W)."""
        received = [
            batch.function.pull_back(angles, kept, coefficients[:, batch.numbers].reshape(len(angles), -1))
            for batch, (angles, kept) in zip(self._batches, shared.saved, strict=True)
        ]
        of_chains = [part.reshape(len(weights), -1) for part in received]
        return self._functions.pull_back(weights, np.concatenate([*of_chains, others], axis=1))


class _Function(Protocol):
    """N chains of one structure at once: their angles (N, A) to the numbers of each (N, E), and back."""

    def __call__(self, angles: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return the numbers, and what the way back needs."""

    def pull_back(self, angles: np.ndarray, saved: Any, received: np.ndarray) -> np.ndarray:
        """Turn gradients of the numbers into those of the angles."""


class _Batch:
    """Chains of one structure, and so of one function."""

    def __init__(self, members: Sequence[PlacedChain]) -> None:
        first = members[0]
        self.count = len(members)
        self.angles = [angle for placed in members for angle in placed.chain.angles]
        self.numbers = np.concatenate([placed.numbers for placed in members])
        exact = _Product(first.chain, first.elements)
        self.function: _Function = _Polynomial(exact) if len(first.chain.angles) <= _MOST_TURNS else exact


class _Product:
    """A chain's numbers as the product of its turns and fixed matrices."""

    def __init__(self, chain: Chain, elements: np.ndarray) -> None:
        self.chain, self._elements = chain, elements

    def __call__(self, angles: np.ndarray) -> tuple[np.ndarray, ChainValues]:
        values = self.chain.at_angles(angles)
        parts = values.matrix[:, *self._elements], values.emissions.reshape(len(angles), -1)
        return np.concatenate(parts, axis=1), values

    def pull_back(self, angles: np.ndarray, saved: ChainValues, received: np.ndarray) -> np.ndarray:
        matrix = np.zeros_like(saved.matrix)
        count = self._elements.shape[1]
        matrix[:, *self._elements] = received[:, :count]
        emissions = received[:, count:].reshape(saved.emissions.shape)
        return self.chain.pull_back_to_angles(angles, saved, matrix, emissions)


class _Polynomial:
    """The same numbers as a sum over products of 1, cos or sin of every angle, and their slopes over the same."""

    def __init__(self, exact: _Product) -> None:
        self._turns = len(exact.chain.angles)
        points = np.array(list(product(_AT, repeat=self._turns)))
        terms = self._each(exact(points)[0], _INTERPOLATION, range(self._turns))
        slopes = [self._each(terms, _DERIVATIVE, [turn]) for turn in range(self._turns)]
        self._size = terms.shape[1]
        self._terms = np.concatenate([terms, *slopes], axis=1)  # (3^A, (1 + A) E)

    def _each(self, terms: np.ndarray, matrix: np.ndarray, turns: Iterable[int]) -> np.ndarray:
        """Multiply terms (3^A, E) with a matrix in the place of some turns."""
        shaped = terms.reshape(*(3,) * self._turns, -1)
        for turn in turns:
            shaped = np.moveaxis(np.tensordot(matrix, shaped, (1, turn)), 0, turn)
        return shaped.reshape(terms.shape)

    def __call__(self, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        factors = np.ones((*angles.shape, 3))
        np.cos(angles, out=factors[..., 1])
        np.sin(angles, out=factors[..., 2])
        monomials = factors[:, 0] if self._turns else np.ones((len(angles), 1))
        for turn in range(1, self._turns):
            monomials = (monomials[:, :, None] * factors[:, turn, None]).reshape(len(angles), -1)
        found = (monomials @ self._terms).reshape(len(angles), 1 + self._turns, self._size)
        return found[:, 0], found[:, 1:]

    def pull_back(self, angles: np.ndarray, saved: np.ndarray, received: np.ndarray) -> np.ndarray:
        return (saved @ received[:, :, None])[:, :, 0]
