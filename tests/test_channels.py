"""Memory circuits with channels: what they accept, how they unroll, and what their fingerprint depends on."""

import numpy as np
import pytest
from qiskit import transpile
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.quantum_info import Kraus
from qiskit_aer import AerSimulator
from qiskit_aer.noise import amplitude_damping_error, depolarizing_error

from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.rate import Rate
from qlam_qiskit.templates import load_template


def _update(*more):
    """One qubit of memory between two ancillas, the first of which is left as it is."""
    x, w = Parameter("x"), Parameter("w")
    update = QuantumCircuit(3, 2)
    update.ry(x, 1)
    update.crx(w, 1, 0)
    update.cry(w, 1, 2)
    update.measure(2, 1)
    update.reset(2)
    for apply in more:
        apply(update)
    return update, x, w


def _memory(*more, emissions=(1,), **options):
    update, x, w = _update(*more)
    return MemoryCircuit(update, [x], [w], ancillas=[0, 2], emissions=emissions, **options)


def test_the_memory_is_what_is_no_ancilla():
    memory = _memory()
    assert (memory.num_qubits, memory.memory_qubits, memory.num_emissions, memory.is_open) == (1, (1,), 1, True)
    assert memory.query.num_qubits == 1


def test_unrolled_steps_end_with_ancillas_in_zero():
    memory = _memory()
    counts = memory.unroll(3).count_ops()
    assert counts["reset"] == 6  # the one that is written, and the first ancilla's own
    assert "measure" not in counts
    whole = memory.unroll(3, measure=True, emissions=True)
    assert [(register.name, register.size) for register in whole.cregs] == [("emission", 3), ("meas", 1)]
    assert whole.count_ops()["measure"] == 4
    measured = [i for i in whole.data if i.operation.name == "measure"]
    assert [whole.find_bit(i.qubits[0]).index for i in measured] == [2, 2, 2, 1]


def test_a_measurement_that_changes_the_state_on_average_is_kept():
    memory = _memory(lambda c: c.measure(1, 0), lambda c: c.rx(0.3, 1))
    circuit = memory.unroll(2)
    assert [(register.name, register.size) for register in circuit.cregs] == [("unread", 1)]
    assert circuit.count_ops()["measure"] == 2


@pytest.mark.parametrize(
    ("more", "options", "message"),
    [
        ([lambda c: c.measure(0, 1)], {}, r"instruction 5: 'measure' on qubits \[0\] writes classical bit 1"),
        ([], {"emissions": [0]}, r"no measurement writes its emission bits \[0\]"),
        ([], {"emissions": [2]}, "emission bits are different numbers below 2"),
        ([], {"rates": {Parameter("v"): Rate()}}, "not listed among them: v"),
        ([], {"query": QuantumCircuit(3)}, "query has 3 qubits and the memory 1"),
        ([], {"query": QuantumCircuit(1, 1)}, "query has classical bits"),
    ],
)
def test_what_does_not_fit_is_said(more, options, message):
    with pytest.raises(CircuitError, match=message) as raised:
        _memory(*more, **options)
    assert "\n" not in str(raised.value)


def test_what_is_measured_is_not_fed_back():
    update, x, w = _update()
    with update.if_test((update.clbits[1], 1)):
        update.x(1)
    with pytest.raises(CircuitError, match=r"instruction 5: 'if_else' on qubits \[1\].*fed back"):
        MemoryCircuit(update, [x], [w], ancillas=[0, 2], emissions=[1])


def test_ancillas_are_different_qubits_and_leave_some():
    update, x, w = _update()
    for ancillas in ([0, 0], [3], [-1]):
        with pytest.raises(CircuitError, match="ancillas are different numbers below 3"):
            MemoryCircuit(update, [x], [w], ancillas=ancillas, emissions=[1])
    with pytest.raises(CircuitError, match="at least 1 qubit"):
        MemoryCircuit(update, [x], [w], ancillas=[0, 1, 2], emissions=[1])


def test_measurements_are_written_out():
    inner = QuantumCircuit(1, 1)
    inner.measure(0, 0)
    update = QuantumCircuit(1, 1)
    update.append(inner.to_instruction(), [0], [0])
    with pytest.raises(CircuitError, match="measures within its definition"):
        MemoryCircuit(update, [], [])


def test_whatever_changes_the_channel_changes_the_fingerprint():
    def appended(error):
        return lambda circuit: circuit.append(error.to_instruction(), [1])

    update, x, w = _update()
    memories = [
        _memory(),
        _memory(emissions=()),
        _memory(lambda c: c.reset(1)),
        _memory(appended(depolarizing_error(0.1, 1))),
        _memory(appended(depolarizing_error(0.2, 1))),
        _memory(appended(Kraus(amplitude_damping_error(0.1)))),
        MemoryCircuit(update, [x], [w], ancillas=[0], emissions=[1]),
        MemoryCircuit(update, [x], [w], ancillas=[0, 2], emissions=[1], rates={w: Rate()}),
    ]
    assert len({memory.fingerprint for memory in memories}) == len(memories)
    assert _memory().fingerprint == _memory().fingerprint
    # Where rates start is not part of what is computed.
    ranges = [load_template("damped_ring", 2, {"rates": list(rates)}).fingerprint for rates in ((0.1, 0.2), (0.3, 0.4))]
    assert ranges[0] == ranges[1]


def test_emissions_are_the_bits_that_a_device_measures_on_the_way():
    memory = load_template("damped_line", 2, {"damped": [0, 1]})
    rng = np.random.default_rng(3)
    steps, shots = 5, 40_000
    inputs, weights = rng.normal(size=(1, steps, 1, memory.num_inputs)), rng.normal(size=(1, memory.num_weights))
    query = rng.normal(size=(1, 1, 1, 1, memory.num_query_angles))
    engine = OpenEngine(memory, precision="float64")
    values, tape = engine.forward(inputs, weights, query, readout_steps=range(steps), emissions=True)
    bound = dict(zip(memory.sequence_inputs(steps), inputs.ravel(), strict=True))
    bound |= dict(zip(memory.weights, weights[0], strict=True))
    bound |= dict(zip(memory.query_angles, query.ravel(), strict=True))
    circuit = memory.unroll(steps, measure=True, emissions=True).assign_parameters(bound)
    simulator = AerSimulator(seed_simulator=1)
    counts = simulator.run(transpile(circuit, simulator), shots=shots).result().get_counts()
    ones, outcomes = np.zeros(2 * steps), np.zeros(4)
    for bits, count in counts.items():
        meas, emitted = bits.split()
        ones += count * np.array([bit == "1" for bit in reversed(emitted)])
        outcomes[int(meas, 2)] += count
    error = 5 * 0.5 / np.sqrt(shots)
    np.testing.assert_allclose(ones.reshape(steps, 2) / shots, tape.emissions[0, :, 0], rtol=0, atol=error)
    np.testing.assert_allclose(outcomes / shots, values[0, -1, 0, 0], rtol=0, atol=error)
