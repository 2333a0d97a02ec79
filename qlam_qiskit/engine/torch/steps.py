"""Layers one after the other, over several steps: the walk forward, and the walk back that undoes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import torch

from qlam_qiskit.engine.torch.grouping import Group
from qlam_qiskit.engine.torch.layers import make_layer

Visit = Callable[[int, torch.Tensor], None]


class Steps:
    """The groups of one step on a device, ready to run C steps at a time.

    Angles are (C, N, width), in the order in which the groups use them; states (N, D) complex.
    """

    def __init__(self, groups: Sequence[Group], qubits: int, device: torch.device, dtype: torch.dtype) -> None:
        self._layers = [make_layer(part, qubits, device, dtype) for part in groups]
        ends = [0, *accumulate(layer.width for layer in self._layers)]
        self._columns = [slice(*pair) for pair in pairwise(ends)]
        dimension = 1 << qubits
        # Backward: two states between layers, listed and stacked; tables, and about as much again while they are made.
        self._numbers = 4 * dimension * (len(self._layers) + 1) + sum(6 * layer.size for layer in self._layers)

    def bytes_of(self, samples: int, dtype: torch.dtype) -> int:
        """Estimate the working memory of one step of :meth:`backward`."""
        return samples * self._numbers * dtype.to_complex().itemsize

    def forward(self, states: torch.Tensor, angles: torch.Tensor, visit: Visit | None = None) -> torch.Tensor:
        """Run the steps; ``visit`` is shown the states after each."""
        tables = [layer.tables(angles[..., own]) for layer, own in zip(self._layers, self._columns, strict=True)]
        for step in range(len(angles)):
            for layer, table in zip(self._layers, tables, strict=True):
                states = layer.apply(states, table[step])
            if visit is not None:
                visit(step, states)
        return states

    def backward(
        self, pair: torch.Tensor, angles: torch.Tensor, visit: Visit | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Undo the steps on psi and lambda, one above the other in ``pair`` (2 N, D), and differentiate by the angles.

        ``visit`` is shown the pair before each step is undone, and may change it. Returns the pair before the first
        step, and dL/d(angles) (C, N, width).
        """
        count, samples, _ = angles.shape
        parts = [angles[..., own] for own in self._columns]
        tables = [layer.inverse_tables(part) for layer, part in zip(self._layers, parts, strict=True)]
        after: list[list[torch.Tensor]] = [[] for _ in self._layers]
        for step in reversed(range(count)):
            if visit is not None:
                visit(step, pair)
            for layer, table, states in zip(reversed(self._layers), reversed(tables), reversed(after), strict=True):
                if layer.width:
                    states.append(pair)
                pair = layer.apply(pair, table[step])
        gradient = torch.empty_like(angles)
        for layer, part, own, states in zip(self._layers, parts, self._columns, after, strict=True):
            if layer.width:
                psi, adjoint = (
                    torch.stack(half[::-1]) for half in zip(*(s.split(samples) for s in states), strict=True)
                )
                gradient[..., own] = layer.gradient(part, psi, adjoint)
            states.clear()
        return pair, gradient
