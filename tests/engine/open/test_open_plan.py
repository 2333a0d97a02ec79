"""What a step with channels becomes: gadgets without their ancillas, noise joined with gates, turns left alone."""

from collections import Counter

import numpy as np
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import XXPlusYYGate
from qiskit_aer.noise import depolarizing_error, thermal_relaxation_error

from qlam_qiskit.engine.open import compile_open_plan
from qlam_qiskit.engine.open.chain import damps
from qlam_qiskit.engine.open.primitives import Turn
from qlam_qiskit.templates import load_template


def _compiled(circuit, inputs=(), weights=(), ancillas=()):
    plan = compile_open_plan(circuit, inputs, weights, ancillas, range(circuit.num_clbits))
    kinds = ["turn" if isinstance(operation, Turn) else operation.qubits for operation in plan.operations]
    return plan, kinds


def test_the_ring_keeps_its_turns_and_damps_without_an_ancilla():
    memory = load_template("damped_ring", 3)
    plan, kinds = _compiled(memory.update, memory.inputs, memory.weights, memory.ancillas)
    assert plan.num_qubits == plan.memory_qubits == 3
    assert kinds == ["turn"] * 12 + [(0,), (1,), (2,)]
    for operation in plan.operations[12:]:
        assert damps(operation.pattern()[0])
    assert [operation.emissions for operation in plan.operations[12:]] == [[0], [1], [2]]


def test_a_gadget_is_the_damping_channel_it_is_said_to_be():
    memory = load_template("damped_line", 1)
    plan, _ = _compiled(memory.update, memory.inputs, memory.weights, memory.ancillas)
    (chain,) = [operation for operation in plan.operations if not isinstance(operation, Turn)]
    gamma = 0.3
    angle = 2 * np.arcsin(np.sqrt(gamma))
    values = chain.values(np.array([[0.0] * (memory.num_weights - 1) + [angle]]))
    expected = np.diag([1, np.sqrt(1 - gamma), 1 - gamma, np.sqrt(1 - gamma)])  # I, X, Z, Y
    expected[2, 0] = gamma
    np.testing.assert_allclose(values.matrix[0], expected, atol=1e-15)
    np.testing.assert_allclose(values.emissions[0, 0], [gamma / 2, 0, -gamma / 2, 0], atol=1e-15)


def test_noise_after_gates_is_joined_with_them_and_with_itself():
    a = ParameterVector("a", 2)
    circuit = QuantumCircuit(2)
    for qubit in range(2):
        circuit.sx(qubit)
        circuit.append(depolarizing_error(0.01, 1).to_instruction(), [qubit])
        circuit.rz(a[qubit], qubit)
        circuit.sx(qubit)
        circuit.append(thermal_relaxation_error(50, 60, 1).to_instruction(), [qubit])
        circuit.append(depolarizing_error(0.01, 1).to_instruction(), [qubit])
    _, kinds = _compiled(circuit, inputs=a)
    assert Counter(kinds) == {(0,): 2, (1,): 2, "turn": 2}


def test_what_has_to_stay_between_two_uses_of_an_ancilla_is_in_its_gadget():
    a = ParameterVector("a", 4)
    circuit = QuantumCircuit(4)
    circuit.append(XXPlusYYGate(a[0]), [0, 3])
    circuit.rx(a[1], 0)  # between the two, on the qubit of both
    circuit.rx(a[2], 1)  # free to move
    circuit.append(XXPlusYYGate(a[3]), [0, 3])
    circuit.reset(3)
    plan, kinds = _compiled(circuit, weights=a, ancillas=[3])
    assert kinds == ["turn", (0,)] or kinds == [(0,), "turn"]
    (chain,) = [operation for operation in plan.operations if not isinstance(operation, Turn)]
    assert len(chain.primitives) == 6  # four turns of the gates that meet it, the rotation between, the reset


def test_an_ancilla_with_inputs_stays():
    a = ParameterVector("a", 2)
    circuit = QuantumCircuit(2)
    circuit.append(XXPlusYYGate(a[0]), [0, 1])
    plan, _ = _compiled(circuit, inputs=a[:1], ancillas=[1])
    assert (plan.num_qubits, plan.memory_qubits) == (2, 1)
    plan, _ = _compiled(circuit, weights=a[:1], ancillas=[1])
    assert plan.num_qubits == 1


def test_turns_about_one_string_become_one():
    a = ParameterVector("a", 3)
    circuit = QuantumCircuit(2)
    circuit.rz(a[0], 0)
    circuit.rzz(a[1], 0, 1)
    circuit.rz(a[2], 0)
    plan, kinds = _compiled(circuit, inputs=a)
    assert kinds == ["turn", "turn"]
    assert plan.operations[0].angle == a[0] + a[2]
    assert plan.operations[0].sources == {0, 2}
