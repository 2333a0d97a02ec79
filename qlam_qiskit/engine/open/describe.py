"""What an open plan does, in words and numbers: the instructions behind each operation, and its arithmetic.

Arithmetic is in multiply-adds of one sample, with N = 4^n numbers:

    turn       N; backward N again, 2 N on r and lambda, N / 2 for the gradient;
    damp       N; backward N again, N on lambda, and N for the gradients if it is trained;
    matrix     one for each element and group of rows; backward twice that, and one for each trained element and group;
    emission   one for each number that it depends on; backward as many, and as many again for the gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qiskit.circuit import QuantumCircuit

from qlam_qiskit.engine.angles import parameters_of
from qlam_qiskit.engine.blocks import cut_mixed_batch
from qlam_qiskit.engine.open.chain import Chain, damps
from qlam_qiskit.engine.open.pauli import DIGITS, commute, support
from qlam_qiskit.engine.open.plan import OpenPlan, compile_open_plan
from qlam_qiskit.engine.open.primitives import Turn
from qlam_qiskit.engine.plan_description import FusedOperation, PlanDescription, count_gates, list_qubits
from qlam_qiskit.memory_circuit import MemoryCircuit


@dataclass(frozen=True)
class OpenPlanDescription(PlanDescription):
    """A step or query of an open memory; its state is the 4^n numbers of a density matrix."""

    @property
    def lanes(self) -> int:
        """Samples that a block of a large batch holds."""
        return cut_mixed_batch(1024, 1, self.qubits, 1).lanes

    @property
    def state_kib(self) -> int:
        """KiB that the state of such a block takes in single precision."""
        return max(1, 4 * self.lanes << 2 * self.qubits >> 10)


def describe_open(memory: MemoryCircuit) -> tuple[OpenPlanDescription, OpenPlanDescription]:
    """Describe one step and one query; raises CircuitError for an instruction that cannot be run."""
    update = compile_open_plan(memory.update, memory.inputs, memory.weights, memory.ancillas, memory.emissions)
    query = compile_open_plan(memory.query, memory.query_angles, ())
    return _describe(memory.update, update), _describe(memory.query, query)


def _describe(circuit: QuantumCircuit, plan: OpenPlan) -> OpenPlanDescription:
    names = [instruction.operation.name for instruction in circuit.data]
    used = frozenset().union(*(_sources(operation) for operation in plan.operations))
    angles = {
        (str(operation.angle), parameters_of(operation.angle))
        for operation in plan.operations
        if isinstance(operation, Turn) and plan.depends_on_input(operation.angle)
    }
    return OpenPlanDescription(
        qubits=plan.num_qubits,
        gates=count_gates(names, range(len(names))),
        absorbed=count_gates(names, set(range(len(names))) - used),
        operations=len(plan.operations),
        lines=tuple(_lines(plan, names)),
        angles=len(angles),
    )


def _sources(operation: Turn | Chain) -> frozenset[int]:
    if isinstance(operation, Turn):
        return operation.sources
    return frozenset().union(*(primitive.sources for primitive in operation.primitives))


def _lines(plan: OpenPlan, names: list[str]) -> Iterator[FusedOperation]:
    """Describe the operations, turns of one kind and damping side by side on one line."""
    groups: list[tuple[str, str, list[Turn | Chain]]] = []
    for operation in plan.operations:
        kind, role = _kind(operation), _role(plan, operation)
        for other_kind, other_role, members in reversed(groups):
            if kind != "matrix" and (kind, role) == (other_kind, other_role):
                members.append(operation)
                break
            if any(_order_matters(member, operation) for member in members):
                groups.append((kind, role, [operation]))
                break
        else:
            groups.append((kind, role, [operation]))
    for kind, role, members in groups:
        gates = count_gates(names, frozenset().union(*map(_sources, members)))
        costs = [_cost(operation, 4**plan.num_qubits) for operation in members]
        forward, backward = (sum(part) for part in zip(*costs, strict=True))
        yield FusedOperation(kind, _what(kind, members), role, gates, forward, backward)


def _order_matters(first: Turn | Chain, second: Turn | Chain) -> bool:
    if isinstance(first, Turn) and isinstance(second, Turn):
        return not commute(first.string, second.string)
    return not set(first.qubits).isdisjoint(second.qubits)


def _kind(operation: Turn | Chain) -> str:
    if isinstance(operation, Turn):
        letters = (DIGITS[operation.string >> 2 * qubit & 3] for qubit in sorted(operation.qubits))
        return f"turn {''.join(letters)}"
    return "damp" if damps(operation.pattern()[0]) else "matrix"


def _role(plan: OpenPlan, operation: Turn | Chain) -> str:
    if isinstance(operation, Turn):
        if plan.depends_on_input(operation.angle):
            return "per sample"
        return "shared" if parameters_of(operation.angle) else "fixed"
    return "shared" if operation.pattern()[1].any() else "fixed"


def _what(kind: str, members: list[Turn | Chain]) -> str:
    qubits = [sorted(support(each.string)) if isinstance(each, Turn) else list(each.qubits) for each in members]
    if kind == "matrix":
        present = members[0].pattern()[0]
        return f"{list_qubits(qubits[0])}: {present.sum()} of {present.size} elements"
    if all(len(each) == 1 for each in qubits):
        return list_qubits([each[0] for each in qubits])
    return "qubits " + ", ".join("-".join(map(str, each)) for each in qubits)


def _cost(operation: Turn | Chain, numbers: int) -> tuple[int, int]:
    if isinstance(operation, Turn):
        return numbers, 7 * numbers // 2
    present, trained = operation.pattern()
    emitted = len(operation.emissions) * len(present)
    if damps(present):
        forward, gradient = numbers, numbers * bool(trained.any())
    else:
        groups = numbers // len(present)
        forward, gradient = int(present.sum()) * groups, int(trained.sum()) * groups
    return forward + emitted, 2 * forward + gradient + 2 * emitted
