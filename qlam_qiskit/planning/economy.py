"""Writes a circuit for a chain of qubits with as few one-qubit gates as a general circuit can have.

Between two entangling gates a qubit sees a run of one-qubit rotations, many of them with parameters. A
transpiler keeps the parameters apart (RY(x) after RX(w) is no gate with a simple angle), which costs two pulses
each. Here every run becomes ONE general gate whose three Euler angles are new parameters, and the angles are
computed from the old parameters' values, classically and for all samples at once::

    a qubit's run    RX(w), RY(x), RZ(z), H    ->    RZ(a0), SX, RZ(a1), SX, RZ(a2)    (or RZ RX RZ, or U)
    values           (samples, P)              ->    (samples, 3 * runs)

A ``line`` step of six qubits falls from 37 pulses to 26 on a CZ device. Its two-qubit gates are what the template
has: two CZ for an RZZ, or one RZZ where the device has fractional gates, and never a swap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Clbit, Gate, Instruction, Operation, Parameter, ParameterExpression, Qubit
from qiskit.circuit.library import RXGate, RZGate, RZZGate, SXGate, U3Gate, UGate, XGate, ZGate
from qiskit.dagcircuit import DAGCircuit
from qiskit.synthesis import OneQubitEulerDecomposer
from qiskit.transpiler import CouplingMap, PassManager, Target, TransformationPass, generate_preset_pass_manager
from qiskit.transpiler.passes import RemoveBarriers

from qlam_qiskit.backends import FASTER, final_measurements, in_faster_forms
from qlam_qiskit.errors import PlanningError
from qlam_qiskit.planning.rotations import IDENTITY, Floats, compose, euler_angles, matrix_of, rotation
from qlam_qiskit.planning.usage import Usage, usage_of

# A run is read in these gates: their rotations have closed forms, and their angles stay simple expressions.
_READ = ("rx", "ry", "rz", "h")
_EXECUTED = {"barrier", "delay", "measure", "reset", *FASTER.values()}
# How a general one-qubit gate is written, by what the device has, shortest first: Qiskit's name of the form.
_FORMS = (({"rx", "rz"}, "ZXZ"), ({"sx", "rz"}, "ZSXX"), ({"u"}, "U"), ({"u3"}, "U3"))


@dataclass(frozen=True)
class EconomicalCircuit:
    """A circuit in a chain's own gates, and how its angles follow from the logical circuit's parameters.

    Attributes
    ----------
    circuit
        On the chain's qubits 0..n-1, in gates of the device.
    angles
        Its parameters in the order of :meth:`values`: three Euler angles (radians) for each run that had parameters.
    """

    circuit: QuantumCircuit
    angles: tuple[Parameter, ...]
    parameters: tuple[Parameter, ...]
    runs: tuple[tuple[Gate, ...], ...]
    form: str

    @property
    def num_angles(self) -> int:
        """Angles of the circuit."""
        return len(self.angles)

    @property
    def registers(self) -> dict[str, int]:
        """Bits of each classical register, by name."""
        return {register.name: register.size for register in self.circuit.cregs}

    def values(self, logical: Floats) -> Floats:
        """Compute the angles, shape (samples, 3 * runs), from the logical parameters' values (samples, P)."""
        angles = np.empty((len(logical), len(self.angles)))
        turned = evaluate((gate for run in self.runs for gate in run), self.parameters, logical)
        for index, run in enumerate(self.runs):
            total = IDENTITY
            for gate in run:
                angle = gate.params[0] if gate.params else None
                total = compose(rotation(gate.name, turned[angle] if is_free(angle) else angle), total)
            angles[:, 3 * index : 3 * index + 3] = np.stack(written_angles(self.form, total), axis=1)
        return angles

    def append_to(
        self, circuit: QuantumCircuit, qubits: Sequence[int], clbits: Sequence[Clbit], angles: Sequence[Parameter]
    ) -> None:
        """Write it behind what ``circuit`` holds, on some of its qubits and bits, with other names of its angles."""
        # Parameters are set in a copy for each place, which nobody else sees.
        placed = self.circuit.assign_parameters(dict(zip(self.angles, angles, strict=True)))
        circuit.compose(placed, qubits, clbits, inplace=True, copy=False)

    def num_nonlocal_gates(self) -> int:
        """Count the gates of two qubits."""
        return self.circuit.num_nonlocal_gates()

    def measured(self) -> dict[str, tuple[int | None, ...]]:
        """Return the qubit that each bit of each register is read from at the end; see :func:`read_at_the_end`."""
        return read_at_the_end(self.circuit)

    def usage(self, target: Target, chain: Sequence[int] | None = None) -> Usage:
        """Return what the circuit uses on a chain."""
        return usage_of(self.circuit, target, chain)


def economize(circuit: QuantumCircuit, target: Target) -> EconomicalCircuit:
    """Write ``circuit`` for a chain whose qubits 0..n-1 ``target`` describes (see ``part_of_target``).

    Gates between neighbours stay where they are; others are routed along the chain. Barriers are dropped: they would
    only keep runs apart. Resets and measurements within the circuit take the device's faster forms. Raises
    PlanningError when the chain's gates are none that this module writes, or the circuit holds control flow.
    """
    read = read_in_rotations(circuit, target)
    form = one_qubit_form(target)
    merge = _MergeRuns(form)
    merged = PassManager([merge]).run(read)
    merged = in_faster_forms(merged, target)
    return EconomicalCircuit(merged, tuple(merge.angles), tuple(circuit.parameters), tuple(merge.runs), form)


def read_in_rotations(circuit: QuantumCircuit, target: Target, *, keep_places: bool = False) -> QuantumCircuit:
    """Write ``circuit`` in rotations of one qubit and the chain's entangling gates, runs of rotations not merged yet.

    With ``keep_places`` qubit k begins at place k of the chain and is swapped back to it in the end, whatever routing
    moved. Raises PlanningError as :func:`economize`.
    """
    check_operations(circuit, target)
    form, entanglers = one_qubit_form(target), entangling_gates(target)
    if form is None or (circuit.num_qubits > 1 and not entanglers):
        raise PlanningError(f"cannot write circuits in the device's gates: {', '.join(sorted(target.operation_names))}")
    return _read(circuit, target, entanglers, keep_places)


def check_operations(circuit: QuantumCircuit, target: Target) -> None:
    """Raise PlanningError for control flow, and by name and place for what is no gate and no device executes."""
    if circuit.has_control_flow_op():
        raise PlanningError("a circuit with control flow cannot be laid out on chains")
    for position, instruction in enumerate(circuit.data):
        for name in _no_gates(instruction.operation):
            if name in _EXECUTED and (name != "reset" or name in target.operation_names):
                continue
            qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
            why = "is a channel, which no device executes; an ancilla that is reset makes one of gates"
            if name in _EXECUTED:
                why = f"is not among the device's operations: {', '.join(sorted(target.operation_names))}"
            raise PlanningError(f"circuit {circuit.name!r}, instruction {position}: {name!r} on qubits {qubits} {why}")


def _no_gates(operation: Operation) -> Iterator[str]:
    """Name what is no gate in an operation, or in its definition."""
    if isinstance(operation, Gate) or not isinstance(operation, Instruction):
        return
    if operation.definition is None or operation.name in _EXECUTED:
        yield operation.name
        return
    for item in operation.definition.data:
        yield from _no_gates(item.operation)


def read_at_the_end(circuit: QuantumCircuit) -> dict[str, tuple[int | None, ...]]:
    """Return the qubit that each bit of each register is read from at the end, None where it is read before or never.

    A circuit has such a tuple for every classical register, by its name.
    """
    final = [circuit.data[position] for position in final_measurements(circuit)]
    source = {item.clbits[0]: circuit.find_bit(item.qubits[0]).index for item in final}
    return {register.name: tuple(source.get(bit) for bit in register) for register in circuit.cregs}


def lies_on_chain(circuit: QuantumCircuit, target: Target) -> bool:
    """Whether all its two-qubit gates are between neighbours of the chain that ``target`` describes."""
    pairs = {
        tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
        for instruction in circuit.data
        if len(instruction.qubits) == 2 and instruction.operation.name != "barrier"
    }
    if not pairs:
        return True
    coupling = CouplingMap(target.build_coupling_map(entangling_gates(target)[0]).get_edges())
    return all(coupling.distance(*pair) == 1 for pair in pairs)


def pulses_of(run: Sequence[Gate], target: Target) -> tuple[Sequence[Gate], bool]:
    """Return the device's gates that a run of rotations becomes, and whether their angles are parameters."""
    form = one_qubit_form(target)
    if any(is_free(gate.params[0]) for gate in run if gate.params):
        return general_gates(form, [Parameter(name) for name in "abc"]), True
    return tuple(fixed_gates(form, run)) if run else (), False


def one_qubit_form(target: Target) -> str | None:
    """Name the way in which a general one-qubit gate is written in the target's gates, or None."""
    return next((form for gates, form in _FORMS if gates <= set(target.operation_names)), None)


def entangling_gates(target: Target) -> tuple[str, ...]:
    """Name the two-qubit gates of ``target`` that circuits are written in, the general one first."""
    names = set(target.operation_names)
    general = next((name for name in ("cz", "ecr", "cx") if name in names), None)
    if general is None:
        return ()
    return (general, "rzz") if "rzz" in names else (general,)


def _read(
    circuit: QuantumCircuit, target: Target, entanglers: tuple[str, ...], keep_places: bool = False
) -> QuantumCircuit:
    read = _read_in(circuit, target, entanglers, keep_places)
    if any(is_free(gate.operation.params[0]) for gate in read.get_instructions("rzz")):
        # An angle outside [0, pi/2] would fail on the device, and which one it will be is not known yet.
        read = _read_in(circuit, target, entanglers[:1], keep_places)
    return PassManager([RemoveBarriers(), _FoldRZZ()]).run(read)


def _read_in(circuit: QuantumCircuit, target: Target, entanglers: tuple[str, ...], keep_places: bool) -> QuantumCircuit:
    """Rewrite ``circuit`` in rotations and entangling gates, on the chain, its parameters as simple as they were."""
    if circuit.num_qubits == 1:
        return generate_preset_pass_manager(1, basis_gates=list(_READ), seed_transpiler=0).run(circuit)
    coupling = CouplingMap(target.build_coupling_map(entanglers[0]).get_edges())
    fits = lies_on_chain(circuit, target)
    manager = generate_preset_pass_manager(
        optimization_level=1 if fits else 2,
        basis_gates=[*_READ, *entanglers],
        coupling_map=coupling,
        initial_layout=list(range(circuit.num_qubits)) if fits or keep_places else None,
        seed_transpiler=0,
    )
    written = manager.run(circuit)
    if not keep_places or fits:
        return written
    swaps = _sorting_swaps(written.layout.final_index_layout(), circuit)
    return written.compose(_read_in(swaps, target, entanglers, keep_places))


def _sorting_swaps(places: Sequence[int], circuit: QuantumCircuit) -> QuantumCircuit:
    """Return swaps of neighbours that bring qubit k from places[k] back to place k."""
    swaps = QuantumCircuit(circuit.num_qubits, circuit.num_clbits)
    lying = sorted(range(len(places)), key=lambda qubit: places[qubit])
    for end in range(len(lying) - 1, 0, -1):
        for place in range(end):
            if lying[place] > lying[place + 1]:
                lying[place : place + 2] = lying[place : place + 2][::-1]
                swaps.swap(place, place + 1)
    return swaps


class _FoldRZZ(TransformationPass):
    """Brings the angle of every RZZ into [0, pi/2], where devices have it, with Z and X on the qubits."""

    def run(self, dag: DAGCircuit) -> DAGCircuit:
        for node in dag.op_nodes(RZZGate):
            # RZZ(a + 2 pi) = -RZZ(a), RZZ(a + pi) = -i ZZ RZZ(a), RZZ(-a) = X RZZ(a) X.
            angle = math.remainder(float(node.op.params[0]), 2 * math.pi)
            folded = DAGCircuit()
            folded.add_qubits(first_second := [Qubit(), Qubit()])
            if abs(angle) > math.pi / 2:
                angle -= math.copysign(math.pi, angle)
                for qubit in first_second:
                    folded.apply_operation_back(ZGate(), [qubit])
            flipped = first_second[:1] if angle < 0 else []
            for gate, qubits in ((XGate(), flipped), (RZZGate(abs(angle)), first_second), (XGate(), flipped)):
                if qubits:
                    folded.apply_operation_back(gate, qubits)
            dag.substitute_node_with_dag(node, folded)
        return dag


class _MergeRuns(TransformationPass):
    """Replaces each run of one-qubit gates by one gate: of fixed angles, or of three new parameters."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form
        self.runs: list[tuple[Gate, ...]] = []
        self.angles: list[Parameter] = []

    def run(self, dag: DAGCircuit) -> DAGCircuit:
        merged = dag.copy_empty_like()
        # A sum of thousands of expressions by now, and without effect on anything measured.
        merged.global_phase = 0
        pending: dict[Qubit, list[Gate]] = {qubit: [] for qubit in dag.qubits}
        for node in dag.topological_op_nodes():
            if is_rotation(node.op):
                pending[node.qargs[0]].append(node.op)
                continue
            for qubit in node.qargs:
                self._flush(merged, qubit, pending[qubit])
            merged.apply_operation_back(node.op, node.qargs, node.cargs)
        for qubit, run in pending.items():
            self._flush(merged, qubit, run)
        return merged

    def _flush(self, dag: DAGCircuit, qubit: Qubit, run: list[Gate]) -> None:
        if any(is_free(gate.params[0]) for gate in run if gate.params):
            angles = [Parameter(f"a{len(self.angles) + k}") for k in range(3)]
            self.angles += angles
            self.runs.append(tuple(run))
            gates: Iterable[Gate] = general_gates(self._form, angles)
        else:
            gates = fixed_gates(self._form, run)
        for gate in gates:
            dag.apply_operation_back(gate, [qubit])
        run.clear()


def is_rotation(operation: Operation) -> bool:
    """Whether a gate may be merged with others into a run of rotations."""
    return operation.name in (*_READ, "x", "z")


def is_free(angle: object) -> bool:
    """Whether an angle depends on parameters."""
    return isinstance(angle, ParameterExpression) and bool(angle.parameters)


def general_gates(form: str, angles: Sequence[Parameter]) -> list[Gate]:
    """Write a general rotation with three angles, in the form that :func:`one_qubit_form` names."""
    first, second, third = angles
    match form:
        case "ZXZ":
            return [RZGate(first), RXGate(second), RZGate(third)]
        case "ZSXX":
            return [RZGate(first), SXGate(), RZGate(second), SXGate(), RZGate(third)]
        case "U":
            return [UGate(second, third, first)]
        case _:
            return [U3Gate(second, third, first)]


def written_angles(form: str, total: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the angles of :func:`general_gates` that make the rotations ``total``."""
    lam, theta, phi = euler_angles(total)
    match form:
        case "ZXZ":
            return lam - np.pi / 2, theta, phi + np.pi / 2
        case "ZSXX":
            return lam, theta + np.pi, phi + np.pi
        case _:
            return lam, theta, phi


def fixed_gates(form: str, run: Sequence[Gate]) -> Iterable[Gate]:
    """Write a run without parameters with no more gates than its rotation needs."""
    return _fixed_run(form, tuple((gate.name, float(gate.params[0]) if gate.params else None) for gate in run))


@lru_cache(maxsize=4096)
def _fixed_run(form: str, run: tuple[tuple[str, float | None], ...]) -> tuple[Gate, ...]:
    total = IDENTITY
    for name, angle in run:
        total = compose(rotation(name, angle), total)
    return tuple(node.operation for node in OneQubitEulerDecomposer(form)(matrix_of(total)).data)


def evaluate(
    gates: Iterable[Gate], parameters: Sequence[Parameter], values: Floats
) -> dict[ParameterExpression, Floats]:
    """Evaluate the free angles of gates for all samples, each (samples,); affine ones, the usual kind, all at once.

    ``values`` (samples, P) are the parameters'.
    """
    column = {parameter: index for index, parameter in enumerate(parameters)}
    free = dict.fromkeys(gate.params[0] for gate in gates if gate.params and is_free(gate.params[0]))
    return {expression: _evaluated(expression, column, values) for expression in free}


def _evaluated(expression: ParameterExpression, column: Mapping[Parameter, int], values: Floats) -> Floats:
    if isinstance(expression, Parameter):
        return values[:, column[expression]]
    slopes = {parameter: expression.gradient(parameter) for parameter in expression.parameters}
    if any(isinstance(slope, ParameterExpression) for slope in slopes.values()):
        rows = values[:, [column[parameter] for parameter in expression.parameters]]
        bound = (dict(zip(expression.parameters, row, strict=True)) for row in rows.tolist())
        return np.array([float(expression.bind(given)) for given in bound])
    result = np.full(len(values), float(expression.bind(dict.fromkeys(expression.parameters, 0.0))))
    for parameter, slope in slopes.items():
        result += float(slope) * values[:, column[parameter]]
    return result
