"""Memories with a device's errors written into them: the engine is Aer's density matrices, and its counted bits.

QLAM_RANDOM_CIRCUITS above 100 tries all templates on all devices.
"""

import os

import numpy as np
import pytest
from open_memories import assert_agrees_with_aer
from qiskit import transpile
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import fake_provider
from references import bound_sequence, random_arguments

from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.planning import noisy_memory
from qlam_qiskit.templates import load_template

DEVICES = ["FakeTorino", "FakeBoston", "FakeKyiv", "FakeManilaV2", "FakeMarrakesh"]
TEMPLATES = [("damped_line", 3), ("line", 3), ("damped_ring", 2), ("damped_line", 1), ("ring", 4)]
EVERYTHING = int(os.environ.get("QLAM_RANDOM_CIRCUITS", "25")) > 100
CASES = [
    (device, *template)
    for i, device in enumerate(DEVICES)
    for k, template in enumerate(TEMPLATES)
    if EVERYTHING or i == k
]


@pytest.mark.parametrize(("device", "template", "qubits"), CASES)
def test_the_exact_noise_of_a_device_is_aers(device, template, qubits):
    memory = load_template(template, qubits)
    noisy = noisy_memory(memory, getattr(fake_provider, device)(), emissions=bool(memory.num_emissions))
    assert noisy.num_emissions == memory.num_emissions
    assert_agrees_with_aer(noisy, np.random.default_rng(qubits), steps=2)


@pytest.mark.parametrize("device", DEVICES if EVERYTHING else ["FakeTorino"])
def test_emissions_are_the_frequencies_of_bits_measured_on_the_way(device):
    memory = noisy_memory(load_template("damped_line", 2), getattr(fake_provider, device)(), emissions=True)
    engine = OpenEngine(memory, precision="float64", threads=1)
    steps, shots = 3, 20_000
    inputs, weights, queries = random_arguments(engine, np.random.default_rng(2), samples=1, steps=steps)
    weights[0, -len(memory.rates) :] = 1.2
    _, tape = engine.forward(inputs, weights, queries, readout_steps=range(steps), emissions=True)
    simulator = AerSimulator(method="statevector", seed_simulator=7)
    circuit = bound_sequence(memory, inputs[0, :, 0], weights[0], emissions=True)
    counts = simulator.run(transpile(circuit, simulator, optimization_level=0), shots=shots).result().get_counts()
    ones = np.zeros(steps * memory.num_emissions)
    for bits, count in counts.items():
        ones += count * np.array([bit == "1" for bit in reversed(bits.replace(" ", ""))])
    expected = tape.emissions[0, :, 0].ravel()
    error = np.sqrt(expected * (1 - expected) / shots)
    # Three numbers or six: five standard errors are exceeded by one seed in 300,000.
    assert (np.abs(ones / shots - expected) < 5 * error).all()
    assert expected.max() > 0.05
