"""The plan of a circuit is as short as its gates allow, which is what makes the engine fast."""

import numpy as np
from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.engine import compile_plan
from qlam_qiskit.engine.plan import PhaseRun
from qlam_qiskit.engine.primitives import Permutation, Rotation
from qlam_qiskit.templates import load_template


def _kinds(circuit, inputs=()):
    weights = [parameter for parameter in circuit.parameters if parameter not in inputs]
    return [type(operation) for operation in compile_plan(circuit, inputs, weights).operations]


def test_an_update_of_the_ring_is_two_rotations_a_qubit_and_one_phase():
    memory = load_template("ring", 5)
    kinds = [type(o) for o in compile_plan(memory.update, memory.inputs, memory.weights).operations]
    assert kinds.count(PhaseRun) == 1
    assert kinds.count(Rotation) == 10
    assert len(kinds) == 11


def test_gates_that_undo_each_other_vanish():
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    circuit.swap(1, 2)
    circuit.swap(2, 1)
    circuit.cx(0, 1)
    circuit.rx(0.3, 0)
    circuit.rz(0.2, 1)
    circuit.rx(-0.3, 0)
    assert _kinds(circuit) == [PhaseRun]


def test_phases_are_carried_past_permutations_and_add_up():
    angles = ParameterVector("a", 3)
    circuit = QuantumCircuit(2)
    circuit.rz(angles[0], 0)
    circuit.cx(0, 1)
    circuit.rz(angles[1], 1)
    circuit.cx(0, 1)
    circuit.rzz(angles[2], 0, 1)
    (run,) = compile_plan(circuit, (), angles).operations
    assert {mask: str(angle) for mask, angle in run.angles.items()} == {1: "a[0]", 3: "a[1] + a[2]"}


def test_permutations_in_a_row_are_one():
    circuit = QuantumCircuit(4)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.ccx(0, 1, 2)
    circuit.cswap(0, 2, 3)
    assert _kinds(circuit) == [Permutation]


def test_rotations_of_one_axis_add_up_across_gates_on_other_qubits():
    angles = ParameterVector("a", 2)
    circuit = QuantumCircuit(3)
    circuit.rx(angles[0], 0)
    circuit.ry(0.4, 1)
    circuit.cz(1, 2)
    circuit.rx(2 * angles[1], 0)
    operations = compile_plan(circuit, (), angles).operations
    assert sorted(str(o.angle) for o in operations if isinstance(o, Rotation)) == ["0.4", "a[0] + 2*a[1]"]


def test_rotations_of_different_axes_keep_their_order():
    circuit = QuantumCircuit(1)
    circuit.rx(0.1, 0)
    circuit.ry(0.2, 0)
    circuit.rx(0.3, 0)
    operations = compile_plan(circuit, (), ()).operations
    assert [(o.axis, o.angle) for o in operations] == [("X", 0.1), ("Y", 0.2), ("X", 0.3)]


def test_a_permutation_that_is_no_relabelling_of_z_strings_stops_phases():
    circuit = QuantumCircuit(3)
    circuit.ccx(0, 1, 2)
    circuit.rz(0.3, 2)
    circuit.ccx(0, 1, 2)
    assert _kinds(circuit) == [Permutation, PhaseRun, Permutation]
    assert np.array_equal(*(o.target for o in compile_plan(circuit, (), ()).operations[::2]))
