"""Purity, negativity, fidelity and distance of density matrices are Qiskit's own."""

import numpy as np
import pytest
from qiskit.quantum_info import DensityMatrix, negativity, random_density_matrix, random_statevector, state_fidelity

from qlam_qiskit.engine import pauli_matrices
from qlam_qiskit.report.mixed_states import (
    density_matrices,
    fidelity_with_last,
    logarithmic_negativity,
    purity,
    trace_distance,
)


def numbers(matrices):
    qubits = matrices.shape[-1].bit_length() - 1
    return np.einsum("pij,...ji->...p", pauli_matrices(qubits), matrices).real


@pytest.fixture
def matrices():
    mixed = [random_density_matrix(8, rank=3, seed=seed).data for seed in range(4)]
    pure = random_statevector(8, seed=9).data
    return np.array([*mixed, np.outer(pure, pure.conj())])


def test_measures_are_qiskits(matrices):
    states = numbers(matrices)
    np.testing.assert_allclose(density_matrices(states), matrices, atol=1e-12)
    np.testing.assert_allclose(purity(states), np.trace(matrices @ matrices, axis1=1, axis2=2).real, atol=1e-12)
    expected = [[np.log2(2 * negativity(DensityMatrix(each), [qubit]) + 1) for qubit in range(3)] for each in matrices]
    np.testing.assert_allclose(logarithmic_negativity(states), expected, atol=1e-7)
    expected = [state_fidelity(each, matrices[-1]) for each in matrices]
    np.testing.assert_allclose(fidelity_with_last(states), expected, atol=1e-6)
    np.testing.assert_allclose(
        fidelity_with_last(states[:4]), [state_fidelity(each, matrices[3]) for each in matrices[:4]], atol=1e-6
    )


def test_a_bell_pair_shares_one_bit_and_a_mixture_of_products_none():
    bell, zeros, ones = (np.outer(v, v) for v in (np.array([1, 0, 0, 1]) / np.sqrt(2), np.eye(4)[0], np.eye(4)[3]))
    states = numbers(np.array([bell, (zeros + ones) / 2]))
    np.testing.assert_allclose(logarithmic_negativity(states), [[1, 1], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(trace_distance(states[:1], states[1:]), [0.5], atol=1e-12)
    np.testing.assert_allclose(trace_distance(*numbers(np.array([zeros, ones]))), 1, atol=1e-12)
