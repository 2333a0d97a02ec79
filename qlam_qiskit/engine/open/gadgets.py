"""Takes ancillas out of a step: what happens between their |0> and their reset is a channel on the memory alone.

A gadget is every primitive that touches an ancilla between two resets, with those that cannot be moved before or after
them. Without inputs in it, it is a chain (:mod:`.chain`), made from the weights once. An ancilla whose gadget has inputs,
or touches more of the memory than pays, stays a qubit of the register.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qlam_qiskit.engine.open.chain import MOST_QUBITS, is_reset
from qlam_qiskit.engine.open.pauli import commute
from qlam_qiskit.engine.open.primitives import Primitive, Turn

_MOST_OF_MEMORY = 2  # qubits; a matrix on three costs more than an ancilla kept


@dataclass(frozen=True)
class Group:
    """Primitives without inputs that become one matrix, on ``qubits`` of the register; ancillas are gone after it."""

    primitives: tuple[Primitive, ...]
    qubits: frozenset[int]
    ancillas: frozenset[int] = frozenset()


Item = Primitive | Group


def order_matters(first: Item, second: Item) -> bool:
    """Say whether two items may not change places."""
    if not _touched(first) & _touched(second):
        return False
    return not (isinstance(first, Turn) and isinstance(second, Turn) and commute(first.string, second.string))


def take_ancillas_out(
    primitives: Sequence[Primitive], ancillas: Sequence[int], is_shared: Callable[[Primitive], bool]
) -> tuple[list[Item], list[int]]:
    """Replace gadgets by groups; returns the items and the ancillas that stay.

    Each ancilla starts in |0> and has to be reset at the end. ``is_shared`` says whether a primitive has no inputs.
    """
    items: list[Item] = list(primitives)
    staying = set()
    for ancilla in ancillas:
        while ancilla not in staying:
            first = next((k for k, item in enumerate(items) if _is_on(item, ancilla)), None)
            if first is None:
                break
            gathered = _gather(items, ancilla, set(ancillas), is_shared)
            if gathered is None:
                staying.add(ancilla)
            else:
                items = gathered
    # A gadget of two ancillas is a group even where one of them stays, as both are |0> before and after it.
    return items, sorted(staying)


def _is_on(item: Item, qubit: int) -> bool:
    return not isinstance(item, Group) and qubit in item.qubits


def _touched(item: Item) -> frozenset[int]:
    return item.qubits | item.ancillas if isinstance(item, Group) else item.qubits


def _gather(
    items: list[Item], ancilla: int, ancillas: set[int], is_shared: Callable[[Primitive], bool]
) -> list[Item] | None:
    """Replace the first gadget of an ancilla by a group; None if it cannot be."""
    members = set(_segment(items, ancilla))
    while True:
        first, last = min(members), max(members)
        after, before = set(members), set(members)
        for k in range(first, last + 1):
            if any(order_matters(items[j], items[k]) for j in after if j < k):
                after.add(k)
        for k in range(last, first - 1, -1):
            if any(order_matters(items[k], items[j]) for j in before if j > k):
                before.add(k)
        hull = after & before
        grown = set(hull)
        for other in {qubit for k in hull for qubit in _touched(items[k]) & ancillas}:
            grown |= {k for k in _segment_around(items, other, hull)}
        if grown == members:
            break
        members = grown
    primitives: list[Primitive] = []
    for k in sorted(members):
        item = items[k]
        primitives.extend(item.primitives if isinstance(item, Group) else (item,))
    touched = frozenset().union(*(_touched(items[k]) for k in members))
    qubits = touched - ancillas
    if len(qubits) > _MOST_OF_MEMORY or len(touched) > MOST_QUBITS or not all(map(is_shared, primitives)):
        return None
    group = [Group(tuple(primitives), qubits, touched & ancillas)] if qubits else []
    earlier = [item for k, item in enumerate(items[:last]) if k not in after]
    later = [item for k, item in enumerate(items) if k > last or (k in after and k not in members)]
    return [*earlier, *group, *later]


def _segment(items: list[Item], ancilla: int) -> list[int]:
    """List the places of an ancilla's first primitives up to a reset."""
    places = []
    for k, item in enumerate(items):
        if _is_on(item, ancilla):
            places.append(k)
            if is_reset(item, ancilla):
                break
    return places


def _segment_around(items: list[Item], ancilla: int, chosen: set[int]) -> list[int]:
    """List the places of all of an ancilla's primitives between the resets that enclose the chosen ones."""
    segment: list[int] = []
    found: list[int] = []
    for k, item in enumerate(items):
        if _is_on(item, ancilla):
            segment.append(k)
            if is_reset(item, ancilla):
                if chosen.intersection(segment):
                    found.extend(segment)
                segment = []
    return found
