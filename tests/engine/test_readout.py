"""Readouts are Qiskit's expectation values and probabilities, and linear with the transpose that they name."""

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp, random_statevector

from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import ConfigurationError


def _label(mask, qubits):
    return "".join("Z" if mask >> qubit & 1 else "I" for qubit in reversed(range(qubits)))


def test_strings_come_lighter_first_then_in_the_order_of_their_qubits():
    assert Readout(3, "z_strings", 2).masks == (0b001, 0b010, 0b100, 0b011, 0b101, 0b110)
    assert Readout(3, "z_strings", 3).masks[-1] == 0b111
    assert Readout(3, "z_strings", 1).size == 3
    assert Readout(3).size == 8


@pytest.mark.parametrize("weight", [1, 2, 4])
def test_z_strings_are_qiskits_expectation_values(weight):
    states = [random_statevector(16, seed=seed) for seed in range(3)]
    readout = Readout(4, "z_strings", weight)
    values = readout.from_probabilities(np.array([state.probabilities() for state in states]))
    expected = [
        [state.expectation_value(SparsePauliOp(_label(mask, 4))).real for mask in readout.masks] for state in states
    ]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", [Readout(3), Readout(3, "z_strings", 1), Readout(3, "z_strings", 3)])
def test_probabilities_and_z_strings_lead_to_the_same_readout(readout):
    state = random_statevector(8, seed=4)
    strings = [state.expectation_value(SparsePauliOp(_label(mask, 3))).real for mask in readout.masks]
    np.testing.assert_allclose(
        readout.from_z_strings(np.array([strings])),
        readout.from_probabilities(state.probabilities()[None]),
        rtol=0,
        atol=1e-12,
    )


def test_probabilities_are_centred_and_scaled():
    readout = Readout(2)
    np.testing.assert_array_equal(readout.from_probabilities(np.full(4, 0.25)), np.zeros(4))
    np.testing.assert_array_equal(readout.from_probabilities(np.array([1.0, 0, 0, 0])), [3, -1, -1, -1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("readout", [Readout(3), Readout(3, "z_strings", 2)])
def test_pull_back_is_the_transpose_in_the_same_precision(readout, dtype):
    rng = np.random.default_rng(0)
    probabilities, shift = rng.random((2, 5, 8)).astype(dtype)
    cotangent = rng.normal(size=(5, readout.size)).astype(dtype)
    change = readout.from_probabilities(probabilities + shift) - readout.from_probabilities(probabilities)
    pulled = readout.pull_back(cotangent)
    assert change.dtype == pulled.dtype == dtype
    np.testing.assert_allclose((pulled * shift).sum(), (cotangent * change).sum(), rtol=1e-5)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ConfigurationError, match="unknown readout 'states'; allowed: probabilities, z_strings"):
        Readout(3, "states")
    for weight in (0, 4):
        with pytest.raises(ConfigurationError, match="3 qubits have weight 1 to 3"):
            Readout(3, "z_strings", weight)
