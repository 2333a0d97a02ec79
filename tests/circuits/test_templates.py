"""Every template, whichever there are, computes what Aer computes, and starts out near the identity.

Those that forget are compared as density matrices, and are their unitary namesakes where no qubit is damped.
"""

import numpy as np
import pytest
from open_memories import aer_reading
from qiskit_aer import AerSimulator
from references import bound_sequence

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.templates import find_templates, load_template

OPEN = ["damped_line", "damped_ring"]
NAMES = sorted(set(find_templates()).difference(OPEN))


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
    assert {"brickwork", "ising", "line", "reuploading", "ring", *OPEN} <= set(find_templates())


@pytest.mark.parametrize("qubits", [1, 2, 4])
@pytest.mark.parametrize(("name", "damped"), [("damped_ring", None), ("damped_line", None), ("damped_line", "both")])
def test_damped_memories_are_aers_to_ten_digits(name, damped, qubits):
    options = {} if damped is None else {"damped": sorted({0, qubits - 1})}
    memory = load_template(name, qubits, options)
    inputs, weights = _arguments(memory, samples=1, steps=4, seed=qubits)
    query = np.random.default_rng(0).normal(size=memory.num_query_angles)
    engine = OpenEngine(memory, precision="float64")
    values, tape = engine.forward(
        inputs[:, :, None], weights[None], query[None, None, None, None], readout_steps=range(4), emissions=True
    )
    found, _, emitted = aer_reading(memory, inputs[0], weights, query)
    np.testing.assert_allclose(values[0, 3, 0, 0], found, rtol=0, atol=1e-10)
    np.testing.assert_allclose(tape.emissions[0, :, 0], emitted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("qubits", [1, 3])
@pytest.mark.parametrize(("name", "unitary"), [("damped_ring", "ring"), ("damped_line", "line")])
def test_without_damped_qubits_nothing_is_forgotten(name, unitary, qubits):
    memory = load_template(name, qubits, {"damped": []})
    assert not memory.is_open
    assert memory.fingerprint == load_template(unitary, qubits).fingerprint


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("damped_ring", {"damped": [3]}, r"from 0 to 2, not \[3\]"),
        ("damped_ring", {"damped": [1, 1]}, r"different qubits"),
        ("damped_line", {"damped": [1]}, r"out of \[0, 2\], not \[1\]"),
        ("damped_line", {"rates": [0.1, 0.01]}, r"not from 0.1 to 0.01"),
        ("damped_ring", {"rates": [0.0, 0.01]}, r"between 0 and 1"),
    ],
)
def test_what_cannot_be_damped_is_said(name, options, message):
    with pytest.raises(CircuitError, match=message) as raised:
        load_template(name, 3, options)
    assert "\n" not in str(raised.value)


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


@pytest.mark.parametrize("name", ["line", "brickwork", "damped_line"])
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
    try:
        memory = load_template(name, 2, {"layers": 0})
    except CircuitError as error:
        assert "\n" not in str(error)
        return
    assert memory.num_weights == 0
    inputs, weights = _arguments(memory, samples=1, steps=3, seed=0)
    states = ExactEngine(memory, precision="float64").statevector(inputs, weights)
    np.testing.assert_allclose(states, _aer_states(memory, inputs, weights), rtol=0, atol=1e-10)
