"""The memory's states: Qiskit's own, with entropies and overlaps that are known."""

import numpy as np
import pytest
from qiskit.quantum_info import Statevector, entropy, partial_trace, random_statevector
from references import bound_sequence

from qlam_qiskit.report.states import entanglement_entropy, overlap_with_last, trajectory
from qlam_qiskit.templates import load_template


@pytest.mark.parametrize("template", ["ring", "line", "brickwork", "reuploading", "ising"])
def test_every_state_is_qiskits_of_the_steps_so_far(template):
    memory, rng = load_template(template, 4), np.random.default_rng(1)
    angles, weights = rng.normal(size=(2, 3, memory.num_inputs)), rng.normal(size=memory.num_weights)
    states = trajectory(memory, angles, weights)
    assert states.shape == (2, 4, 16)
    np.testing.assert_array_equal(states[:, 0], np.eye(16)[[0, 0]])
    for sample in range(2):
        for steps in range(1, 4):
            expected = Statevector(bound_sequence(memory, angles[sample, :steps], weights))
            assert abs(expected.inner(Statevector(states[sample, steps]))) == pytest.approx(1, abs=1e-12)


def test_a_bell_pair_shares_one_bit_and_a_product_none():
    bell = np.array([1, 0, 0, 1j]) / np.sqrt(2)
    product = Statevector.from_label("+r0").data
    np.testing.assert_allclose(entanglement_entropy(bell), [1, 1], atol=1e-12)
    np.testing.assert_allclose(entanglement_entropy(product), [0, 0, 0], atol=1e-7)
    beside = np.kron(bell, [0.6, 0.8])  # qubit 0 stands for itself
    np.testing.assert_allclose(entanglement_entropy(beside), [0, 1, 1], atol=1e-7)


def test_entropies_are_qiskits():
    states = [random_statevector(16, seed=seed) for seed in range(3)]
    expected = [
        [entropy(partial_trace(state, [other for other in range(4) if other != qubit])) for qubit in range(4)]
        for state in states
    ]
    np.testing.assert_allclose(entanglement_entropy(np.array([state.data for state in states])), expected, atol=1e-7)


def test_the_last_state_overlaps_with_itself_and_not_with_what_is_orthogonal():
    states = np.array([[1, 0], [np.sqrt(0.5), np.sqrt(0.5)], [0, 1]], complex)
    np.testing.assert_allclose(overlap_with_last(states), [0, 0.5, 1], atol=1e-12)
    turned = states * np.exp(1j * np.array([0.3, 1.0, 2.0]))[:, None]
    np.testing.assert_allclose(overlap_with_last(turned), [0, 0.5, 1], atol=1e-12)
