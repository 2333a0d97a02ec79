"""Groups of operations as torch tensors: what they do to the states of all samples and registers, forward and backward.

A state is (N, D) complex, amplitudes in Qiskit's little-endian order. Angles come for C steps at once, (C, N, width),
and become *tables*, a tuple of tensors for each step; to apply a table is one launch for a run of phases or a
permutation, and one for every four qubits that turn. Backward, psi and the adjoint state lambda = dL/dpsi* are undone
together, as (2 N, D), by the tables of the inverse; all gradients of the C steps are computed at once from the states
between layers.
"""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Protocol

import numpy as np
import torch

from qlam_qiskit.engine.plan import PhaseRun
from qlam_qiskit.engine.primitives import Permutation, string_signs
from qlam_qiskit.engine.torch.grouping import Group, LocalRotations

GROUP_QUBITS = 4  # qubits whose rotations become one matrix: 16 x 16
Table = tuple[torch.Tensor, ...]
_PAULIS = {"X": [[0, 1], [1, 0]], "Y": [[0, -1j], [1j, 0]], "Z": [[1, 0], [0, -1]]}


class Layer(Protocol):
    """One group of operations; ``width`` angles, and about ``size`` numbers in a sample's table."""

    width: int
    size: int

    def tables(self, angles: torch.Tensor) -> list[Table]:
        """Return what :meth:`apply` takes, for each of C steps, from angles (C, N, width)."""

    def inverse_tables(self, angles: torch.Tensor) -> list[Table]:
        """Return the tables that undo those of :meth:`tables` on two states of each sample, (2 N, D)."""

    def apply(self, states: torch.Tensor, table: Table) -> torch.Tensor:
        """Apply one step's table; returns new states of the same shape."""

    def gradient(self, angles: torch.Tensor, psi: torch.Tensor, adjoint: torch.Tensor) -> torch.Tensor:
        """Return dL/d(angles) from psi and lambda just after the layer, both (C, N, D)."""


def make_layer(part: Group, qubits: int, device: torch.device, dtype: torch.dtype) -> Layer:
    """Put a group on a device; ``dtype`` is that of the angles."""
    if isinstance(part, LocalRotations):
        return _Rotations(part, qubits, device, dtype)
    return _Phases(part, qubits, device, dtype) if isinstance(part, PhaseRun) else _Gather(part, device)


class _Rotations:
    """One-qubit unitaries on all qubits, as a Kronecker product of matrices on up to four qubits each.

    The amplitudes' last axis, the lowest group of qubits, is contracted with its matrix and comes out first; once every
    group had its turn, the axes are in their old order, and nothing was ever copied to be transposed.
    """

    def __init__(self, rotations: LocalRotations, qubits: int, device: torch.device, dtype: torch.dtype) -> None:
        self._shape = (len(rotations.rows), qubits)
        self.width = prod(self._shape)
        self._groups = [part.tolist() for part in np.array_split(np.arange(qubits), -(-qubits // GROUP_QUBITS))]
        self.size = sum(4 ** len(part) for part in self._groups)
        generators = [[_PAULIS[axis] for axis, _ in row] for row in rotations.rows]
        self._generators = -1j * torch.tensor(generators, dtype=dtype.to_complex(), device=device)  # (K, n, 2, 2)
        self._identity = torch.eye(2, dtype=dtype, device=device)

    def _unitaries(self, angles: torch.Tensor) -> torch.Tensor:
        """Multiply the rotations of each qubit, (C, N, n, 2, 2)."""
        half = angles.unflatten(-1, self._shape)[..., None, None] / 2
        unitary, *later = (torch.cos(half) * self._identity + torch.sin(half) * self._generators).unbind(-4)
        for turn in later:
            unitary = _times(turn, unitary)
        return unitary

    def _matrices(self, angles: torch.Tensor) -> list[torch.Tensor]:
        """Return each group's matrices (C, N, g, g)."""
        unitary = self._unitaries(angles)
        return [reduce(_kron, (unitary[..., qubit, :, :] for qubit in reversed(part))) for part in self._groups]

    def tables(self, angles: torch.Tensor) -> list[Table]:
        return _by_step(self._matrices(angles))

    def inverse_tables(self, angles: torch.Tensor) -> list[Table]:
        # Written out twice: a matrix product would copy what it has to broadcast, step by step.
        return _by_step([matrix.mH.resolve_conj().repeat(1, 2, 1, 1) for matrix in self._matrices(angles)])

    def apply(self, states: torch.Tensor, table: Table) -> torch.Tensor:
        count, dimension = states.shape
        for matrix in table:
            states = torch.bmm(matrix, states.view(count, -1, matrix.shape[-1]).mT)
        return states.view(count, dimension)

    def gradient(self, angles: torch.Tensor, psi: torch.Tensor, adjoint: torch.Tensor) -> torch.Tensor:
        """Find the cotangent 2 Tr_rest(|lambda><psi|) U of each qubit's U; torch carries it from U to the angles."""
        lead = angles.shape[:2]
        reduced = []
        for part in self._groups:
            shape = (*lead, -1, 1 << len(part), 1 << part[0])
            matrix = torch.einsum("cnlgr,cnlhr->cngh", adjoint.view(shape), psi.view(shape).conj())
            for place in range(len(part)):
                rest = (1 << len(part) - place - 1, 2, 1 << place)
                reduced.append(torch.einsum("cnlarlbr->cnab", matrix.view(*lead, *rest, *rest)))
        with torch.enable_grad():
            leaf = angles.detach().requires_grad_()
            unitaries = self._unitaries(leaf)
        cotangent = 2 * _times(torch.stack(reduced, dim=2), unitaries.detach())
        return torch.autograd.grad(unitaries, leaf, cotangent)[0]


class _Phases:
    """Diagonal gates, exp(-i/2 sum_k a_k Z_k): backward, Im(conj(lambda) psi) of each amplitude serves all strings."""

    def __init__(self, run: PhaseRun, qubits: int, device: torch.device, dtype: torch.dtype) -> None:
        self.width = len(run.angles)
        self.size = 1 << qubits
        self._signs = torch.from_numpy(string_signs(list(run.angles), qubits)).to(device, dtype)
        self._one = torch.ones((), dtype=dtype, device=device)

    def tables(self, angles: torch.Tensor) -> list[Table]:
        turned = (angles @ self._signs).mul_(-0.5)
        return _by_step([torch.polar(self._one.expand_as(turned), turned)])

    def inverse_tables(self, angles: torch.Tensor) -> list[Table]:
        return self.tables(-angles)

    def apply(self, states: torch.Tensor, table: Table) -> torch.Tensor:
        (factors,) = table
        return (states.view(-1, *factors.shape) * factors).view(states.shape)

    def gradient(self, angles: torch.Tensor, psi: torch.Tensor, adjoint: torch.Tensor) -> torch.Tensor:
        return (adjoint.conj() * psi).imag @ self._signs.T


class _Gather:
    """A permutation: each amplitude is fetched from its old place."""

    width, size = 0, 0

    def __init__(self, permutation: Permutation, device: torch.device) -> None:
        self._target = torch.from_numpy(permutation.target).to(device)
        self._source = torch.argsort(self._target)

    def tables(self, angles: torch.Tensor) -> list[Table]:
        return [(self._source,)] * len(angles)

    def inverse_tables(self, angles: torch.Tensor) -> list[Table]:
        return [(self._target,)] * len(angles)

    def apply(self, states: torch.Tensor, table: Table) -> torch.Tensor:
        return states.index_select(1, table[0])

    def gradient(self, angles: torch.Tensor, psi: torch.Tensor, adjoint: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(angles)  # of width 0


def _times(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the products of batches of small matrices, for which a library's products are slow."""
    return (left.unsqueeze(-1) * right.unsqueeze(-3)).sum(-2)


def _kron(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Return the Kronecker products of batches of matrices, ``low`` on the less significant qubits."""
    product = high[..., :, None, :, None] * low[..., None, :, None, :]
    return product.flatten(-2).flatten(-3, -2)


def _by_step(parts: list[torch.Tensor]) -> list[Table]:
    return list(zip(*(part.unbind() for part in parts), strict=True))
