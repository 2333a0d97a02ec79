"""Compiles a step with channels into a plan: turns about Pauli strings, and small matrices shared by all samples.

Gates whose angles depend on inputs are turns, each a plane rotation of half of the numbers r. What depends on weights
alone is joined where that costs less: neighbouring gates, noise, and the gadgets on ancillas become one matrix on one or
two qubits. Two turns about one string become one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qiskit.circuit import Parameter, QuantumCircuit

from qlam_qiskit.engine.angles import parameters_of
from qlam_qiskit.engine.open.chain import MOST_QUBITS, Chain, damps, is_reset
from qlam_qiskit.engine.open.gadgets import Group, Item, order_matters, take_ancillas_out
from qlam_qiskit.engine.open.lowering import lower_open
from qlam_qiskit.engine.open.pauli import RESET, move
from qlam_qiskit.engine.open.primitives import Channel, Measurement, Primitive, Turn
from qlam_qiskit.engine.primitives import Angle

_MOST_JOINED = 2  # qubits of a matrix that joins others


@dataclass(frozen=True)
class OpenPlan:
    """One step as the open engine runs it.

    Attributes
    ----------
    num_qubits
        Qubits of the register: the memory's n, and after them the ancillas that could not be taken out.
    memory_qubits
        The first n of them.
    inputs, weights
        The circuit's parameters by role.
    operations
        What a step does, in order.
    num_emissions
        Probabilities of outcomes that a step yields, E.
    """

    num_qubits: int
    memory_qubits: int
    inputs: tuple[Parameter, ...]
    weights: tuple[Parameter, ...]
    operations: tuple[Turn | Chain, ...]
    num_emissions: int

    def depends_on_input(self, angle: Angle) -> bool:
        """Say whether an angle differs between samples."""
        return not parameters_of(angle).isdisjoint(self.inputs)


def compile_open_plan(
    circuit: QuantumCircuit,
    inputs: Sequence[Parameter],
    weights: Sequence[Parameter],
    ancillas: Sequence[int] = (),
    emissions: Sequence[int] = (),
) -> OpenPlan:
    """Compile a circuit; raises CircuitError naming an instruction that cannot be run, and its place."""
    primitives = lower_open(circuit, emissions)
    for ancilla in ancillas:
        last = next((part for part in reversed(primitives) if ancilla in part.qubits), None)
        if last is not None and not is_reset(last, ancilla):
            primitives.append(Channel((ancilla,), RESET))

    def is_shared(primitive: Primitive) -> bool:
        return not isinstance(primitive, Turn) or parameters_of(primitive.angle).isdisjoint(inputs)

    items, staying = take_ancillas_out(primitives, ancillas, is_shared)
    scheduler = _Scheduler(tuple(weights), is_shared)
    for item in items:
        scheduler.add(item if isinstance(item, Group | Turn) else Group((item,), item.qubits))
    memory = [qubit for qubit in range(circuit.num_qubits) if qubit not in ancillas]
    place = {qubit: index for index, qubit in enumerate((*memory, *staying))}
    operations = tuple(
        Turn(move(item.string, place), item.angle) if isinstance(item, Turn) else scheduler.chain(item, place)
        for item in scheduler.items
        if not _is_nothing(item)
    )
    return OpenPlan(len(place), len(memory), tuple(inputs), tuple(weights), operations, len(emissions))


class _Scheduler:
    """Orders items, each joined with an earlier one that it reaches where one matrix costs less than the two."""

    def __init__(self, weights: tuple[Parameter, ...], is_shared: object) -> None:
        self.items: list[Turn | Group] = []
        self._weights = weights
        self._is_shared = is_shared
        self._costs: dict[Turn | Group, float] = {}

    def add(self, new: Turn | Group) -> None:
        """Place an item."""
        for index in range(len(self.items) - 1, -1, -1):
            earlier = self.items[index]
            joined = self._joined(earlier, new)
            if joined is not None:
                del self.items[index]
                # What it was joined with may have been all that kept it from an item before.
                kept, self.items = self.items[index:], self.items[:index]
                self.add(joined)
                self.items.extend(kept)
                return
            if order_matters(earlier, new):
                break
        self.items.append(new)

    def _joined(self, earlier: Turn | Group, new: Turn | Group) -> Turn | Group | None:
        if isinstance(earlier, Turn) and isinstance(new, Turn):
            if earlier.string == new.string:
                return Turn(new.string, earlier.angle + new.angle)
            return None
        qubits = earlier.qubits | new.qubits
        if not earlier.qubits & new.qubits or qubits not in (earlier.qubits, new.qubits):
            return None
        if not all(isinstance(item, Group) or self._is_shared(item) for item in (earlier, new)):
            return None
        both = [item if isinstance(item, Group) else Group((item,), item.qubits) for item in (earlier, new)]
        joined = Group(
            both[0].primitives + both[1].primitives, qubits, both[0].ancillas | both[1].ancillas
        )
        if len(qubits) + len(joined.ancillas) > MOST_QUBITS:
            return None
        return joined if self._cost(joined) <= self._cost(earlier) + self._cost(new) else None

    def _cost(self, item: Turn | Group) -> float:
        """Estimate the time of an item forward, forward again and backward, in cycles for each number of a state."""
        if isinstance(item, Turn):
            return 4.5
        if item not in self._costs:
            present, trained = self.chain(item).pattern()
            if damps(present):
                self._costs[item] = 13.0 if trained.any() else 10.0
            else:
                self._costs[item] = 6 + 9 * present.sum() / len(present) + 5 * trained.sum() / len(present)
        return self._costs[item]

    def chain(self, group: Group, place: dict[int, int] | None = None) -> Chain:
        """Make a group's chain, its qubits carried to ``place``."""
        qubits, ancillas = sorted(group.qubits), sorted(group.ancillas)
        chain = Chain(group.primitives, qubits, ancillas, self._weights)
        if place is not None:
            chain.qubits = tuple(place[qubit] for qubit in qubits)
        return chain


def _is_nothing(item: Item) -> bool:
    return isinstance(item, Turn) and not parameters_of(item.angle) and float(item.angle) == 0.0


__all__ = ["Measurement", "OpenPlan", "compile_open_plan"]
