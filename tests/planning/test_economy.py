"""Chain circuits: equal to the logical ones, with one general gate a run and no more two-qubit gates than needed."""

import math

import numpy as np
import pytest
from planning import sequence
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import Kraus, Operator, Statevector
from qiskit_ibm_runtime.fake_provider import FakeBrisbane, FakeFractionalBackend, FakeLondonV2, FakeManilaV2, FakeTorino

from qlam_qiskit.backends.targets import part_of_target
from qlam_qiskit.errors import PlanningError
from qlam_qiskit.planning.economy import economize

# Chains of four qubits on devices of every kind: CZ, ECR with directions, CX, U3, and fractional gates.
CHAINS = {
    "cz": (FakeTorino, (0, 1, 2, 3)),
    "ecr": (FakeBrisbane, (3, 2, 1, 0)),
    "cx": (FakeManilaV2, (1, 2, 3, 4)),
    "u3": (FakeLondonV2, (0, 1, 3, 4)),
    "rzz": (FakeFractionalBackend, (0, 1, 3, 4)),
}
TEMPLATES = ("line", "brickwork", "reuploading", "ring", "ising")


def chain(kind: str):
    device, qubits = CHAINS[kind]
    return part_of_target(device().target, qubits)


def is_entangling(instruction) -> bool:
    return len(instruction.qubits) == 2 and instruction.operation.name != "barrier"


def bound(economical, logical):
    return economical.circuit.assign_parameters(
        dict(zip(economical.angles, economical.values(logical)[0], strict=True))
    )


@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chain_circuit_measures_what_the_logical_one_does(kind, template):
    circuit = sequence(template, 4, 3)
    logical = np.random.default_rng(3).normal(scale=3, size=(1, circuit.num_parameters))
    ours = bound(economize(circuit, chain(kind)), logical)
    target = chain(kind)
    for instruction in ours.data:
        assert instruction.operation.name in target.operation_names
        if is_entangling(instruction):
            assert tuple(ours.find_bit(qubit).index for qubit in instruction.qubits) in target[instruction.name]
    read = {
        ours.find_bit(i.clbits[0]).index: ours.find_bit(i.qubits[0]).index for i in ours.get_instructions("measure")
    }
    ours.remove_final_measurements()
    theirs = circuit.assign_parameters(logical[0])
    theirs.remove_final_measurements()
    np.testing.assert_allclose(
        Statevector(ours).probabilities([read[bit] for bit in range(4)]),
        Statevector(theirs).probabilities(),
        atol=1e-12,
    )


@pytest.mark.parametrize("kind", CHAINS)
def test_without_routing_the_unitaries_are_equal(kind):
    circuit = sequence("line", 4, 2, measure=False)
    logical = np.random.default_rng(4).normal(scale=3, size=(1, circuit.num_parameters))
    ours = bound(economize(circuit, chain(kind)), logical)
    assert Operator(ours).equiv(Operator(circuit.assign_parameters(logical[0])), atol=1e-10)


@pytest.mark.parametrize("angle", [0.0, math.pi, -math.pi, 2 * math.pi])
def test_rotations_at_the_poles_are_written_right(angle):
    circuit = QuantumCircuit(1)
    first, second = Parameter("x"), Parameter("y")
    circuit.ry(first, 0)
    circuit.rz(second, 0)
    circuit.h(0)
    target = part_of_target(FakeTorino().target, (0,))
    ours = bound(economize(circuit, target), np.array([[angle, 0.7]]))
    assert Operator(ours).equiv(Operator(circuit.assign_parameters([angle, 0.7])), atol=1e-10)


@pytest.mark.parametrize(("kind", "most"), [("cz", 2), ("rzz", 1)])
@pytest.mark.parametrize("template", ["line", "brickwork", "reuploading"])
def test_there_is_one_general_gate_at_most_between_two_entangling_gates(template, kind, most):
    circuit = economize(sequence(template, 4, 10), chain(kind)).circuit
    pulses = dict.fromkeys(circuit.qubits, 0)
    for instruction in circuit.data:
        if instruction.operation.name in ("sx", "x", "rx"):
            pulses[instruction.qubits[0]] += 1
            assert pulses[instruction.qubits[0]] <= most
        elif instruction.operation.name != "rz":
            pulses.update(dict.fromkeys(instruction.qubits, 0))


@pytest.mark.parametrize(("template", "edge_gates"), [("line", 3 * 2), ("brickwork", 2 * 3)])
def test_a_step_takes_the_two_qubit_gates_that_the_template_needs(template, edge_gates):
    # Two CZ for each RZZ of a line, one for each CZ of a brick.
    circuit = economize(sequence(template, 4, 28), chain("cz")).circuit
    assert sum(map(is_entangling, circuit.data)) == 28 * edge_gates
    assert set(circuit.count_ops()) <= {"cz", "rz", "sx", "x", "measure"}


def test_fractional_gates_make_one_rzz_of_each():
    circuit = economize(sequence("line", 4, 28), chain("rzz")).circuit
    assert circuit.count_ops()["rzz"] == sum(map(is_entangling, circuit.data)) == 28 * 3
    assert all(0 <= gate.operation.params[0] <= math.pi / 2 for gate in circuit.get_instructions("rzz"))


def test_there_are_fewer_pulses_than_a_transpiler_leaves():
    logical = sequence("line", 4, 28)
    ours = economize(logical, chain("cz")).circuit.count_ops()
    theirs = transpile(logical, target=chain("cz"), optimization_level=3, seed_transpiler=0).count_ops()
    assert ours["sx"] + ours.get("x", 0) < 0.8 * (theirs["sx"] + theirs.get("x", 0))
    assert ours["cz"] == theirs["cz"]


def test_an_entangling_angle_that_is_an_input_is_not_left_to_a_fractional_gate():
    angle = Parameter("x")
    circuit = QuantumCircuit(4)
    circuit.h(range(4))
    circuit.rzz(angle, 0, 1)
    economical = economize(circuit, chain("rzz"))
    assert "rzz" not in economical.circuit.count_ops()
    ours = bound(economical, np.array([[-2.0]]))
    assert Operator(ours).equiv(Operator(circuit.assign_parameters([-2.0])), atol=1e-10)


def test_angles_may_be_expressions_of_several_parameters():
    x, y = Parameter("x[2]"), Parameter("x[10]")
    circuit = QuantumCircuit(2)
    circuit.ry(2 * x - y / 3 + 0.5, 0)
    circuit.rx(x * y, 1)
    circuit.cz(0, 1)
    circuit.rz(x.sin(), 0)
    circuit.h(0)
    target = part_of_target(FakeTorino().target, (0, 1))
    logical = np.array([[0.3, -1.2]])
    # Columns follow circuit.parameters, which sorts by name.
    given = dict(zip(circuit.parameters, logical[0], strict=True))
    ours = bound(economize(circuit, target), logical)
    assert Operator(ours).equiv(Operator(circuit.assign_parameters(given)), atol=1e-10)


def test_values_are_computed_row_by_row():
    circuit = sequence("line", 4, 5)
    logical = np.random.default_rng(0).normal(size=(7, circuit.num_parameters))
    economical = economize(circuit, chain("cz"))
    together = economical.values(logical)
    assert together.shape == (7, len(economical.angles))
    for row in range(7):
        np.testing.assert_array_equal(economical.values(logical[row : row + 1])[0], together[row])


def test_what_cannot_be_written_is_refused():
    dynamic = QuantumCircuit(2, 1)
    dynamic.measure(0, 0)
    with dynamic.if_test((0, 1)):
        dynamic.x(1)
    with pytest.raises(PlanningError, match="control flow"):
        economize(dynamic, part_of_target(FakeTorino().target, (0, 1)))
    part = QuantumCircuit(1, name="part")
    part.append(Kraus([np.diag([1, 0.6]), np.array([[0, 0.8], [0, 0]])]).to_instruction(), [0])
    lossy = QuantumCircuit(2, name="lossy")
    lossy.h(0)
    lossy.append(part.to_instruction(), [1])
    with pytest.raises(PlanningError, match=r"circuit 'lossy', instruction 1: 'kraus' on qubits \[1\] is a channel"):
        economize(lossy, part_of_target(FakeTorino().target, (0, 1)))
    with pytest.raises(PlanningError, match="cannot write circuits in the device's gates"):
        economize(sequence("line", 2, 1), part_of_target(FakeTorino().target, (0, 100)))
