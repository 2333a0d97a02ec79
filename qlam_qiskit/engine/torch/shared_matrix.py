"""Turns and chains that all samples and steps share as one matrix of the whole register, and gradients back.

The matrix is made on the device from the weights, once for a run and in float64. Backward, turns are undone; the
matrix before a chain, which cannot be undone, is made again from a kept copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from qiskit.circuit import Parameter

from qlam_qiskit.engine.angles import AngleFunctions
from qlam_qiskit.engine.open.chain import Chain, ChainValues
from qlam_qiskit.engine.open.pauli import turned_pairs
from qlam_qiskit.engine.open.primitives import Turn


@dataclass(frozen=True)
class SharedValues:
    """The layer at weights of H registers: ``matrix`` (H, N, N) and ``emissions`` (H, E', N) on N = 4^n numbers.

    Emissions are functions of the state before the layer. ``angles`` and ``chains`` are the turns' and the chains'
    values in order; ``kept`` are the products before each chain.
    """

    matrix: torch.Tensor
    emissions: torch.Tensor
    angles: torch.Tensor
    chains: list[ChainValues]
    kept: list[torch.Tensor]


class SharedMatrix:
    """A layer's operations on ``num_qubits`` qubits, as a function of the weights."""

    def __init__(
        self,
        operations: Sequence[Turn | Chain],
        num_qubits: int,
        weights: Sequence[Parameter],
        device: torch.device,
    ) -> None:
        self._operations, self._size, self._device = tuple(operations), 4**num_qubits, device
        self._angles = AngleFunctions([part.angle for part in operations if isinstance(part, Turn)], weights)
        self.emissions = [number for part in operations if isinstance(part, Chain) for number in part.emissions]
        self._rows = [
            torch.from_numpy(
                turned_pairs(part.string, num_qubits).T.copy()
                if isinstance(part, Turn)
                else _groups(part.qubits, num_qubits)
            ).to(device)
            for part in operations
        ]

    def values(self, weights: np.ndarray) -> SharedValues:
        """Evaluate at weights (H, W)."""
        angles = self._to_device(self._angles(weights))
        product = torch.eye(self._size, dtype=torch.float64, device=self._device).repeat(len(weights), 1, 1)
        emissions, chains, kept, turns = [product[:, :0]], [], [], 0
        for operation, rows in zip(self._operations, self._rows, strict=True):
            if isinstance(operation, Turn):
                _turn(product, rows, angles[:, turns])
                turns += 1
                continue
            chain = operation.values(weights)
            emissions.append(self._to_device(chain.emissions) @ product[:, rows[0]])
            chains.append(chain)
            kept.append(product)
            product = _carry(product, rows, self._to_device(chain.matrix))
        return SharedValues(product, torch.cat(emissions, dim=1), angles, chains, kept)

    def pull_back(
        self, weights: np.ndarray, values: SharedValues, matrix: torch.Tensor, emissions: torch.Tensor
    ) -> np.ndarray:
        """Turn the gradients of ``values``, in float64, into that of the weights (H, W)."""
        gradient = np.zeros(weights.shape)
        of_angles = torch.zeros_like(values.angles)
        product, adjoint = values.matrix.clone(), matrix.clone()
        turns, left, end = len(self._angles), len(values.chains), emissions.shape[1]
        for operation, rows in zip(reversed(self._operations), reversed(self._rows), strict=True):
            if isinstance(operation, Turn):
                turns -= 1
                one, other = rows
                of_angles[:, turns] = (adjoint[:, other] * product[:, one] - adjoint[:, one] * product[:, other]).sum(
                    (1, 2)
                )
                for part in (product, adjoint):
                    _turn(part, rows, -values.angles[:, turns])
                continue
            left -= 1
            chain, product = values.chains[left], values.kept[left].clone()
            begin = end - len(operation.emissions)
            received = emissions[:, begin:end]
            of_matrix = torch.einsum("hgid,hgjd->hij", adjoint[:, rows], product[:, rows])
            of_emissions = received @ product[:, rows[0]].mT
            adjoint = _carry(adjoint, rows, self._to_device(chain.matrix).mT)
            adjoint[:, rows[0]] += self._to_device(chain.emissions).mT @ received
            gradient += operation.pull_back(weights, chain, of_matrix.cpu().numpy(), of_emissions.cpu().numpy())
            end = begin
        return gradient + self._angles.pull_back(weights, of_angles.cpu().numpy())

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(array, np.float64, order="C")).to(self._device)


def _groups(qubits: Sequence[int], num_qubits: int) -> np.ndarray:
    """List the rows of the strings on some qubits, for each string on the others: (groups, 4^k), I first."""
    strings = np.arange(4 ** len(qubits))
    local = sum((strings >> 2 * place & 3) << 2 * qubit for place, qubit in enumerate(qubits))
    mask = sum(3 << 2 * qubit for qubit in qubits)
    bases = np.array([base for base in range(4**num_qubits) if not base & mask])
    return bases[:, None] + local


def _carry(product: torch.Tensor, rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Multiply the rows of each group of ``product`` (H, N, N) with a matrix (H, 4^k, 4^k)."""
    result = torch.empty_like(product)
    result[:, rows] = torch.einsum("hij,hgjd->hgid", matrix, product[:, rows])
    return result


def _turn(product: torch.Tensor, rows: torch.Tensor, angles: torch.Tensor) -> None:
    """Turn pairs of rows of ``product`` (H, N, N) in place by angles (H,)."""
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    one, other = product[:, rows[0]], product[:, rows[1]]
    product[:, rows[0]], product[:, rows[1]] = cosine * one - sine * other, cosine * other + sine * one
