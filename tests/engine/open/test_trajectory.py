"""Every state on the way is Aer's, and every step's emissions are."""

import numpy as np
import pytest
from open_memories import aer_reading, random_open_memory

from qlam_qiskit.engine import open_trajectory, pauli_matrices
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.templates import load_template


def densities(states):
    dimension = round(np.sqrt(states.shape[-1]))
    return np.einsum("...p,pij->...ij", states, pauli_matrices(dimension.bit_length() - 1)) / dimension


@pytest.mark.parametrize("seed", range(12))
def test_states_and_emissions_are_aers_density_matrices(seed):
    rng = np.random.default_rng(seed)
    memory = random_open_memory(rng)
    angles, weights = rng.normal(size=(2, 3, memory.num_inputs)), rng.normal(size=memory.num_weights)
    states, emitted = open_trajectory(memory, angles, weights)
    assert states.shape == (2, 4, 4**memory.num_qubits)
    nothing = np.eye(1, 2**memory.num_qubits)
    np.testing.assert_array_equal(densities(states[:, 0]), [nothing.T @ nothing] * 2)
    query = np.zeros(memory.num_query_angles)
    for sample in range(2):
        for step in range(1, 4):
            _, before, emissions = aer_reading(memory, angles[sample, :step], weights, query)
            np.testing.assert_allclose(densities(states[sample, step]), before, atol=1e-10)
        np.testing.assert_allclose(emitted[sample], emissions, atol=1e-10)


def test_a_long_sequence_ends_where_the_engine_does():
    memory, rng = load_template("damped_line", 3), np.random.default_rng(3)
    angles, weights = rng.normal(size=(2, 150, memory.num_inputs)), rng.normal(size=memory.num_weights)
    states, emitted = open_trajectory(memory, angles, weights)
    engine = OpenEngine(memory, precision="float64")
    query = np.zeros((1, 1, 1, 1, memory.num_query_angles))
    probabilities, tape = engine.forward(angles[:, :, None], weights[None], query, emissions=True)
    diagonals = np.real(np.diagonal(densities(states[:, -1]), axis1=-2, axis2=-1))
    np.testing.assert_allclose(diagonals, probabilities[:, 0, 0, 0], atol=1e-10)
    np.testing.assert_allclose(emitted.mean(axis=1), tape.emissions[:, 0, 0], atol=1e-10)
