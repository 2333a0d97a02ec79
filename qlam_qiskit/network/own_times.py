"""Samples read at times of their own, in groups that have the same: for what can only run samples that are alike.

Times (B, R) are the step that each reading of a sample follows, rising, -1 for never; a sample is as long as the last
of them says. The exact engines read every sample of a batch when its time comes; circuits are one for each length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qlam_qiskit.engine import Gradients

if TYPE_CHECKING:
    from qlam_qiskit.network.execution import Execution

_OfGroup = Callable[[tuple[int, ...]], "Execution"]


@dataclass(frozen=True)
class Group:
    """Samples that are alike: which of the batch, which of the R readings they have, and after which steps."""

    rows: np.ndarray
    slots: np.ndarray
    read: tuple[int, ...]

    @property
    def steps(self) -> int:
        """The length of these samples."""
        return self.read[-1] + 1

    def cut(self, angles: Any, queries: Any) -> tuple[Any, Any]:
        """Take this group's angles (b, steps, H, P) and queries (b or 1, r or 1, H, Q, A), arrays or tensors."""
        queries = queries[self.rows] if len(queries) > 1 else queries
        return angles[self.rows, : self.steps], queries[:, self.slots] if queries.shape[1] > 1 else queries


@dataclass(frozen=True)
class GroupTapes:
    """What a forward call in groups leaves for backward."""

    groups: list[Group]
    tapes: list[tuple[Execution, Any]]
    shapes: tuple[tuple[int, ...], ...]


def group_by_times(times: np.ndarray) -> list[Group]:
    """Divide a batch by its samples' times (B, R), short samples first; samples that are never read are left out."""
    kinds, kind_of = np.unique(times, axis=0, return_inverse=True)
    groups = []
    for kind in sorted(range(len(kinds)), key=lambda kind: int(kinds[kind].max())):
        slots = np.flatnonzero(kinds[kind] >= 0)
        if len(slots):
            rows = np.flatnonzero(kind_of.ravel() == kind)
            groups.append(Group(rows, slots, tuple(kinds[kind, slots].tolist())))
    return groups


def forward_in_groups(
    of_group: _OfGroup, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray, times: np.ndarray, size: int
) -> tuple[np.ndarray, GroupTapes]:
    """Run each group by itself; returns readouts (B, R, H, Q, ``size``), 0 where nothing is read, and the tapes."""
    values = np.zeros((*times.shape, angles.shape[2], queries.shape[3], size), angles.dtype)
    groups, tapes = group_by_times(times), []
    for group in groups:
        execution = of_group(group.read)
        of_angles, of_queries = group.cut(angles, queries)
        found, tape = execution.forward(of_angles, weights, of_queries)
        values[np.ix_(group.rows, group.slots)] = found
        tapes.append((execution, tape))
    return values, GroupTapes(groups, tapes, (angles.shape, np.shape(weights), (*times.shape, *queries.shape[2:])))


def backward_in_groups(tapes: GroupTapes, cotangent: np.ndarray) -> Gradients:
    """Carry dL/dy (B, R, H, Q, K) back through the groups."""
    total = Gradients(*(np.zeros(shape, cotangent.dtype) for shape in tapes.shapes))
    for group, (execution, tape) in zip(tapes.groups, tapes.tapes, strict=True):
        place = np.ix_(group.rows, group.slots)
        gradients = execution.backward(tape, cotangent[place])
        total.inputs[group.rows, : group.steps] = gradients.inputs
        total.weights[:] += gradients.weights
        total.queries[place] = gradients.queries
    return total


def differentiable_in_groups(
    of_group: _OfGroup, angles: torch.Tensor, weights: torch.Tensor, queries: torch.Tensor, times: np.ndarray, size: int
) -> torch.Tensor:
    """Run each group by operations of torch; returns readouts (B, R, H, Q, ``size``)."""
    values = angles.new_zeros(*times.shape, angles.shape[2], queries.shape[3], size)
    for group in group_by_times(times):
        of_angles, of_queries = group.cut(angles, queries)
        found = of_group(group.read).differentiable(of_angles, weights, of_queries)
        place = tuple(torch.from_numpy(part) for part in np.ix_(group.rows, group.slots))
        values = values.index_put(place, found)
    return values
