"""Chooses disjoint chains of qubits on a device by its calibration, for circuits that run side by side.

A chain is a path on the coupling graph. Each of the paths is scored by what the circuit would keep on it, and the
disjoint set is the one with the largest sum of squared fidelities, because that is what shots are worth: an
expectation value shrunk to F takes 1/F^2 times the shots. Chains far worse than the best are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit.transpiler import Target
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, vstack

from qlam_qiskit.errors import PlanningError
from qlam_qiskit.planning.budget import edge_losses, qubit_losses
from qlam_qiskit.planning.usage import Usage, typical_usage

# Paths kept for each end qubit while they grow: all of them up to ten qubits or so on a heavy-hex lattice.
_PATHS_PER_END = 200
# Paths kept for each qubit when disjoint ones are chosen; more make the choice slower and hardly better.
_PATHS_PER_QUBIT = 16


@dataclass(frozen=True)
class Chain:
    """Physical qubits in the order of the circuit's, and the fidelity predicted for the circuit on them."""

    qubits: tuple[int, ...]
    fidelity: float


def find_chains(
    target: Target, usage: Usage, *, at_most: int | None = None, worst: float = 0.5, min_fidelity: float = 0.0
) -> tuple[Chain, ...]:
    """Return disjoint chains for a circuit of that usage, the best first.

    ``at_most`` chains; none whose fidelity is under ``worst`` times the best one's, or under ``min_fidelity`` unless
    all are. Qubits and edges that are broken are avoided. Raises PlanningError when the device has no such chain.
    """
    paths, losses = _paths(usage, target)
    if not len(paths):
        raise PlanningError(f"the device has no chain of {usage.num_qubits} working qubits")
    # Relative to the best, since the fidelity of a deep circuit is nothing that squares.
    ratio = np.exp(losses.min() - losses)
    good = ratio >= worst
    if np.exp(-losses.min()) >= min_fidelity:
        good &= np.exp(-losses) >= min_fidelity
    good = np.flatnonzero(good)[_best_of_each_qubit(paths[good], losses[good], target.num_qubits)]
    paths, losses, ratio = paths[good], losses[good], ratio[good]
    chosen = _pack(paths, ratio**2, target.num_qubits, at_most)
    chosen = chosen[np.argsort(losses[chosen], kind="stable")]
    return tuple(Chain(tuple(paths[k].tolist()), float(np.exp(-losses[k]))) for k in chosen)


def typical_chain(num_qubits: int, target: Target) -> tuple[int, ...]:
    """Return the best qubits for one layer of gates: those to write a circuit for, before its usage is known.

    Raises PlanningError when the device has no chain of so many.
    """
    return find_chains(target, typical_usage(num_qubits, target), at_most=1)[0].qubits


def _paths(usage: Usage, target: Target) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Grow paths qubit by qubit; return them, shape (paths, n), each in its better direction, and their losses."""
    of_qubit, of_edge = qubit_losses(usage, target), edge_losses(usage, target)
    width = target.num_qubits
    neighbours = _neighbours(of_edge, width)
    paths = np.arange(width)[:, None]
    losses = of_qubit[0].copy()
    for position in range(1, usage.num_qubits):
        ends = np.repeat(paths[:, -1], neighbours.shape[1])
        following = neighbours[paths[:, -1]].ravel()
        paths = np.repeat(paths, neighbours.shape[1], axis=0)
        losses = np.repeat(losses, neighbours.shape[1])
        losses = losses + of_edge[position - 1][ends, following] + of_qubit[position][following]
        real = (following >= 0) & np.isfinite(losses) & (paths != following[:, None]).all(axis=1)
        paths = np.column_stack((paths, following))[real]
        losses = losses[real]
        kept = _best_of_each_end(paths[:, -1], losses)
        paths, losses = paths[kept], losses[kept]
    finite = np.isfinite(losses)
    paths, losses = paths[finite], losses[finite]
    order = np.argsort(losses, kind="stable")
    paths, losses = paths[order], losses[order]
    _, first = np.unique(np.sort(paths, axis=1), axis=0, return_index=True)
    return paths[first], losses[first]


def _neighbours(of_edge: NDArray[np.float64], width: int) -> NDArray[np.int64]:
    """List each qubit's neighbours, shape (qubits, largest degree), filled up with -1."""
    linked = np.isfinite(of_edge).any(axis=0) if len(of_edge) else np.zeros((width, width), dtype=bool)
    listed = [np.flatnonzero(row) for row in linked]
    neighbours = np.full((width, max((len(row) for row in listed), default=0)), -1)
    for qubit, row in enumerate(listed):
        neighbours[qubit, : len(row)] = row
    return neighbours


def _best_of_each_end(ends: NDArray[np.int64], losses: NDArray[np.float64]) -> NDArray[np.int64]:
    order = np.lexsort((losses, ends))
    sorted_ends = ends[order]
    starts = np.searchsorted(sorted_ends, sorted_ends)
    return order[np.arange(len(order)) - starts < _PATHS_PER_END]


def _best_of_each_qubit(paths: NDArray[np.int64], losses: NDArray[np.float64], width: int) -> NDArray[np.int64]:
    seen = np.zeros(width, dtype=np.int64)
    kept = []
    for index in np.argsort(losses, kind="stable"):
        if (seen[paths[index]] < _PATHS_PER_QUBIT).any():
            kept.append(index)
            seen[paths[index]] += 1
    return np.array(kept)


def _pack(paths: NDArray[np.int64], worth: NDArray[np.float64], width: int, at_most: int | None) -> NDArray[np.int64]:
    """Choose disjoint paths of the largest total worth: an integer program, solved to within a thousandth."""
    count, length = paths.shape
    uses = csr_array((np.ones(paths.size), (paths.ravel(), np.repeat(np.arange(count), length))), shape=(width, count))
    limit = np.ones(width)
    if at_most is not None:
        uses = vstack([uses, csr_array(np.ones((1, count)))])
        limit = np.append(limit, at_most)
    solution = milp(
        -worth,
        constraints=LinearConstraint(uses, ub=limit),
        integrality=np.ones(count),
        bounds=Bounds(0, 1),
        # A limit on nodes, not on time, so that the same calibration gives the same chains.
        options={"mip_rel_gap": 1e-3, "node_limit": 100},
    )
    if solution.x is not None:
        return np.flatnonzero(solution.x > 0.5)
    chosen, taken = [], set()
    for index in np.argsort(-worth, kind="stable"):
        if taken.isdisjoint(paths[index].tolist()) and len(chosen) != at_most:
            chosen.append(index)
            taken.update(paths[index].tolist())
    return np.array(chosen)
