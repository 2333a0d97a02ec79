"""What is said of a plan is what the engine does: its operations, the gates behind them, and the loops' arithmetic."""

import numpy as np
import pytest
from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.engine import compile_plan, permutations, phases, rotations, steps
from qlam_qiskit.engine.arrays import State, work
from qlam_qiskit.engine.plan_description import cache_level, describe
from qlam_qiskit.engine.tables import CompiledSteps
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.templates import load_template


def _lines(circuit, inputs=(), weights=()):
    lines = describe(circuit, inputs, weights).lines
    return [(line.kind, line.what, line.angles, line.gates) for line in lines]


def test_the_ring_is_four_lines():
    memory = load_template("ring", 6)
    assert _lines(memory.update, memory.inputs, memory.weights) == [
        ("rotate Y", "qubits 0-5", "per sample", {"ry": 6}),
        ("phase", "6 Z strings, table of 64", "shared", {"rzz": 6}),
        ("phase", "6 Z strings, 2 tables of 8", "per sample", {"rz": 6}),
        ("rotate X", "qubits 0-5", "shared", {"rx": 6}),
    ]
    found = describe(memory.update, memory.inputs, memory.weights)
    assert (found.qubits, found.operations, found.angles, found.absorbed) == (6, 13, 12, {})
    assert found.gates == {"ry": 6, "rz": 6, "rzz": 6, "rx": 6}


def test_rotations_are_gathered_only_where_they_commute():
    a = ParameterVector("a", 5)
    circuit = QuantumCircuit(4)
    circuit.rx(a[0], 0)
    circuit.ry(a[1], 0)
    circuit.rx(a[2], 3)
    circuit.ry(a[3], 2)
    circuit.rx(a[4], 0)
    circuit.ry(0.1, 3)
    assert _lines(circuit, weights=a) == [
        ("rotate X", "qubits 0, 3", "shared", {"rx": 2}),
        ("rotate Y", "qubits 0, 2", "shared", {"ry": 2}),
        ("rotate X", "qubit 0", "shared", {"rx": 1}),
        ("rotate Y", "qubit 3", "fixed", {"ry": 1}),
    ]


def test_gates_are_traced_through_fusion_and_definitions():
    a = ParameterVector("a", 3)
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.barrier()
    circuit.cx(0, 1)
    circuit.rz(a[0], 1)
    circuit.cx(0, 1)
    circuit.x(2)
    circuit.swap(1, 2)
    circuit.u(a[1], a[2], 0.0, 0)
    circuit.rx(0.3, 2)
    circuit.rx(-0.3, 2)
    found = describe(circuit, [a[0]], a[1:])
    assert found.gates == {"cx": 2, "rx": 2, "h": 1, "rz": 1, "x": 1, "swap": 1, "u": 1}
    assert found.absorbed == {"cx": 2, "rx": 2}  # a phase was carried out between the first; the others undo each other
    assert [(line.kind, line.angles, line.gates) for line in found.lines] == [
        ("phase", "fixed", {"h": 1}),
        ("rotate Y", "fixed", {"h": 1}),
        ("phase", "fixed", {"u": 1}),
        ("phase", "per sample", {"rz": 1}),
        ("permute", "none", {"x": 1, "swap": 1}),
        ("rotate Y", "shared", {"u": 1}),
        ("phase", "shared", {"u": 1}),
    ]


def test_a_permutations_line_counts_the_amplitudes_that_move():
    circuit = QuantumCircuit(3)
    circuit.ccx(0, 1, 2)
    circuit.cx(0, 1)
    (line,) = describe(circuit, (), ()).lines
    assert (line.what, line.gates, line.forward) == ("4 of 8 amplitudes", {"ccx": 1, "cx": 1}, 0)


class Number:
    """A number that counts instructions, where an addition of a product is fused with the multiplication."""

    instructions = 0

    def __init__(self, product=False):
        self.product = product

    def __mul__(self, other):
        Number.instructions += 1
        return Number(product=True)

    def __add__(self, other):
        Number.instructions += not (self.product or other.product)
        return Number()

    __sub__ = __add__

    def __neg__(self):
        return Number()


@pytest.fixture
def counted(monkeypatch):
    """Run the loops as Python, on numbers that count."""
    stand_ins = {
        "load": lambda array, row: Number(),
        "store": lambda array, row, value: None,
        "constant": lambda array, value: Number(),
        "negate": lambda value: -value,
    }
    for module in (steps, phases, rotations, permutations):
        for name, thing in list(vars(module).items()):
            if name in stand_ins:
                monkeypatch.setattr(module, name, stand_ins[name])
            elif hasattr(thing, "py_func"):
                monkeypatch.setattr(module, name, thing.py_func)

    def count(circuit, inputs, weights):
        loops = CompiledSteps(compile_plan(circuit, inputs, weights), np.float64)
        compiled = loops.circuit(loops.share(np.zeros(len(weights)), 8), loops.buffers(1, 8))
        qubits, buffers = circuit.num_qubits, work(circuit.num_qubits, 8, np.float64)
        state = State(None, None)
        Number.instructions = 0
        steps.apply_step(state, qubits, compiled, 0, buffers)
        forward, Number.instructions = Number.instructions, 0
        steps.unapply_step(state, state, qubits, compiled, 0, buffers)
        return forward, Number.instructions

    return count


@pytest.mark.parametrize("qubits", [1, 2, 5])
def test_the_arithmetic_is_that_of_the_loops(counted, qubits):
    a = ParameterVector("a", 7)
    circuit = QuantumCircuit(qubits)
    for qubit in range(qubits):
        circuit.rx(a[0], qubit)
        circuit.rz(a[1], qubit)
        circuit.ry(a[4], qubit)
        circuit.p(a[5], qubit)
    for qubit in range(qubits - 1):
        circuit.rzz(a[6] * a[2], qubit, qubit + 1)
        circuit.rzz(a[5], qubit, qubit + 1)
    if qubits > 1:
        circuit.cx(0, 1)
    circuit.rx(a[3], 0)
    found = describe(circuit, a[:4], a[4:])
    assert counted(circuit, a[:4], a[4:]) == (found.forward, found.backward)


@pytest.mark.parametrize("template", ["ring", "line", "brickwork", "reuploading", "ising"])
def test_every_template_is_described_as_it_is_compiled(counted, template):
    memory = load_template(template, 4)
    found = describe(memory.update, memory.inputs, memory.weights)
    assert counted(memory.update, memory.inputs, memory.weights) == (found.forward, found.backward)
    plan = compile_plan(memory.update, memory.inputs, memory.weights)
    assert (found.operations, found.angles) == (len(plan.operations), CompiledSteps(plan, np.float64).width)
    assert sum(found.gates.values()) == len(memory.update.data)


@pytest.mark.parametrize(
    ("qubits", "lanes", "kib", "level"),
    [(2, 16, 1, "first"), (8, 16, 32, "first"), (9, 16, 64, "second"), (16, 8, 4096, "last")],
)
def test_the_state_of_a_block_suggests_a_cache(qubits, lanes, kib, level):
    found = describe(QuantumCircuit(qubits), (), ())
    assert (found.lanes, found.state_kib) == (lanes, kib)
    assert level in cache_level(kib)
    assert cache_level(1 << 20) == "main memory"


def test_a_circuit_that_cannot_run_is_named():
    circuit = QuantumCircuit(1, name="odd")
    circuit.h(0)
    circuit.reset(0)
    with pytest.raises(CircuitError, match="circuit 'odd', instruction 1: 'reset'"):
        describe(circuit, (), ())
