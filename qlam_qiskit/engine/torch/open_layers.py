"""An open plan's operations in layers, so that a step is few launches on a device.

What depends on weights alone, between two layers that inputs change, is one matrix on the whole register. The turns of
a layer that inputs change are small matrices on windows of one or two neighbouring qubits, one for each sample and
step; a turn that fits into no window turns pairs of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qlam_qiskit.engine.open.chain import Chain
from qlam_qiskit.engine.open.pauli import commute, move, turned_pairs
from qlam_qiskit.engine.open.plan import OpenPlan
from qlam_qiskit.engine.open.primitives import Turn

WINDOW = 2  # qubits of a window: matrices of 16 x 16


@dataclass
class SharedLayer:
    """Turns and chains that are the same for all samples and steps, in order."""

    operations: list[Turn | Chain] = field(default_factory=list)


@dataclass
class WindowLayer:
    """Turns on the qubits from ``first`` on, ``count`` of them, one after the other."""

    first: int
    count: int
    operations: list[Turn] = field(default_factory=list)


@dataclass
class PairLayer:
    """One turn about a string that no window holds."""

    operations: list[Turn]


Layer = SharedLayer | WindowLayer | PairLayer


def layers_of(plan: OpenPlan) -> list[Layer]:
    """Arrange a step in layers: an operation joins the last layer of its kind that it reaches, or begins a new one."""
    layers: list[Layer] = []
    for operation in plan.operations:
        new = _layer_for(operation, plan)
        for layer in reversed(layers):
            if not isinstance(layer, PairLayer) and _same_place(layer, new):
                layer.operations.append(operation)
                break
            if any(_order_matters(earlier, operation) for earlier in layer.operations):
                new.operations.append(operation)
                layers.append(new)
                break
        else:
            new.operations.append(operation)
            layers.append(new)
    return layers


def _layer_for(operation: Turn | Chain, plan: OpenPlan) -> Layer:
    if isinstance(operation, Chain) or not plan.depends_on_input(operation.angle):
        return SharedLayer()
    windows = {qubit // WINDOW for qubit in operation.qubits}
    if len(windows) > 1:
        return PairLayer([])
    first = WINDOW * windows.pop()
    return WindowLayer(first, min(WINDOW, plan.num_qubits - first))


def _same_place(layer: Layer, new: Layer) -> bool:
    if isinstance(layer, WindowLayer) and isinstance(new, WindowLayer):
        return layer.first == new.first
    return isinstance(layer, SharedLayer) and isinstance(new, SharedLayer)


def _order_matters(earlier: Turn | Chain, new: Turn | Chain) -> bool:
    if isinstance(earlier, Turn) and isinstance(new, Turn):
        return not commute(earlier.string, new.string)
    return not set(earlier.qubits).isdisjoint(new.qubits)


def turn_matrices(turn: Turn, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return A and G (4^k, 4^k) of a turn on k qubits from ``first`` on, which is 1 + (cos(t) - 1) A + sin(t) G."""
    place = {qubit: qubit - first for qubit in turn.qubits}
    one, other = turned_pairs(move(turn.string, place), count).T
    turned, generator = np.zeros((2, 4**count, 4**count))
    turned[one, one] = turned[other, other] = 1
    generator[one, other], generator[other, one] = -1, 1
    return turned, generator
