"""Every template, whichever there are, computes what Aer computes, and starts out near the identity."""

import numpy as np
import pytest
from qiskit_aer import AerSimulator
from references import bound_sequence

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.templates import find_templates, load_template

NAMES = sorted(find_templates())


def _aer_states(memory, inputs, weights):
    circuits = [bound_sequence(memory, sample, weights) for sample in inputs]
    for circuit in circuits:
        circuit.save_statevector()
    result = AerSimulator(method="statevector").run(circuits).result()
    return np.array([result.get_statevector(index).data for index in range(len(circuits))])


def _arguments(memory, samples, steps, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, steps, memory.num_inputs)), rng.normal(size=memory.num_weights)


def test_the_templates_that_ship_are_found():
    assert {"brickwork", "ising", "line", "reuploading", "ring"} <= set(NAMES)


@pytest.mark.parametrize("layers", [None, 1, 3])
@pytest.mark.parametrize("qubits", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("name", NAMES)
def test_double_precision_states_are_aers_to_ten_digits(name, qubits, layers):
    memory = load_template(name, qubits, {} if layers is None else {"layers": layers})
    inputs, weights = _arguments(memory, samples=2, steps=5, seed=qubits)
    states = ExactEngine(memory, precision="float64").statevector(inputs, weights)
    np.testing.assert_allclose(states, _aer_states(memory, inputs, weights), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_states_stay_aers_over_200_steps(name):
    memory = load_template(name, 6)
    inputs, weights = _arguments(memory, samples=1, steps=200, seed=1)
    inputs = inputs.astype(np.float32)
    states = ExactEngine(memory, precision="float32").statevector(inputs, weights)
    np.testing.assert_allclose(states, _aer_states(memory, inputs, weights), rtol=0, atol=1e-4)


@pytest.mark.parametrize("qubits", [1, 4, 5])
@pytest.mark.parametrize("name", NAMES)
def test_with_all_angles_zero_the_memory_keeps_what_it_holds(name, qubits):
    from qiskit.quantum_info import Operator

    memory = load_template(name, qubits)
    idle = memory.update.assign_parameters(np.zeros(memory.update.num_parameters))
    assert Operator(idle).equiv(np.eye(2**qubits))


@pytest.mark.parametrize("name", ["line", "brickwork"])
def test_hardware_templates_couple_nearest_neighbours_only(name):
    memory = load_template(name, 6)
    pairs = [
        sorted(memory.update.find_bit(qubit).index for qubit in instruction.qubits)
        for instruction in memory.update.data
        if len(instruction.qubits) == 2
    ]
    assert pairs
    assert all(second == first + 1 for first, second in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_no_layers_leaves_no_weights_or_says_what_is_wrong(name):
    from qlam_qiskit.errors import CircuitError

    try:
        memory = load_template(name, 2, {"layers": 0})
    except CircuitError as error:
        assert "\n" not in str(error)
        return
    assert memory.num_weights == 0
    inputs, weights = _arguments(memory, samples=1, steps=3, seed=0)
    states = ExactEngine(memory, precision="float64").statevector(inputs, weights)
    np.testing.assert_allclose(states, _aer_states(memory, inputs, weights), rtol=0, atol=1e-10)
