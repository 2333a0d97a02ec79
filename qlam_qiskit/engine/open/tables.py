"""Turns an open plan into the arrays that the compiled loops read, and weights into what all steps share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from qiskit.circuit import Parameter

from qlam_qiskit.engine.angles import AngleFunctions, parameters_of
from qlam_qiskit.engine.arrays import AngleRows
from qlam_qiskit.engine.open.arrays import (
    CROSSING,
    DAMP,
    DAMPED_TURN,
    EMIT,
    FIELDS,
    MAP,
    TURN,
    TURNS,
    TWO_TURNS,
    OpenCircuit,
    OpenShared,
    OpenSteps,
    OpenSums,
    Program,
)
from qlam_qiskit.engine.open.chain import Chain, damps
from qlam_qiskit.engine.open.passes import (
    CommutingTurns,
    Crossing,
    DampedTurn,
    Operation,
    Passes,
    TwoTurns,
    cross_steps,
    join_passes,
    whole_steps,
)
from qlam_qiskit.engine.open.pauli import turned_pairs
from qlam_qiskit.engine.open.plan import OpenPlan
from qlam_qiskit.engine.open.primitives import Turn
from qlam_qiskit.engine.open.shared import PlacedChain, SharedFunctions, SharedNumbers
from qlam_qiskit.engine.primitives import Angle
from qlam_qiskit.engine.simd import Rows, Table
from qlam_qiskit.engine.tables import RowBook


class _Place(NamedTuple):
    """A map's operation, and for each of its emissions the number and the bounds of its elements."""

    operation: tuple[int, ...]
    emissions: list[tuple[int, int, int]]


class CompiledOpenSteps:
    """One circuit, ready to run: integer arrays, and the functions from weights to shared angles and matrices."""

    def __init__(self, plan: OpenPlan, dtype: type[np.floating]) -> None:
        self.plan = plan
        self.dtype = dtype
        self._book = RowBook(plan.inputs)
        self._shared: dict[tuple[str, frozenset[Parameter]], tuple[int, Angle]] = {}
        chains = [operation for operation in plan.operations if isinstance(operation, Chain)]
        numbered, self.num_trained, self.num_coefficients = _number(chains)
        layout = _Layout(plan.num_qubits)
        places = {mine.chain: layout.place(mine) for mine in numbered}
        silent, emitting = (join_passes(plan.operations, emissions) for emissions in (False, True))
        crossed = cross_steps(silent, lambda angle: not plan.depends_on_input(angle))
        programs = [
            self._program(passes, layout, places) for passes in (whole_steps(silent), crossed, whole_steps(emitting))
        ]
        # Angles that are not affine in the inputs are evaluated before the run, and enter as if they were inputs.
        self.evaluated = None
        if self._book.nonlinear:
            self.evaluated = AngleFunctions(self._book.angles, (*plan.inputs, *plan.weights))
        starts, indices, factors, rests = self._book.affine_rows(identity=self.evaluated is not None)
        self.width, self.num_shared = len(rests), len(self._shared)
        turns = [angle for _, angle in self._shared.values()]
        self._functions = SharedFunctions(turns, rests, numbered, self.num_coefficients, plan.weights)
        self.steps = OpenSteps(
            plain=programs[0],
            crossing=programs[1],
            emitting=programs[2],
            **layout.arrays(),
            maps_in_step=len(chains),
            row_starts=Table(starts, np.int64),
            row_inputs=Table(indices, np.int64),
            row_factors=Table(factors, dtype),
        )

    def _program(self, passes: Passes, layout: _Layout, places: dict[Chain, _Place]) -> Program:
        first, later, last = (
            self._integers(operations, layout, places) for operations in (passes.first, passes.later, passes.last)
        )
        return Program(first, len(first), later, len(later), last, len(last), len(passes.last))

    def _integers(self, operations: Sequence[Operation], layout: _Layout, places: dict[Chain, _Place]) -> Table:
        """Write operations as integers."""
        program: list[tuple[int, ...]] = []
        for operation in operations:
            if isinstance(operation, Turn):
                program.append((TURN, *layout.pairs(operation.string), *self._angle(operation.angle)))
            elif isinstance(operation, CommutingTurns):
                turns = [(*layout.pairs(turn.string), *self._angle(turn.angle)) for turn in operation.turns]
                program.append((TURNS, *layout.turns(turns)))
            elif isinstance(operation, TwoTurns):
                letters = (letter << 2 * operation.qubit for letter in operation.letters)
                program.append((TWO_TURNS, layout.bases([operation.qubit])[0], *letters, *self._two_angles(operation)))
            elif isinstance(operation, DampedTurn):
                program.append((DAMPED_TURN, *self._damped_turn(operation, layout, places)))
            elif isinstance(operation, Crossing):
                end = self._damped_turn(operation.end, layout, places)
                beginning = operation.beginning
                program.append((CROSSING, *end, *beginning.letters, *self._two_angles(beginning)))
            else:
                program.extend((EMIT, *emission) for emission in places[operation].emissions)
                program.append(places[operation].operation)
        return _flat(operation + (0,) * (FIELDS - len(operation)) for operation in program)

    def _damped_turn(self, turn: DampedTurn, layout: _Layout, places: dict[Chain, _Place]) -> tuple[int, ...]:
        first, _ = layout.bases([turn.qubit])
        return *places[turn.chain].operation[1:], turn.letter, *self._angle(turn.angle), first

    def _two_angles(self, turns: TwoTurns) -> tuple[int, ...]:
        return *self._angle(turns.angles[0]), *self._angle(turns.angles[1])

    def _angle(self, angle: Angle) -> tuple[int, int]:
        """Say whether an angle is shared by all samples, and its row."""
        if self.plan.depends_on_input(angle):
            return 0, self._book.add(angle)
        # Two expressions may be written alike, as of a parameter named "a + b", but not of the same parameters.
        key = str(angle), parameters_of(angle)
        if key not in self._shared:
            self._shared[key] = len(self._shared), angle
        return 1, self._shared[key][0]

    def share(self, weights: np.ndarray) -> SharedNumbers:
        """Compute what all steps and samples share from weights (H, W)."""
        return self._functions(weights)

    def circuit(self, steps_at_once: int, lanes: int) -> OpenCircuit:
        """Join the steps with buffers of one block: its angle rows, what it shares, and the sums of its gradients."""
        inputs = self.width if self.evaluated is not None else len(self.plan.inputs)
        sizes = (inputs, self.width, self.width, self.width)
        offsets, coefficients = (np.zeros(count, self.dtype) for count in (self.width, self.num_coefficients))
        shared = OpenShared(
            offsets=Table(offsets, self.dtype),
            coefficients=Table(coefficients, self.dtype),
            cosines=Rows(self.num_shared, lanes, self.dtype),
            sines=Rows(self.num_shared, lanes, self.dtype),
            written_offsets=offsets,
            written_coefficients=coefficients,
        )
        sums = OpenSums(
            offsets=np.zeros(self.width),
            shared=np.zeros(self.num_shared),
            coefficients=np.zeros(self.num_trained),
            shared_rows=Rows(self.num_shared, lanes, self.dtype),
            coefficient_rows=Rows(self.num_trained, lanes, self.dtype),
        )
        rows = AngleRows(*(Rows(steps_at_once * size, lanes, self.dtype) for size in sizes))
        return OpenCircuit(self.steps, shared, rows, sums)

    @property
    def num_sums(self) -> int:
        """Numbers that a block adds up: gradients of trained coefficients, of shared angles and of offsets."""
        return self.width + self.num_shared + self.num_trained

    def pull_back(self, weights: np.ndarray, shared: SharedNumbers, totals: np.ndarray) -> np.ndarray:
        """Turn the totals (H, blocks, sums) of all blocks into the gradient of the weights: float64 (H, W)."""
        sums = totals.sum(axis=1)
        coefficients = np.zeros((len(weights), self.num_coefficients))
        coefficients[:, : self.num_trained] = sums[:, : self.num_trained]
        return self._functions.pull_back(weights, shared, coefficients, sums[:, self.num_trained :])


def _number(chains: Sequence[Chain]) -> tuple[list[PlacedChain], int, int]:
    """Give the coefficients of all chains their numbers, those that depend on weights first.

    Returns the maps, and how many coefficients are trained, and how many there are.
    """
    patterns = [chain.pattern() for chain in chains]
    damping = [damps(present) for present, _ in patterns]
    trained = []
    for (present, changing), damped in zip(patterns, damping, strict=True):
        elements = _DAMPING if damped else np.array(np.nonzero(present))
        changes = changing[tuple(elements)]
        trained.append((elements, np.full(4, changes.any()) if damped else changes))
    fixed = sum(int(part.sum()) for _, part in trained)
    fixed += sum(len(chain.emissions) * 4 ** len(chain.qubits) for chain in chains)
    next_trained, next_fixed = 0, fixed
    maps = []
    for chain, damped, (elements, is_trained) in zip(chains, damping, trained, strict=True):
        coefficients = np.empty(elements.shape[1], np.int64)
        count = int(is_trained.sum())
        coefficients[is_trained] = np.arange(next_trained, next_trained + count)
        coefficients[~is_trained] = np.arange(next_fixed, next_fixed + len(coefficients) - count)
        next_trained += count
        next_fixed += len(coefficients) - count
        size = (len(chain.emissions), 4 ** len(chain.qubits))
        emissions = np.arange(next_trained, next_trained + size[0] * size[1]).reshape(size)
        next_trained += emissions.size
        maps.append(PlacedChain(chain, elements, is_trained, coefficients, emissions, damped))
    return maps, fixed, next_fixed


# The elements of a channel that damps, as rows and columns.
_DAMPING = np.array([[1, 3, 2, 2], [1, 3, 2, 0]])


class _Layout:
    """Lays the operations of a step out as arrays of integers."""

    def __init__(self, num_qubits: int) -> None:
        self._num_qubits = num_qubits
        self._pairs: dict[int, np.ndarray] = {}
        self._sets: list[tuple[int, ...]] = []
        self._bases: list[int] = []
        self._groups: dict[int, tuple[int, int]] = {}
        self._outputs: list[tuple[int, int, int]] = []
        self._elements: list[tuple[int, int]] = []
        self._transposes: list[int] = []
        self._gradients: list[tuple[int, int, int]] = []

    def pairs(self, string: int) -> tuple[int, int]:
        """Lay out the pairs of a turn, once for each string; returns their bounds."""
        size = 4**self._num_qubits // 4
        if string not in self._pairs:
            self._pairs[string] = turned_pairs(string, self._num_qubits)
        place = list(self._pairs).index(string)
        return place * size, (place + 1) * size

    def turns(self, turns: Sequence[tuple[int, ...]]) -> tuple[int, int]:
        """Lay out a set of turns; returns its bounds."""
        first = len(self._sets)
        self._sets.extend(turns)
        return first, len(self._sets)

    def place(self, mine: PlacedChain) -> _Place:
        """Lay out a map and its emissions."""
        return _Place(self._damping(mine) if mine.damps else self._add(mine), self._emissions(mine))

    def _damping(self, mine: PlacedChain) -> tuple[int, ...]:
        """Describe a map of the form that damping has."""
        return DAMP, 4 ** mine.chain.qubits[0], int(mine.coefficients[0]), int(mine.trained[0])

    def _add(self, mine: PlacedChain) -> tuple[int, ...]:
        """Lay out any other map; returns its operation."""
        local = rows_of(mine.chain.qubits)
        bases, place = self.bases(mine.chain.qubits), len(self._transposes)
        rows, columns = mine.elements
        outputs = self._add_outputs(mine, local, rows, columns)
        transposed = self._add_outputs(mine, local, columns, rows)
        first = len(self._gradients)
        for k in np.flatnonzero(mine.trained):
            self._gradients.append((int(local[rows[k]]), int(local[columns[k]]), int(mine.coefficients[k])))
        self._transposes.extend((*transposed, first, len(self._gradients)))
        return MAP, *bases, *outputs, place

    def bases(self, qubits: Sequence[int]) -> tuple[int, int]:
        """Lay out the rows of the strings that are I on some qubits, once; returns their bounds."""
        mask = sum(3 << 2 * qubit for qubit in qubits)
        if mask not in self._groups:
            first = len(self._bases)
            self._bases.extend(base for base in range(4**self._num_qubits) if not base & mask)
            self._groups[mask] = first, len(self._bases)
        return self._groups[mask]

    def _add_outputs(
        self, mine: PlacedChain, local: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> tuple[int, int]:
        begin = len(self._outputs)
        for index, row in enumerate(local):
            first = len(self._elements)
            for k in np.flatnonzero(rows == index):
                self._elements.append((int(local[columns[k]]), int(mine.coefficients[k])))
            self._outputs.append((int(row), first, len(self._elements)))
        return begin, len(self._outputs)

    def _emissions(self, mine: PlacedChain) -> list[tuple[int, int, int]]:
        """Lay out the emissions of a map; returns for each its number and the bounds of its elements."""
        local = rows_of(mine.chain.qubits)
        found = []
        for emission, coefficients in zip(mine.chain.emissions, mine.emissions, strict=True):
            first = len(self._elements)
            self._elements.extend((int(row), int(k)) for row, k in zip(local, coefficients, strict=True))
            found.append((emission, first, len(self._elements)))
        return found

    def arrays(self) -> dict[str, Table]:
        """Return the tables by their names."""
        return {
            "pairs": _flat(pairs.ravel() for pairs in self._pairs.values()),
            "sets": _flat(self._sets),
            "bases": Table(self._bases, np.int64),
            "outputs": _flat(self._outputs),
            "elements": _flat(self._elements),
            "transposes": Table(self._transposes, np.int64),
            "gradients": _flat(self._gradients),
        }


def _flat(entries: Iterable[Sequence[int]]) -> Table:
    """Join tuples of integers end to end."""
    return Table([number for entry in entries for number in entry], np.int64)


def rows_of(qubits: Sequence[int]) -> np.ndarray:
    """Return the rows of the strings on some qubits alone, in the order of a chain's matrix."""
    strings = np.arange(4 ** len(qubits))
    return sum((strings >> 2 * place & 3) << 2 * qubit for place, qubit in enumerate(qubits))
