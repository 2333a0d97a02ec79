"""Steps joined with the next ones compute what whole steps compute."""

from itertools import permutations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import XXPlusYYGate

from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.engine.open.passes import CommutingTurns, Crossing, DampedTurn, TwoTurns, cross_steps, join_passes
from qlam_qiskit.engine.open.plan import compile_open_plan
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.templates import load_template


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def memory_of(beginning, end, qubits=4, damped=(0, 2)):
    """Two input turns on each qubit, couplings that commute, a turn, and damping of some qubits."""
    phi, theta = ParameterVector("phi", 2 * qubits), ParameterVector("theta", 2 * qubits)
    decay = ParameterVector("lambda", len(damped))
    update = QuantumCircuit(qubits + 1)
    for qubit in range(qubits):
        for place, axis in enumerate(beginning):
            getattr(update, axis)(phi[2 * qubit + place], qubit)
    for qubit in range(qubits):
        update.rzz(theta[qubit], qubit, (qubit + 1) % qubits)
    for qubit in range(qubits):
        getattr(update, end)(theta[qubits + qubit], qubit)
    for index, qubit in enumerate(damped):
        update.append(XXPlusYYGate(decay[index]), [qubit, qubits])
        update.reset(qubits)
    return MemoryCircuit(update, phi, [*theta, *decay], ancillas=[qubits])


def both_ways(memory, rng, samples=3, steps=24, **reading):
    """Run whole steps, and steps joined with the next ones; returns what each yields."""
    inputs = rng.normal(size=(samples, steps, 2, memory.num_inputs))
    weights = rng.normal(size=(2, memory.num_weights))
    queries = rng.normal(size=(1, 1, 2, 2, memory.num_query_angles))
    found, cotangent = [], None
    for crosses in (False, True):
        engine = OpenEngine(memory, precision="float64", threads=1)
        assert engine._crosses
        engine._crosses = crosses
        values, tape = engine.forward(inputs, weights, queries, **reading)
        assert tape.reading.cross is crosses
        cotangent = rng.normal(size=values.shape) if cotangent is None else cotangent
        gradients = engine.backward(tape, cotangent)
        found.append((values, gradients.inputs, gradients.weights, gradients.queries))
    return zip(*found, strict=True)


def assert_same(pairs):
    for whole, crossed in pairs:
        assert np.abs(whole).max() > 0
        np.testing.assert_allclose(crossed, whole, rtol=0, atol=1e-12 * max(1, np.abs(whole).max()))


@pytest.mark.parametrize("end", ["rx", "ry"])
@pytest.mark.parametrize("beginning", list(permutations(("rx", "ry", "rz"), 2)))
def test_about_whatever_axes_qubits_turn(beginning, end, rng):
    assert_same(both_ways(memory_of(beginning, end), rng))


@pytest.mark.parametrize(
    "reading",
    [
        {"readout_steps": [0, 7, 23]},
        {"readout_steps": [0, 7, 23], "mean": True},
        {"readout_steps": [[3, 20], [11, 12], [1, 23]]},
        {"readout_steps": [[3, 20], [11, 12], [1, 23]], "mean": True},
    ],
)
@pytest.mark.parametrize("qubits", [4, 5])
def test_whatever_is_read(qubits, reading, rng):
    assert_same(both_ways(load_template("damped_ring", qubits), rng, **reading))


@pytest.mark.parametrize("template", ["damped_ring", "damped_line"])
def test_of_a_few_damped_qubits_and_of_the_first_step_alone(template, rng):
    memory = load_template(template, 4, {"damped": [3]})
    assert_same(both_ways(memory, rng))
    assert_same(both_ways(memory, rng, steps=4, readout_steps=[0]))


def test_where_nearly_every_step_is_read_steps_stay_whole():
    engine = OpenEngine(load_template("damped_ring", 4))
    shapes = (1, 8, 1, 8), (1, engine.memory.num_weights), (1, 1, 1, 1, engine.memory.num_query_angles)
    for steps, crossed in (([7], True), ([1, 4, 7], False)):
        _, tape = engine.forward(*(np.zeros(shape) for shape in shapes), readout_steps=steps)
        assert tape.reading.cross is crossed


def test_what_is_joined():
    memory = load_template("damped_ring", 4)
    plan = compile_open_plan(memory.update, memory.inputs, memory.weights, memory.ancillas, memory.emissions)
    operations = join_passes(plan.operations, emissions=False)
    passes = cross_steps(operations, lambda angle: not plan.depends_on_input(angle))
    assert [type(operation) for operation in passes.later] == [Crossing] * 4 + [CommutingTurns]
    assert [type(operation) for operation in passes.last] == [DampedTurn] * 4
    assert {type(operation) for operation in passes.first[:4]} == {TwoTurns}
    carried_by_inputs = cross_steps(operations, lambda angle: False)
    assert carried_by_inputs.last == []
