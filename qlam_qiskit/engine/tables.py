"""Turns a plan into the arrays that the compiled loops read, and weights into what all steps share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit.circuit import Parameter

from qlam_qiskit.engine.angles import AngleFunctions, affine_part, parameters_of
from qlam_qiskit.engine.arrays import (
    PERMUTE,
    PHASE,
    ROTATE_X,
    ROTATE_Y,
    AngleRows,
    Circuit,
    Numbers,
    Shared,
    Steps,
    Sums,
)
from qlam_qiskit.engine.plan import PhaseRun, Plan
from qlam_qiskit.engine.primitives import Angle, Permutation, Rotation, string_signs
from qlam_qiskit.engine.simd import Rows


class CompiledSteps:
    """One circuit, ready to run: integer arrays, and the functions from weights to shared cosines and phases."""

    def __init__(self, plan: Plan, dtype: type[np.floating]) -> None:
        self.plan = plan
        self.dtype = dtype
        self._rows = RowBook(plan.inputs)
        self._shared: list[Angle] = []
        self._tables: list[dict[int, Angle]] = []
        masks: list[int] = []
        string_rows: list[int] = []
        permutations: list[list[list[int]]] = []
        operations = []
        for operation in plan.operations:
            if isinstance(operation, Rotation):
                shared = not plan.depends_on_input(operation.angle)
                row = self._shared_row(operation.angle) if shared else self._rows.add(operation.angle)
                kind = ROTATE_X if operation.axis == "X" else ROTATE_Y
                operations.append((kind, operation.qubit, int(shared), row, 0, 0))
            elif isinstance(operation, PhaseRun):
                operations.append(self._phase(operation, masks, string_rows))
            else:
                operations.append((PERMUTE, len(permutations), 0, 0, 0, 0))
                permutations.append(_cycles(operation))
        # Angles that are not affine in the inputs are evaluated before the run, and enter as if they were inputs.
        self.evaluated = None
        if self._rows.nonlinear:
            self.evaluated = AngleFunctions(self._rows.angles, (*plan.inputs, *plan.weights))
        starts, indices, factors, rests = self._rows.affine_rows(identity=self.evaluated is not None)
        self._offsets = AngleFunctions(rests, plan.weights)
        self._shared_angles = AngleFunctions(self._shared, plan.weights)
        self._table_angles = [AngleFunctions(list(table.values()), plan.weights) for table in self._tables]
        self._table_signs = [string_signs(list(table), plan.num_qubits) for table in self._tables]
        cycle_starts, cycles = _flatten(permutations)
        self.steps = Steps(
            operations=np.array(operations, np.int64).reshape(-1, 6),
            masks=np.array(masks, np.int64),
            string_rows=np.array(string_rows, np.int64),
            cycle_starts=cycle_starts,
            cycles=cycles,
            row_starts=np.array(starts, np.int64),
            row_inputs=np.array(indices, np.int64),
            row_factors=np.array(factors, dtype),
        )

    @property
    def width(self) -> int:
        """Angle rows of one step."""
        return len(self._offsets)

    def _shared_row(self, angle: Angle) -> int:
        self._shared.append(angle)
        return len(self._shared) - 1

    def _phase(self, run: PhaseRun, masks: list[int], string_rows: list[int]) -> tuple[int, ...]:
        """Sort a run's strings into those of the lower half, the upper half, across the middle, and shared ones."""
        low_bits = (1 << self.plan.num_qubits // 2) - 1
        groups: tuple[list[tuple[int, Angle]], ...] = ([], [], [])
        table = {}
        for mask, angle in run.angles.items():
            if not self.plan.depends_on_input(angle):
                table[mask] = angle
            elif not mask & ~low_bits:
                groups[0].append((mask, angle))
            else:
                groups[2 if mask & low_bits else 1].append((mask, angle))
        bounds = [len(masks)]
        for group in groups:
            for mask, angle in group:
                masks.append(mask)
                string_rows.append(self._rows.add(angle))
            bounds.append(len(masks))
        if table:
            self._tables.append(table)
        return (PHASE, *bounds, len(self._tables) - 1 if table else -1)

    def share(self, weights: np.ndarray, lanes: int) -> Shared:
        """Compute what all steps and samples share from weights (W,), for blocks of ``lanes`` samples."""
        angles = self._shared_angles(weights)
        tables = np.empty((len(self._tables), 1 << self.plan.num_qubits), complex)
        for k, (functions, signs) in enumerate(zip(self._table_angles, self._table_signs, strict=True)):
            tables[k] = np.exp(-0.5j * (functions(weights) @ signs))
        return Shared(
            offsets=self._offsets(weights).astype(self.dtype),
            cosines=repeat(np.cos(angles / 2), lanes, self.dtype),
            sines=repeat(np.sin(angles / 2), lanes, self.dtype),
            table_re=tables.real.astype(self.dtype),
            table_im=tables.imag.astype(self.dtype),
        )

    def buffers(self, steps_at_once: int, lanes: int) -> tuple[AngleRows, Rows, Rows]:
        """Allocate a block's angle rows, and the running sums of shared angles and of tables."""
        inputs = self.width if self.evaluated is not None else len(self.plan.inputs)
        sizes = (inputs, self.width, self.width, self.width)
        angle_rows = AngleRows(*(Rows(steps_at_once * size, lanes, self.dtype) for size in sizes))
        dimension = 1 << self.plan.num_qubits
        sums = (Rows(count, lanes, self.dtype) for count in (len(self._shared), len(self._tables) * dimension))
        return angle_rows, *sums

    def circuit(self, shared: Shared, buffers: tuple[AngleRows, Rows, Rows]) -> Circuit:
        """Join the steps and what they share with buffers of one block, and with zeroed sums of gradients."""
        angle_rows, shared_rows, table_rows = buffers
        sums = Sums(
            offsets=np.zeros(self.width),
            shared=np.zeros(len(self._shared)),
            tables=np.zeros((len(self._tables), 1 << self.plan.num_qubits)),
            shared_rows=shared_rows,
            table_rows=table_rows,
        )
        return Circuit(self.steps, shared, angle_rows, sums)

    def pull_back(self, weights: np.ndarray, sums: Sequence[Sums]) -> np.ndarray:
        """Turn the sums of all blocks into the gradient of the weights: float64 (W,)."""
        gradient = self._offsets.pull_back(weights, np.sum([part.offsets for part in sums], axis=0))
        gradient += self._shared_angles.pull_back(weights, np.sum([part.shared for part in sums], axis=0))
        tables = np.sum([part.tables for part in sums], axis=0)
        for functions, signs, table in zip(self._table_angles, self._table_signs, tables, strict=True):
            gradient += functions.pull_back(weights, signs @ table)
        return gradient


class RowBook:
    """The angles that depend on inputs, each listed once however many gates turn by it."""

    def __init__(self, inputs: Sequence[Parameter]) -> None:
        self._inputs = inputs
        self._index: dict[Any, int] = {}
        self.angles: list[Angle] = []
        self._affine: list[tuple[dict[Parameter, float], Angle] | None] = []

    @property
    def nonlinear(self) -> bool:
        """Whether an angle is not affine in the inputs."""
        return any(split is None for split in self._affine)

    def add(self, angle: Angle) -> int:
        """Return the row of an angle."""
        split = affine_part(angle, self._inputs)
        # Two expressions may be written alike, as of a parameter named "a + b", but not of the same parameters.
        rest = angle if split is None else split[1]
        key = (split and tuple(split[0].items()), str(rest), parameters_of(rest))
        if key not in self._index:
            self._index[key] = len(self.angles)
            self.angles.append(angle)
            self._affine.append(split)
        return self._index[key]

    def affine_rows(self, identity: bool) -> tuple[list[int], list[int], list[float], list[Angle]]:
        """List each row's terms (starts, input indices, factors) and the part of it that inputs do not change."""
        if identity:
            count = len(self.angles)
            return list(range(count + 1)), list(range(count)), [1.0] * count, [0.0] * count
        position = {parameter: k for k, parameter in enumerate(self._inputs)}
        starts, indices, factors, rests = [0], [], [], []
        for split in self._affine:
            terms, rest = split
            indices.extend(position[parameter] for parameter in terms)
            factors.extend(terms.values())
            starts.append(len(indices))
            rests.append(rest)
        return starts, indices, factors, rests


def numbers(dtype: type[np.floating], part: float = 0.5) -> Numbers:
    """Make the angle kernels' constants: pi in parts whose products with small integers are exact, Taylor terms.

    ``part`` is the part of each angle whose cosine and sine are wanted.
    """
    import math

    terms = 7 if dtype is np.float32 else 11
    parts = (
        (3.140625, 9.670257568359375e-4, 6.2783295730096264e-7)
        if dtype is np.float32
        else (3.1415926218032837, 3.178650954705639e-8, 1.27366343270219e-24)
    )
    return Numbers(
        pi=np.array(parts, dtype),
        sin_terms=np.array([(-1) ** k / math.factorial(2 * k + 1) for k in reversed(range(terms))], dtype),
        cos_terms=np.array([(-1) ** k / math.factorial(2 * k) for k in reversed(range(terms + 1))], dtype),
        part=part,
    )


def repeat(values: np.ndarray, lanes: int, dtype: type[np.floating]) -> Rows:
    """Write each number on a row of its own, the same for all samples."""
    repeated = Rows(len(values), lanes, dtype)
    repeated.array[:] = values[:, None]
    return repeated


def _cycles(permutation: Permutation) -> list[list[int]]:
    target = permutation.target
    seen, cycles = set(), []
    for start in range(len(target)):
        cycle = []
        place = start
        while place not in seen:
            seen.add(place)
            cycle.append(place)
            place = int(target[place])
        if len(cycle) > 1:
            cycles.append(cycle)
    return cycles


def _flatten(permutations: list[list[list[int]]]) -> tuple[np.ndarray, np.ndarray]:
    """Lay cycles end to end; a permutation with fewer cycles than the others repeats its last boundary."""
    longest = max((len(cycles) for cycles in permutations), default=0)
    starts = np.zeros((len(permutations), longest + 1), np.int64)
    flat: list[int] = []
    for k, cycles in enumerate(permutations):
        starts[k, :] = len(flat)
        for c, cycle in enumerate(cycles):
            flat.extend(cycle)
            starts[k, c + 1 :] = len(flat)
    return starts, np.array(flat, np.int64)
