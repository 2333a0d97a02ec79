"""A device's errors as channels of a memory circuit, against Aer's noise model of the pulses that would be sent."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import Kraus
from qiskit.transpiler import InstructionProperties, PassManager
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDelay
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime.circuit.library import MidCircuitReset
from qiskit_ibm_runtime.fake_provider import FakeBoston, FakeTorino

from qlam_qiskit.backends.simulation import Described
from qlam_qiskit.backends.targets import part_of_target
from qlam_qiskit.engine import make_engine
from qlam_qiskit.errors import PlanningError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.planning.device_noise import Calibration, best_chain, noisy_memory
from qlam_qiskit.planning.economy import economize
from qlam_qiskit.templates import load_template

STEPS = 16
CHAINS = {"FakeTorino": (87, 88, 94, 107), "FakeBoston": (3, 16, 23, 22)}


@pytest.fixture(scope="module", params=[FakeTorino, FakeBoston], ids=lambda kind: kind.__name__)
def device(request):
    return request.param()


def _chain(device, length):
    return CHAINS[type(device).__name__][:length]


def _density(circuit, noise=None):
    circuit = circuit.decompose(["xx_plus_yy"])
    circuit.save_density_matrix()
    result = AerSimulator(method="density_matrix", noise_model=noise).run(circuit).result()
    assert result.success, result.status
    return np.asarray(result.data()["density_matrix"])


def _outcomes(density, memory):
    """Return the probabilities of the memory qubits' bitstrings."""
    qubits = memory.update.num_qubits
    diagonal = np.real(np.diag(density)).reshape([2] * qubits)
    return diagonal.sum(axis=tuple(qubits - 1 - ancilla for ancilla in memory.ancillas)).ravel()


def _values(memory, rng):
    values = dict(zip(memory.sequence_inputs(STEPS), rng.normal(size=STEPS * memory.num_inputs) * 0.3, strict=True))
    values |= dict(zip(memory.weights, rng.normal(size=memory.num_weights) * 0.4, strict=True))
    return values | dict(zip(memory.query_angles, rng.normal(size=memory.num_query_angles), strict=True))


def _bound(memory, rng):
    return memory.unroll(STEPS).assign_parameters(_values(memory, rng))


def _as_the_device_runs_it(memory, target, rng):
    """Return the outcomes of the pulses that the job layer would send, scheduled, under Aer's noise model."""
    economical = economize(memory.unroll(STEPS, measure=True), target)
    values = _values(memory, rng)
    row = np.array([[values[parameter] for parameter in economical.parameters]])
    angles = dict(zip(economical.angles, economical.values(row)[0], strict=True))
    circuit = economical.circuit.assign_parameters(angles)
    if "reset_2" in target.operation_names:
        faster = circuit.copy_empty_like()
        for item in circuit.data:
            operation = MidCircuitReset("reset_2") if item.operation.name == "reset" else item.operation
            faster.append(operation, item.qubits, item.clbits)
        circuit = faster
    scheduled = PassManager([ALAPScheduleAnalysis(target=target), PadDelay(target=target)]).run(circuit)
    noise = NoiseModel.from_backend(Described(target))
    shots = 200_000
    simulator = AerSimulator(method="density_matrix", noise_model=noise, seed_simulator=3)
    counts = simulator.run(_resets_of_aer(scheduled, target), shots=shots).result().get_counts()
    outcomes = np.zeros(2**memory.num_qubits)
    for bits, count in counts.items():
        outcomes[int(bits.split()[0], 2)] = count / shots
    return outcomes, shots


def _resets_of_aer(circuit, target):
    """Write ``reset_2`` as Aer knows it: a reset, then the error that its noise model has for it."""
    if "reset_2" not in target.operation_names:
        return circuit
    errors = NoiseModel.from_backend(Described(target))._local_quantum_errors["reset_2"]
    written = circuit.copy_empty_like()
    for item in circuit.data:
        if item.operation.name != "reset_2":
            written.append(item)
            continue
        qubit = item.qubits[0]
        with_initialize = QuantumCircuit(1)
        with_initialize.append(Kraus([np.array([[1, 0], [0, 0]]), np.array([[0, 1], [0, 0]])]), [0])
        written.append(with_initialize.data[0].operation, [qubit])
        written.append(errors[circuit.find_bit(qubit).index,].to_instruction(), [qubit])
    return written


@pytest.mark.parametrize(("template", "qubits"), [("line", 3), ("damped_line", 3)])
def test_a_template_loses_what_aer_says_that_the_device_loses(device, template, qubits):
    memory = load_template(template, qubits)
    chain = _chain(device, memory.update.num_qubits)
    noisy = noisy_memory(memory, device, chain)
    target = part_of_target(device.target, chain)
    ideal = _outcomes(_density(_bound(memory, np.random.default_rng(4))), memory)
    outcomes = _outcomes(_density(_bound(noisy, np.random.default_rng(4))), noisy)
    expected, shots = _as_the_device_runs_it(memory, target, np.random.default_rng(4))
    loss = np.abs(ideal - expected).sum()
    sampled = np.sqrt(expected * (1 - expected) / shots).sum()
    assert loss > 0.02
    assert np.abs(outcomes - expected).sum() < 0.03 * loss + 3 * sampled


def test_gates_of_fixed_angles_are_exact(device, monkeypatch):
    """No run's pulses depend on a parameter here, so that nothing is averaged; nor does anything wait."""
    monkeypatch.setattr(Calibration, "waiting", lambda *arguments: None)
    update = QuantumCircuit(3, name="fixed")
    # It begins and ends with gates of two qubits, so that no run continues from step to step.
    for angle in (0.3, 0.8, 1.9):
        update.cz(0, 1)
        update.cz(1, 2)
        for qubit in range(3):
            update.h(qubit)
            update.rx(angle, qubit)
    update.cz(0, 1)
    update.cz(1, 2)
    memory = MemoryCircuit(update, (), (), query=QuantumCircuit(3), query_angles=())
    chain = _chain(device, 3)
    target = part_of_target(device.target, chain)
    outcomes = np.real(np.diag(_density(noisy_memory(memory, device, chain).unroll(2))))
    circuit = memory.unroll(2, measure=True)
    pulses = economize(circuit, target).circuit
    pulses.remove_final_measurements()
    expected = np.real(np.diag(_density(pulses, NoiseModel.from_backend(Described(target)))))
    for qubit in range(3):
        error = target["measure"][qubit,].error
        flipped = expected.reshape([2] * 3)
        expected = ((1 - error) * flipped + error * np.flip(flipped, axis=2 - qubit)).ravel()
    np.testing.assert_allclose(outcomes, expected, rtol=0, atol=1e-10)


def test_roles_and_parameters_stay(device):
    memory = load_template("damped_line", 2)
    noisy = noisy_memory(memory, device, _chain(device, 3), emissions=True)
    assert (noisy.inputs, noisy.weights, noisy.query_angles) == (memory.inputs, memory.weights, memory.query_angles)
    assert (noisy.ancillas, noisy.emissions, noisy.rates) == (memory.ancillas, memory.emissions, memory.rates)
    assert noisy.is_open and noisy.fingerprint != memory.fingerprint
    assert noisy_memory(memory, device, _chain(device, 3)).num_emissions == 0


def _errorless():
    target = part_of_target(FakeTorino().target, CHAINS["FakeTorino"])
    for name in target.operation_names:
        for qubits, properties in target[name].items():
            if qubits is not None and properties is not None:
                target.update_instruction_properties(name, qubits, InstructionProperties(duration=0.0, error=0.0))
    return Described(target)


def test_emissions_keep_their_order_and_those_that_are_none_are_left_out():
    """Without errors they are the memory's own."""
    (x,) = phi = ParameterVector("phi", 1)
    update = QuantumCircuit(2, 3)
    update.ry(x, 0)
    update.cry(0.8, 0, 1)
    update.measure(1, 2)
    update.reset(1)
    update.ry(2.5, 1)
    update.measure(1, 1)
    update.cx(0, 1)
    update.measure(1, 0)
    memory = MemoryCircuit(update, phi, (), ancillas=[1], emissions=[2, 0])
    noisy = noisy_memory(memory, _errorless(), (0, 1), emissions=True)
    arguments = np.full((1, 3, 1, 1), 0.7), np.zeros((1, 0)), np.zeros((1, 1, 1, 1, 2))
    found, expected = (
        make_engine(each, precision="float64").forward(*arguments, emissions=True)[1].emissions
        for each in (noisy, memory)
    )
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_a_ring_is_routed_and_brought_back():
    """Without errors the routed update is the ring itself."""
    memory = load_template("ring", 4)
    noisy = noisy_memory(memory, _errorless(), (0, 1, 2, 3))
    first, second = _bound(noisy, np.random.default_rng(1)), _bound(memory, np.random.default_rng(1))
    outcomes, expected = _outcomes(_density(first), noisy), _outcomes(_density(second), memory)
    np.testing.assert_allclose(outcomes, expected, rtol=0, atol=1e-9)


def test_the_best_chain_is_long_enough_for_the_ancilla():
    memory = load_template("damped_line", 2)
    chain = best_chain(memory, FakeTorino().target)
    assert len(set(chain)) == 3


def test_a_channel_of_ones_own_is_refused_by_name(device):
    update = QuantumCircuit(2, name="mine")
    phi = ParameterVector("phi", 1)
    update.rx(phi[0], 0)
    update.append(Kraus([np.sqrt(0.9) * np.eye(2), np.sqrt(0.1) * np.diag([1, -1])]).to_instruction(), [1])
    with pytest.raises(PlanningError, match=r"'mine' holds a channel of its own \('kraus'\)"):
        noisy_memory(MemoryCircuit(update, phi, ()), device, _chain(device, 2))
