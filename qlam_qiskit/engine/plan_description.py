"""What a plan does, in words and numbers: the gates behind each fused operation, and its arithmetic.

Arithmetic is in multiply-adds of one sample: a multiplication, an addition, or both fused into one instruction. The
kernels' loops need, with D = 2^n amplitudes,

    rotation               8 a pair of amplitudes; backward 2 * 8 on psi and lambda, and 4 for the gradient;
    phases in one table    4 an amplitude; backward 2 * 4, and 3 for the gradient;
    phases in two tables   4 for each string and entry of its half's table, then 8 an amplitude; backward the tables
                           again, 16 an amplitude, and 1 for each string and entry;
    phases one by one      4 an amplitude and string; backward 2 * 4, and 3 for the gradient;
    permutation            none: amplitudes change places.

The gradient of a rotation takes 3 more for its sum, that of a phase by itself 2.

Gates are traced to operations by scheduling them a second time with a parameter of its own in place of every angle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit

from qlam_qiskit.engine.angles import parameters_of
from qlam_qiskit.engine.blocks import cut_batch
from qlam_qiskit.engine.gates import lower
from qlam_qiskit.engine.plan import Operation, PhaseRun, Plan, compile_plan, schedule
from qlam_qiskit.engine.primitives import Angle, Permutation, Primitive, Rotation

_UNSEEN = ("barrier", "delay")


@dataclass(frozen=True)
class FusedOperation:
    """A line of a plan: rotations of several qubits side by side, one kind of phases of a run, or a permutation.

    ``angles`` says whether they differ "per sample", are "shared" by all samples and steps, or are "fixed" numbers.
    ``gates`` counts by name the gates that went into it; ``forward`` and ``backward`` are multiply-adds of one sample.
    """

    kind: str
    what: str
    angles: str
    gates: dict[str, int]
    forward: int
    backward: int


@dataclass(frozen=True)
class PlanDescription:
    """A circuit's gates and the operations they became.

    ``absorbed`` counts the gates of which nothing is left, as of CX pairs between which phases were carried out.
    ``angles`` is the number of different angles per sample, whose cosine and sine a step computes.
    """

    qubits: int
    gates: dict[str, int]
    absorbed: dict[str, int]
    operations: int
    lines: tuple[FusedOperation, ...]
    angles: int

    @property
    def forward(self) -> int:
        """Multiply-adds of one sample forward."""
        return sum(line.forward for line in self.lines)

    @property
    def backward(self) -> int:
        """Multiply-adds of one sample backward."""
        return sum(line.backward for line in self.lines)

    @property
    def lanes(self) -> int:
        """Samples that a block of a large batch holds."""
        return cut_batch(1024, 1, self.qubits, 1).lanes

    @property
    def state_kib(self) -> int:
        """KiB that the state of such a block takes in single precision; backward there are two."""
        return max(1, 2 * 4 * self.lanes << self.qubits >> 10)


def cache_level(kib: int) -> str:
    """Name the memory that holds this much, by the sizes that most processors have at least."""
    levels = ((32, "the first-level cache"), (512, "the second-level cache"), (16 << 10, "the last-level cache"))
    return next((level for size, level in levels if kib <= size), "main memory")


def describe(circuit: QuantumCircuit, inputs: Sequence[Parameter], weights: Sequence[Parameter]) -> PlanDescription:
    """Describe the plan of a circuit; raises CircuitError for an instruction that is not a unitary gate."""
    plan = compile_plan(circuit, inputs, weights)
    names = [instruction.operation.name for instruction in circuit.data]
    traced = [_Traced(*pair) for pair in zip(plan.operations, _trace(circuit), strict=True)]
    used = set().union(*(operation.behind() for operation in traced))
    rows = {(str(angle), parameters_of(angle)) for angle in _angles(plan) if plan.depends_on_input(angle)}
    return PlanDescription(
        qubits=plan.num_qubits,
        gates=count_gates(names, range(len(names))),
        absorbed=count_gates(names, set(range(len(names))) - used),
        operations=len(plan.operations),
        lines=tuple(line for group in _side_by_side(plan, traced) for line in _lines(plan, group, names)),
        angles=len(rows),
    )


@dataclass(frozen=True)
class _Traced:
    """An operation of a plan, and the instructions behind it: by mask for phases, under 0 for all others."""

    operation: Operation
    sources: dict[int, set[int]]

    def behind(self, masks: Sequence[int] | None = None) -> set[int]:
        return set().union(*(self.sources[mask] for mask in (self.sources if masks is None else masks)))


def _trace(circuit: QuantumCircuit) -> list[dict[int, set[int]]]:
    """List, for each operation of the plan, the instructions behind it, as in :class:`_Traced`."""
    angles: dict[Parameter, tuple[int, Angle]] = {}
    moves: dict[Permutation, set[int]] = {}
    operations: list[Operation] = []
    for position, instruction in enumerate(circuit.data):
        alone = circuit.copy_empty_like()
        alone.append(instruction)
        for primitive in lower(alone)[0]:
            if isinstance(primitive, Permutation):
                _trace_permutation(operations, moves, primitive, position)
            else:
                mark = Parameter(f"{len(angles)}")
                angles[mark] = position, primitive.angle
                schedule(operations, replace(primitive, angle=mark))

    def origin(angle: Angle) -> set[int]:
        return {angles[mark][0] for mark in parameters_of(angle)}

    traced = []
    for operation in operations:
        if isinstance(operation, Permutation):
            traced.append({0: moves[operation]})
        elif isinstance(operation, PhaseRun):
            traced.append({mask: origin(angle) for mask, angle in operation.angles.items()})
        else:
            total = sum(angles[mark][1] for mark in sorted(parameters_of(operation.angle), key=lambda m: int(m.name)))
            if parameters_of(total) or float(total):  # the plan leaves out rotations by 0
                traced.append({0: origin(operation.angle)})
    return traced


def _trace_permutation(
    operations: list[Operation], moves: dict[Permutation, set[int]], primitive: Primitive, position: int
) -> None:
    """Schedule a permutation, which joins the last operation if that is one too, or cancels it."""
    merged = moves.get(operations[-1], set()) if operations and isinstance(operations[-1], Permutation) else set()
    schedule(operations, primitive)
    if operations and isinstance(operations[-1], Permutation):
        moves[operations[-1]] = merged | {position}


def _side_by_side(plan: Plan, traced: list[_Traced]) -> list[list[_Traced]]:
    """Gather rotations of different qubits about one axis, with nothing between them that they do not commute with."""
    groups: list[list[_Traced]] = []
    for new in traced:
        group = _joined_group(plan, groups, new.operation)
        if group is None:
            groups.append([new])
        else:
            group.append(new)
    return groups


def _joined_group(plan: Plan, groups: list[list[_Traced]], new: Operation) -> list[_Traced] | None:
    if not isinstance(new, Rotation):
        return None
    for group in reversed(groups):
        first = group[0].operation
        if not isinstance(first, Rotation) or new.qubit in {member.operation.qubit for member in group}:
            return None
        if first.axis == new.axis and _role(plan, [first.angle]) == _role(plan, [new.angle]):
            return group
    return None


def _lines(plan: Plan, group: list[_Traced], names: list[str]) -> Iterator[FusedOperation]:
    first, dimension = group[0].operation, 1 << plan.num_qubits
    gates = count_gates(names, set().union(*(member.behind() for member in group)))
    if isinstance(first, Rotation):
        what = list_qubits([member.operation.qubit for member in group])
        pairs = len(group) * dimension // 2
        backward = 20 * pairs + 3 * len(group)
        yield FusedOperation(f"rotate {first.axis}", what, _role(plan, [first.angle]), gates, 8 * pairs, backward)
    elif isinstance(first, Permutation):
        moving = np.count_nonzero(first.target != np.arange(dimension))
        yield FusedOperation("permute", f"{moving} of {dimension} amplitudes", "none", gates, 0, 0)
    else:
        yield from _phase_lines(plan, first, group[0], names)


def _phase_lines(plan: Plan, run: PhaseRun, traced: _Traced, names: list[str]) -> Iterator[FusedOperation]:
    """Sort a run's strings as the engine does, and describe each kind."""
    dimension, low_size = 1 << plan.num_qubits, 1 << plan.num_qubits // 2
    high_size = dimension // low_size
    table, low, high, across = [], [], [], []
    for mask, angle in run.angles.items():
        if not plan.depends_on_input(angle):
            table.append(mask)
        elif mask < low_size:
            low.append(mask)
        else:
            (across if mask % low_size else high).append(mask)

    def line(masks: list[int], what: str, forward: int, backward: int) -> FusedOperation:
        what = f"{len(masks)} Z string{'s' if len(masks) > 1 else ''}, {what}"
        role = _role(plan, [run.angles[mask] for mask in masks])
        return FusedOperation("phase", what, role, count_gates(names, traced.behind(masks)), forward, backward)

    if table:
        yield line(table, f"table of {dimension}", 4 * dimension, 11 * dimension)
    if across:
        yield line(across, "one by one", 4 * len(across) * dimension, len(across) * (11 * dimension + 2))
    if low or high:
        entries = len(low) * low_size + len(high) * high_size
        what = f"2 tables of {low_size}" if low_size == high_size else f"tables of {low_size} and {high_size}"
        yield line(low + high, what, 4 * entries + 8 * dimension, 5 * entries + 16 * dimension)


def _angles(plan: Plan) -> Iterator[Angle]:
    for operation in plan.operations:
        if isinstance(operation, Rotation):
            yield operation.angle
        elif isinstance(operation, PhaseRun):
            yield from operation.angles.values()


def _role(plan: Plan, angles: Sequence[Angle]) -> str:
    if any(plan.depends_on_input(angle) for angle in angles):
        return "per sample"
    return "shared" if any(parameters_of(angle) for angle in angles) else "fixed"


def count_gates(names: Sequence[str], positions: set[int] | range) -> dict[str, int]:
    """Count gates by name, most frequent first; barriers and delays are no gates."""
    counts = Counter(names[k] for k in sorted(positions) if names[k] not in _UNSEEN)
    return dict(counts.most_common())


def list_qubits(qubits: Sequence[int]) -> str:
    """Write a list of qubits with its runs shortened: qubits 0-3, 5."""
    runs: list[list[int]] = []
    for qubit in sorted(qubits):
        if runs and qubit == runs[-1][-1] + 1:
            runs[-1].append(qubit)
        else:
            runs.append([qubit])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    return f"qubit{'s' if len(qubits) > 1 else ''} {', '.join(parts)}"
