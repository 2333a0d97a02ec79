"""Circuits that are easily got wrong: what they hold is legal, rare, and Aer's density matrices say what is right."""

import numpy as np
import pytest
from open_memories import assert_agrees_with_aer
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit import library as lib
from qiskit.circuit.classical import expr
from qiskit.quantum_info import (
    Choi,
    Kraus,
    SparsePauliOp,
    SuperOp,
    random_clifford,
    random_quantum_channel,
    random_unitary,
)

from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit

X, W = ParameterVector("x", 3), ParameterVector("w", 4)


def _memory(update, **roles):
    used = update.parameters
    return MemoryCircuit(update, [x for x in X if x in used], [w for w in W if w in used], **roles)


def _ancilla_used_twice():
    circuit = QuantumCircuit(3, 2)
    circuit.ry(X[0], 0)
    for qubit, weight in ((0, W[0]), (1, W[1])):
        circuit.append(lib.XXPlusYYGate(weight, 0.3), [qubit, 2])
        circuit.measure(2, qubit)
        circuit.reset(2)
        circuit.rzz(W[2], 0, 1)
    circuit.append(lib.CRYGate(W[1]), [2, 0])  # from |0>: nothing
    circuit.append(lib.CRYGate(W[3] * W[0]), [1, 2])  # left for the end of the step to reset
    return _memory(circuit, ancillas=[2])


def _ancillas_that_meet():
    circuit = QuantumCircuit(4, 2)
    circuit.ry(X[0], 2)
    circuit.append(lib.XXPlusYYGate(W[0]), [2, 1])
    circuit.cx(1, 3)
    circuit.append(lib.XXMinusYYGate(W[1], W[2]), [3, 0])
    circuit.measure(1, 0)
    circuit.reset(1)
    circuit.crx(W[3], 3, 2)
    circuit.measure(3, 1)
    return _memory(circuit, ancillas=[1, 3])


def _ancilla_as_control():
    circuit = QuantumCircuit(3, 1)
    circuit.ry(W[0], 1)
    circuit.cu(W[1], X[0], 0.3, W[2], 1, 0)
    circuit.h(1)
    circuit.crz(X[1], 1, 2)
    circuit.measure(1, 0)
    return _memory(circuit, ancillas=[1])


def _memory_reset_and_measured():
    circuit = QuantumCircuit(2, 3)
    circuit.ry(X[0], 0)
    circuit.crx(W[0], 0, 1)
    circuit.measure(0, 2)
    circuit.rx(W[1], 0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.rzx(W[2], 1, 0)
    circuit.measure(1, 1)
    circuit.ry(W[3], 1)
    return _memory(circuit, emissions=[2, 0])


def _channels_of_quantum_info():
    circuit = QuantumCircuit(3)
    circuit.rx(X[0], 0)
    circuit.append(Kraus(random_quantum_channel(8, rank=2, seed=3)), [2, 0, 1])
    circuit.ry(W[0], 1)
    circuit.append(Choi(random_quantum_channel(4, rank=3, seed=4)), [1, 2])
    circuit.append(SuperOp(random_quantum_channel(2, seed=5)).to_instruction(), [0])
    circuit.rxx(W[1], 0, 2)
    circuit.append(Kraus(random_quantum_channel(4, rank=2, seed=6)).to_instruction(), [2, 0])
    return _memory(circuit)


def _channel_on_an_ancilla():
    circuit = QuantumCircuit(3, 1)
    circuit.ry(X[0], 0)
    circuit.append(Kraus(random_quantum_channel(8, rank=2, seed=7)), [0, 2, 1])
    circuit.append(lib.XXPlusYYGate(W[0]), [0, 2])
    circuit.append(SuperOp(random_quantum_channel(2, seed=8)), [2])
    circuit.measure(2, 0)
    return _memory(circuit, ancillas=[2])


def _nothing_that_counts():
    circuit = QuantumCircuit(2, 1, global_phase=W[3] * X[0])
    circuit.barrier()
    circuit.ry(X[0], 0)
    circuit.delay(100, 0)
    circuit.append(lib.GlobalPhaseGate(W[0]), [])
    circuit.append(lib.XXPlusYYGate(W[1]), [0, 1])
    circuit.barrier(0)
    circuit.id(1)
    circuit.measure(1, 0)
    circuit.delay(20, 1)
    circuit.barrier()
    return _memory(circuit, ancillas=[1])


def _nested():
    innermost = QuantumCircuit(2, name="innermost")
    innermost.append(lib.XXPlusYYGate(W[0] * X[0]), [1, 0])
    innermost.reset(0)
    inner = QuantumCircuit(3, name="inner", global_phase=0.3)
    inner.append(innermost.to_instruction(), [2, 0])
    inner.append(Kraus(random_quantum_channel(2, seed=9)), [1])
    inner.cu(W[1], 0.2, W[2], 0.0, 1, 0)
    circuit = QuantumCircuit(3)
    circuit.ry(X[0], 1)
    circuit.append(inner.to_instruction(), [1, 2, 0])
    circuit.append(inner.to_instruction(), [2, 0, 1])
    return _memory(circuit, ancillas=[2])


def _expressions():
    circuit = QuantumCircuit(2, 1)
    circuit.append(lib.XXPlusYYGate(2 * (((W[0].sin() + 1) / 2) ** 0.5).arcsin(), X[1].exp()), [0, 1])
    circuit.measure(1, 0)
    circuit.reset(1)
    circuit.ry(X[0] ** 2 / (1 + W[1] ** 2), 0)
    circuit.u(W[2].cos() * X[0], W[2] - X[1], (X[0] * X[1]).tan(), 0)
    circuit.append(lib.XXPlusYYGate((W[3] ** 2 + 0.1).log()), [1, 0])
    return _memory(circuit, ancillas=[1])


def _gadgets_of_one_form_that_differ_in_what_is_zero():
    circuit = QuantumCircuit(4)
    circuit.ry(X[0], [0, 1])
    for memory, ancilla, last in ((0, 2, -W[0]), (1, 3, W[2])):
        circuit.rzx(W[1], memory, ancilla)
        circuit.rx(W[0], memory)
        circuit.rz(0.4, ancilla)
        circuit.rx(last, memory)
        circuit.rzx(0.7, memory, ancilla)
        circuit.reset(ancilla)
    circuit.rzz(W[3], 0, 1)
    return _memory(circuit, ancillas=[2, 3])


def _large_gates():
    circuit = QuantumCircuit(5)
    circuit.ry(X[0], 0)
    circuit.append(lib.UnitaryGate(random_unitary(16, seed=10)), [3, 1, 4, 0])
    circuit.append(lib.RYGate(W[0]).control(3, ctrl_state=5, annotated=False), [0, 4, 1, 2])
    circuit.append(random_clifford(3, seed=11), [2, 0, 3])
    circuit.append(lib.PauliEvolutionGate(SparsePauliOp(["XYZ", "ZZI"], [0.4, 1.0]), time=W[1]), [1, 2, 4])
    circuit.append(lib.XXPlusYYGate(W[2]).control(1, annotated=True), [0, 3, 4])
    circuit.append(lib.PermutationGate([2, 0, 3, 1]), [0, 1, 2, 4])
    circuit.initialize([0.6, 0.8j], 4)
    return _memory(circuit, ancillas=[4])


@pytest.mark.parametrize(
    "make",
    [
        _ancilla_used_twice,
        _ancillas_that_meet,
        _ancilla_as_control,
        _memory_reset_and_measured,
        _channels_of_quantum_info,
        _channel_on_an_ancilla,
        _nothing_that_counts,
        _nested,
        _expressions,
        _gadgets_of_one_form_that_differ_in_what_is_zero,
        _large_gates,
    ],
)
def test_it_runs_as_aer_says(make):
    assert_agrees_with_aer(make(), np.random.default_rng(3))


@pytest.mark.parametrize("qubits", range(1, 7))
def test_any_number_of_qubits(qubits):
    """Turns in an order that has a pass of two on each axis, damping after each kind of turn and by itself."""
    circuit = QuantumCircuit(qubits + 1, qubits)
    turns = [circuit.rx, circuit.ry, circuit.rz]
    for qubit in range(qubits):
        turns[qubit % 3](X[0], qubit)
        turns[(qubit + 1 + qubit // 3) % 3](X[1] - W[0], qubit)
        turns[(qubit + 2) % 3](X[0] * 0.5, qubit)
        circuit.rzz(W[0], qubit, (qubit + 1) % qubits) if qubits > 1 else circuit.rz(W[0], 0)
        turns[qubit % 3](W[1], qubit)
        circuit.append(lib.XXPlusYYGate(W[2] + 0.2 * qubit), [qubit, qubits])
        circuit.measure(qubits, qubit)
        circuit.reset(qubits)
        turns[1](W[1] if qubit % 2 else X[1], qubit)
        circuit.append(lib.XXPlusYYGate(W[3]), [qubit, qubits])
        circuit.reset(qubits)
    assert_agrees_with_aer(_memory(circuit, ancillas=[qubits]), np.random.default_rng(qubits), steps=2)


@pytest.mark.parametrize("qubit", range(3))
@pytest.mark.parametrize("turn", ["rx", "ry", "rz"])
def test_turns_and_damping_share_a_pass_with_and_without_emissions(qubit, turn):
    circuit = QuantumCircuit(4, 1)
    circuit.h(range(3))
    circuit.rzz(W[1], 0, 1)
    circuit.rxx(W[2], 1, 2)
    getattr(circuit, turn)(X[0] + W[3], qubit)
    circuit.append(lib.XXPlusYYGate(W[0]), [qubit, 3])
    circuit.measure(3, 0)
    memory = _memory(circuit, ancillas=[3])
    rng = np.random.default_rng(0)
    assert_agrees_with_aer(memory, rng)
    engine = OpenEngine(memory, precision="float64", threads=1)
    arguments = rng.normal(size=(3, 9, 1, 1)), rng.normal(size=(1, 4)), rng.normal(size=(3, 1, 1, 1, 6))
    found = []
    for emissions in (True, False):
        values, tape = engine.forward(*arguments, emissions=emissions)
        found.append((values, *vars(engine.backward(tape, np.cos(9 * values))).values()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_a_rate_of_one_has_its_gradient():
    """Damping that forgets all: x, y and z are multiplied by 0."""
    circuit = QuantumCircuit(2)
    circuit.rx(X[0], 0)
    circuit.append(lib.XXPlusYYGate(np.pi + W[0] * 0), [0, 1])
    circuit.ry(X[1], 0)
    circuit.append(lib.XXPlusYYGate(W[1]), [0, 1])
    circuit.reset(0)
    circuit.ry(W[1], 0)
    assert_agrees_with_aer(_memory(circuit, ancillas=[1]), np.random.default_rng(1))


def _conditional():
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    return circuit


def _switched():
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    with circuit.switch(expr.lift(circuit.clbits[0])) as case, case(1):
        circuit.x(1)
    return circuit


def _repeated():
    circuit = QuantumCircuit(2, 1)
    with circuit.for_loop(range(2)):
        circuit.x(1)
    return circuit


def _overwritten():
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    circuit.measure(1, 0)
    return circuit


def _measured_within():
    inner = QuantumCircuit(1, 1, name="inner")
    inner.measure(0, 0)
    circuit = QuantumCircuit(2, 1)
    circuit.h(0)
    circuit.append(inner.to_instruction(), [1], [0])
    return circuit


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_conditional, r"instruction 1: 'if_else' on qubits \[1\] is not supported: nothing measured is fed back"),
        (_switched, r"instruction 1: 'switch_case' on qubits \[1\] is not supported: nothing measured is fed back"),
        (_repeated, r"instruction 0: 'for_loop' on qubits \[1\] is not supported"),
        (_overwritten, r"instruction 1: 'measure' on qubits \[1\] writes classical bit 0, as instruction 0 does"),
        (_measured_within, r"instruction 1: 'inner' on qubits \[1\] measures within its definition"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name_and_place(make, message):
    with pytest.raises(CircuitError, match=message):
        OpenEngine(MemoryCircuit(make(), [], []))


def test_an_unbound_parameter_is_named():
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("stray"), 0)
    circuit.reset(0)
    with pytest.raises(CircuitError, match="stray"):
        MemoryCircuit(circuit, [], [])
