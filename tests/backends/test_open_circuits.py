"""Circuits with resets and mid-circuit measurements on simulated devices, against the exact engine."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit_ibm_runtime.circuit.library import MidCircuitMeasure, MidCircuitReset
from qiskit_ibm_runtime.fake_provider import FakeBoston

from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.backends.simulation import DeviceSimulator
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.errors import BackendError
from qlam_qiskit.planning.device_noise import noisy_memory
from qlam_qiskit.planning.plan import make_plan
from qlam_qiskit.planning.readout import count_outcomes, frequencies
from qlam_qiskit.templates import load_template


def _pub(memory, steps, rows, shots, emissions):
    rng = np.random.default_rng(0)
    weights, query = rng.normal(size=memory.num_weights) * 0.4, rng.normal(size=memory.num_query_angles)
    weights[-1] = 0.9
    circuit = memory.unroll(steps, measure=True, emissions=emissions).assign_parameters(
        dict(zip(memory.weights, weights, strict=True)) | dict(zip(memory.query_angles, query, strict=True))
    )
    inputs = 0.5 * rng.normal(size=(rows, steps * memory.num_inputs))
    names = tuple(parameter.name for parameter in memory.sequence_inputs(steps))
    return (circuit, {names: inputs}, shots), inputs.reshape(rows, steps, 1, -1), weights, query


@pytest.mark.parametrize(
    ("device", "steps", "shots", "emissions"), [("FakeTorino", 16, 20_000, False), ("FakeBoston", 8, 2_000, True)]
)
def test_bits_are_as_often_one_as_the_exact_engine_says(device, steps, shots, emissions):
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    memory = load_template("damped_line", 2)
    pub, inputs, weights, query = _pub(memory, steps, 2, shots, emissions)
    opened = open_backend(make_spec("here", {"kind": "fake", "name": device}, "test"), seed=1)
    plan = make_plan([SamplerPub.coerce(pub)], opened, tiles=1)
    ran = plan.jobs[0].pubs[0].circuit.count_ops()
    assert ran["measure"] == 2
    assert ran["reset_2" if device == "FakeBoston" else "reset"] == steps
    assert ran.get("measure_2", 0) == (steps if emissions else 0)
    assert plan.duration_us > steps * 1.6
    read = plan.placement.collect([opened.sampler().run(job.pubs).result() for job in plan.jobs])[0].data
    noisy = noisy_memory(memory, opened.backend.device, plan.chains[0], emissions=emissions)
    expected, tape = OpenEngine(noisy, precision="float64").forward(
        inputs, weights[None], query[None, None, None, None], emissions=emissions
    )
    scatter = np.sqrt(0.25 / shots)
    measured = frequencies(count_outcomes(read.meas))
    assert np.abs(measured - expected.reshape(2, 4)).max() < 4 * scatter + 0.004
    if emissions:
        bits = read.emission.to_bool_array(order="little").mean(axis=(1, 2))
        assert np.abs(bits - tape.emissions.ravel()).max() < 4 * scatter / np.sqrt(steps) + 0.004


def test_the_two_forms_of_a_measurement_have_readout_errors_of_their_own():
    """Qubit 5 is measured both ways; nothing else goes wrong with a qubit in its ground state."""
    device = FakeBoston()
    circuit = QuantumCircuit(device.num_qubits, 2)
    circuit.append(MidCircuitMeasure(), [5], [0])
    circuit.append(MidCircuitReset(), [5])
    circuit.measure(5, 1)
    shots = 100_000
    opened = open_backend(make_spec("here", {"kind": "fake", "name": "FakeBoston"}, "test"), seed=1)
    bits = opened.sampler().run([circuit], shots=shots).result()[0].data.c.to_bool_array(order="little").mean(axis=0)
    target = device.target
    for measured, name in zip(bits, ("measure_2", "measure"), strict=True):
        error = target[name][5,].error
        assert abs(measured - error) < 5 * np.sqrt(error / shots)
    with pytest.raises(BackendError, match="measure_2 through its sampler only"):
        DeviceSimulator(device).run(circuit)
