"""Turns an open plan into the arrays that the compiled loops read, and weights into what all steps share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from qiskit.circuit import Parameter

from qlam_qiskit.engine.angles import AngleFunctions, parameters_of
from qlam_qiskit.engine.arrays import AngleRows
from qlam_qiskit.engine.open.arrays import (
    DAMP,
    DAMPED_TURN,
    EMIT,
    FIELDS,
    MAP,
    TURN,
    TWO_TURNS,
    OpenCircuit,
    OpenShared,
    OpenSteps,
    OpenSums,
)
from qlam_qiskit.engine.open.chain import Chain, ChainBatch, ChainValues, damps
from qlam_qiskit.engine.open.passes import DampedTurn, Operation, TwoTurns, join_passes
from qlam_qiskit.engine.open.pauli import turned_pairs
from qlam_qiskit.engine.open.plan import OpenPlan
from qlam_qiskit.engine.open.primitives import Turn
from qlam_qiskit.engine.primitives import Angle
from qlam_qiskit.engine.simd import Rows, Table
from qlam_qiskit.engine.tables import RowBook, repeat


@dataclass(frozen=True)
class _Map:
    """A chain's place among the coefficients: its elements (rows, columns) and those of its emissions."""

    chain: Chain
    elements: np.ndarray  # (2, elements)
    trained: np.ndarray  # (elements,)
    coefficients: np.ndarray  # (elements,)
    emissions: np.ndarray  # (emissions of the chain, 4^k)
    damps: bool  # whether it has the form x -> a x, y -> b y, z -> c z + d


class _Place(NamedTuple):
    """A map's operation, and for each of its emissions the number and the bounds of its elements."""

    operation: tuple[int, ...]
    emissions: list[tuple[int, int, int]]


@dataclass(frozen=True)
class SharedOfRegisters:
    """What registers share with all their steps and samples, and what the way back to the weights needs."""

    registers: list[OpenShared]
    chains: list[ChainValues]  # of each batch of chains


class CompiledOpenSteps:
    """One circuit, ready to run: integer arrays, and the functions from weights to shared angles and matrices."""

    def __init__(self, plan: OpenPlan, dtype: type[np.floating]) -> None:
        self.plan = plan
        self.dtype = dtype
        self._book = RowBook(plan.inputs)
        self._shared: dict[tuple[str, frozenset[Parameter]], tuple[int, Angle]] = {}
        chains = [operation for operation in plan.operations if isinstance(operation, Chain)]
        numbered, self.num_trained, self.num_coefficients = _number(chains)
        self._batches = _batches(numbered, plan.weights)
        layout = _Layout(plan.num_qubits)
        places = {mine.chain: layout.place(mine) for mine in numbered}
        programs = [
            self._program(join_passes(plan.operations, emissions), layout, places) for emissions in (False, True)
        ]
        # Angles that are not affine in the inputs are evaluated before the run, and enter as if they were inputs.
        self.evaluated = None
        if self._book.nonlinear:
            self.evaluated = AngleFunctions(self._book.angles, (*plan.inputs, *plan.weights))
        starts, indices, factors, rests = self._book.affine_rows(identity=self.evaluated is not None)
        self._offsets = AngleFunctions(rests, plan.weights)
        self._shared_angles = AngleFunctions([angle for _, angle in self._shared.values()], plan.weights)
        self.steps = OpenSteps(
            operations=programs[0],
            length=len(programs[0]),
            emitting=programs[1],
            emitting_length=len(programs[1]),
            **layout.arrays(),
            maps_in_step=len(chains),
            row_starts=Table(starts, np.int64),
            row_inputs=Table(indices, np.int64),
            row_factors=Table(factors, dtype),
        )

    def _program(self, operations: Sequence[Operation], layout: _Layout, places: dict[Chain, _Place]) -> Table:
        """Write operations as integers."""
        program: list[tuple[int, ...]] = []
        for operation in operations:
            if isinstance(operation, Turn):
                program.append((TURN, *layout.pairs(operation.string), *self._angle(operation.angle)))
            elif isinstance(operation, TwoTurns):
                angles = (number for angle in operation.angles for number in self._angle(angle))
                letters = (letter << 2 * operation.qubit for letter in operation.letters)
                program.append((TWO_TURNS, layout.bases([operation.qubit])[0], *letters, *angles))
            elif isinstance(operation, DampedTurn):
                damping = places[operation.chain].operation[1:]
                first, _ = layout.bases([operation.qubit])
                program.append((DAMPED_TURN, *damping, operation.letter, *self._angle(operation.angle), first))
            else:
                program.extend((EMIT, *emission) for emission in places[operation].emissions)
                program.append(places[operation].operation)
        return _flat(operation + (0,) * (FIELDS - len(operation)) for operation in program)

    def _angle(self, angle: Angle) -> tuple[int, int]:
        """Say whether an angle is shared by all samples, and its row."""
        if self.plan.depends_on_input(angle):
            return 0, self._book.add(angle)
        # Two expressions may be written alike, as of a parameter named "a + b", but not of the same parameters.
        key = str(angle), parameters_of(angle)
        if key not in self._shared:
            self._shared[key] = len(self._shared), angle
        return 1, self._shared[key][0]

    @property
    def width(self) -> int:
        """Angle rows of one step."""
        return len(self._offsets)

    def share(self, weights: np.ndarray, lanes: int) -> SharedOfRegisters:
        """Compute what all steps and samples share from weights (H, W), for blocks of ``lanes`` samples."""
        values = [batch.values(weights) for batch, _ in self._batches]
        coefficients = np.empty((len(weights), self.num_coefficients))
        for (_, maps), value in zip(self._batches, values, strict=True):
            for place, mine in enumerate(maps):
                own = slice(place * len(weights), (place + 1) * len(weights))
                coefficients[:, mine.coefficients] = value.matrix[own, *mine.elements]
                coefficients[:, mine.emissions] = value.emissions[own]
        registers = []
        for row, own in zip(weights, coefficients, strict=True):
            angles = self._shared_angles(row)
            registers.append(
                OpenShared(
                    offsets=Table(self._offsets(row), self.dtype),
                    cosines=repeat(np.cos(angles), lanes, self.dtype),
                    sines=repeat(np.sin(angles), lanes, self.dtype),
                    coefficients=Table(own, self.dtype),
                )
            )
        return SharedOfRegisters(registers, values)

    def buffers(self, steps_at_once: int, lanes: int) -> tuple[AngleRows, Rows, Rows]:
        """Allocate a block's angle rows, and the running sums of shared angles and of coefficients."""
        inputs = self.width if self.evaluated is not None else len(self.plan.inputs)
        sizes = (inputs, self.width, self.width, self.width)
        angle_rows = AngleRows(*(Rows(steps_at_once * size, lanes, self.dtype) for size in sizes))
        sums = (Rows(count, lanes, self.dtype) for count in (len(self._shared_angles), self.num_trained))
        return angle_rows, *sums

    def circuit(self, shared: OpenShared, buffers: tuple[AngleRows, Rows, Rows]) -> OpenCircuit:
        """Join the steps and what they share with buffers of one block, and with zeroed sums of gradients."""
        angle_rows, shared_rows, coefficient_rows = buffers
        sums = OpenSums(
            offsets=np.zeros(self.width),
            shared=np.zeros(len(self._shared_angles)),
            coefficients=np.zeros(self.num_trained),
            shared_rows=shared_rows,
            coefficient_rows=coefficient_rows,
        )
        return OpenCircuit(self.steps, shared, angle_rows, sums)

    def pull_back(
        self, weights: np.ndarray, shared: SharedOfRegisters, sums: Sequence[Sequence[OpenSums]]
    ) -> np.ndarray:
        """Turn the sums of all registers' blocks into the gradient of the weights: float64 (H, W)."""
        offsets, angles, coefficients = (
            np.array([np.sum([getattr(part, name) for part in blocks], axis=0) for blocks in sums])
            for name in ("offsets", "shared", "coefficients")
        )
        gradient = self._offsets.pull_back(weights, offsets) + self._shared_angles.pull_back(weights, angles)
        padded = np.zeros((len(weights), self.num_coefficients))
        padded[:, : self.num_trained] = coefficients
        for (batch, maps), values in zip(self._batches, shared.chains, strict=True):
            matrix, emissions = np.zeros_like(values.matrix), np.zeros_like(values.emissions)
            for place, mine in enumerate(maps):
                own = slice(place * len(weights), (place + 1) * len(weights))
                matrix[own, *mine.elements] = padded[:, mine.coefficients]
                emissions[own] = padded[:, mine.emissions]
            gradient += batch.pull_back(weights, values, matrix, emissions)
        return gradient


def _batches(maps: Sequence[_Map], weights: Sequence[Parameter]) -> list[tuple[ChainBatch, list[_Map]]]:
    """Gather maps whose chains are evaluated at once."""
    alike: dict[Hashable, list[_Map]] = {}
    for mine in maps:
        alike.setdefault(mine.chain.structure, []).append(mine)
    return [(ChainBatch([mine.chain for mine in members], weights), members) for members in alike.values()]


def _number(chains: Sequence[Chain]) -> tuple[list[_Map], int, int]:
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
        maps.append(_Map(chain, elements, is_trained, coefficients, emissions, damped))
    return maps, fixed, next_fixed


# The elements of a channel that damps, as rows and columns.
_DAMPING = np.array([[1, 3, 2, 2], [1, 3, 2, 0]])


class _Layout:
    """Lays the operations of a step out as arrays of integers."""

    def __init__(self, num_qubits: int) -> None:
        self._num_qubits = num_qubits
        self._pairs: dict[int, np.ndarray] = {}
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

    def place(self, mine: _Map) -> _Place:
        """Lay out a map and its emissions."""
        return _Place(self._damping(mine) if mine.damps else self._add(mine), self._emissions(mine))

    def _damping(self, mine: _Map) -> tuple[int, ...]:
        """Describe a map of the form that damping has."""
        return DAMP, 4 ** mine.chain.qubits[0], int(mine.coefficients[0]), int(mine.trained[0])

    def _add(self, mine: _Map) -> tuple[int, ...]:
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

    def _add_outputs(self, mine: _Map, local: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[int, int]:
        begin = len(self._outputs)
        for index, row in enumerate(local):
            first = len(self._elements)
            for k in np.flatnonzero(rows == index):
                self._elements.append((int(local[columns[k]]), int(mine.coefficients[k])))
            self._outputs.append((int(row), first, len(self._elements)))
        return begin, len(self._outputs)

    def _emissions(self, mine: _Map) -> list[tuple[int, int, int]]:
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
