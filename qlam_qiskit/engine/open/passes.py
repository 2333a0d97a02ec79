"""Joins neighbouring operations on one qubit that one pass over the state can do: fewer loads and stores.

Two turns about different axes of a qubit are a pass over its X, Y and Z rows; a turn that mixes Z with X or Y, and a
channel that damps the qubit after it, a pass over all rows. Where a step ends with the latter and begins with the
former, one pass can do both, from one step to the next.

Turns that commute with each other and follow a map need not be undone on the state backward: their gradients may be
taken at the state after them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qlam_qiskit.engine.open.chain import Chain, damps
from qlam_qiskit.engine.open.pauli import commute, support, turned_pairs
from qlam_qiskit.engine.open.primitives import Turn
from qlam_qiskit.engine.primitives import Angle

_Z = 2  # the digit of Z in a string


@dataclass(frozen=True)
class TwoTurns:
    """Two turns about different axes of one qubit: the first turns letter p towards q, the second q towards r."""

    qubit: int
    letters: tuple[int, int, int]
    angles: tuple[Angle, Angle]

    @property
    def qubits(self) -> frozenset[int]:
        """The qubit that it acts on."""
        return frozenset((self.qubit,))


@dataclass(frozen=True, eq=False)
class DampedTurn:
    """A turn of Z towards ``letter``, X or Y, of one qubit, and a channel that damps it."""

    qubit: int
    letter: int
    angle: Angle
    chain: Chain

    @property
    def qubits(self) -> frozenset[int]:
        """The qubit that it acts on."""
        return frozenset((self.qubit,))


@dataclass(frozen=True)
class CommutingTurns:
    """Turns that commute with each other, after a map with nothing between."""

    turns: tuple[Turn, ...]

    @property
    def qubits(self) -> frozenset[int]:
        """The qubits that they act on."""
        return frozenset().union(*(turn.qubits for turn in self.turns))


@dataclass(frozen=True, eq=False)
class Crossing:
    """The end of one step on a qubit and the beginning of the next."""

    end: DampedTurn
    beginning: TwoTurns

    @property
    def qubits(self) -> frozenset[int]:
        """The qubit that it acts on."""
        return self.end.qubits


Operation = Turn | Chain | TwoTurns | DampedTurn | CommutingTurns | Crossing


@dataclass(frozen=True)
class Passes:
    """The first step of a sequence, every later one, and what the state after any of them lacks when it is read."""

    first: list[Operation]
    later: list[Operation]
    last: list[DampedTurn]


def whole_steps(operations: Sequence[Operation]) -> Passes:
    """Let every step do all of its operations."""
    gathered = _gather_turns(operations)
    return Passes(gathered, gathered, [])


def cross_steps(operations: Sequence[Operation], is_shared: Callable[[Angle], bool]) -> Passes:
    """Join the end of each step with the beginning of the next on every qubit that allows it.

    ``is_shared`` says whether an angle is the same in all steps, as one that is carried on to the next has to be.
    """
    beginnings: dict[int, TwoTurns] = {}
    ends: dict[int, DampedTurn] = {}
    touched: set[int] = set()
    for operation in operations:
        if isinstance(operation, TwoTurns) and operation.qubit not in touched:
            beginnings[operation.qubit] = operation
        touched |= set(operation.qubits)
    touched = set()
    for operation in reversed(operations):
        if isinstance(operation, DampedTurn) and operation.qubit not in touched and is_shared(operation.angle):
            ends[operation.qubit] = operation
        touched |= set(operation.qubits)
    crossings = [Crossing(end, beginnings[qubit]) for qubit, end in sorted(ends.items()) if qubit in beginnings]
    last = [crossing.end for crossing in crossings]
    joined = {id(part) for crossing in crossings for part in (crossing.end, crossing.beginning)}
    first = [operation for operation in operations if operation not in last]  # ends are equal to none but themselves
    later = [*crossings, *(operation for operation in operations if id(operation) not in joined)]
    return Passes(_gather_turns(first), _gather_turns(later), last)


def _gather_turns(operations: Sequence[Operation]) -> list[Operation]:
    """Gather turns that commute and follow a map into one operation."""
    gathered: list[Operation] = []
    after_map = False
    for operation in operations:
        before = gathered[-1] if gathered else None
        if isinstance(operation, Turn) and after_map:
            gathered.append(CommutingTurns((operation,)))
        elif (
            isinstance(operation, Turn)
            and isinstance(before, CommutingTurns)
            and all(commute(operation.string, turn.string) for turn in before.turns)
        ):
            gathered[-1] = CommutingTurns((*before.turns, operation))
        else:
            gathered.append(operation)
        after_map = isinstance(operation, Chain | DampedTurn | Crossing)
    return gathered


def join_passes(operations: Sequence[Turn | Chain], emissions: bool) -> list[Operation]:
    """Join what can be; with ``emissions``, a channel that yields one stays by itself, for the state before it."""
    joined: list[Operation] = []
    for operation in operations:
        place, both = _partner(joined, operation, emissions)
        if both is None:
            joined.append(operation)
        else:
            joined[place] = both
    return joined


def _partner(joined: list[Operation], new: Turn | Chain, emissions: bool) -> tuple[int, Operation | None]:
    """Find an operation that ``new`` reaches and can be joined with."""
    for place in range(len(joined) - 1, -1, -1):
        earlier = joined[place]
        both = _join(earlier, new, emissions) if isinstance(earlier, Turn) else None
        if both is not None:
            return place, both
        if frozenset(earlier.qubits) & frozenset(new.qubits) and not (
            isinstance(earlier, Turn) and isinstance(new, Turn) and commute(earlier.string, new.string)
        ):
            break
    return -1, None


def _join(earlier: Turn, new: Turn | Chain, emissions: bool) -> Operation | None:
    if len(earlier.qubits) > 1 or frozenset(new.qubits) != earlier.qubits:
        return None
    (qubit,) = earlier.qubits
    first = _turned(earlier)
    if isinstance(new, Turn):
        second = _turned(new)
        (common,) = set(first) & set(second)
        p, r = (next(letter for letter in pair if letter != common) for pair in (first, second))
        angles = _towards(earlier, p, common), _towards(new, common, r)
        return TwoTurns(qubit, (p, common, r), angles)
    if _Z not in first or (emissions and new.emissions) or not damps(new.pattern()[0]):
        return None
    (letter,) = set(first) - {_Z}
    return DampedTurn(qubit, letter, _towards(earlier, _Z, letter), new)


def _turned(turn: Turn) -> tuple[int, int]:
    """Return the letters (a, b) that a turn on one qubit turns, a towards b."""
    (qubit,) = support(turn.string)
    ((first, second),) = turned_pairs(turn.string >> 2 * qubit, 1).tolist()
    return first, second


def _towards(turn: Turn, first: int, second: int) -> Angle:
    return turn.angle if _turned(turn) == (first, second) else turn.angle * -1.0
