"""Counts, expectations, and undoing readout errors, against brute force and against a device that misreads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray
from qiskit.quantum_info import SparsePauliOp

from qlam_qiskit.errors import PlanningError
from qlam_qiskit.planning.readout import (
    Calibration,
    count_outcomes,
    frequencies,
    nearest_probabilities,
    undo_readout_errors,
    z_expectations,
)


@given(
    st.integers(1, 19).flatmap(
        lambda bits: st.tuples(
            st.just(bits), st.permutations(range(bits)), st.integers(1, min(bits, 6)), st.integers(0, 2**32)
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_counts_agree_with_qiskit_for_any_selection_of_bits(drawn):
    bits, order, width, seed = drawn
    selected = order[:width]
    values = np.random.default_rng(seed).integers(0, 2**bits, size=(3, 2, 25))
    array = BitArray.from_bool_array(((values[..., None] >> np.arange(bits)) & 1).astype(bool), order="little")
    counts = count_outcomes(array, selected)
    assert counts.shape == (3, 2, 2**width) and np.all(counts.sum(-1) == 25)
    expected = array.slice_bits(selected).get_int_counts((2, 1))
    assert {index: count for index, count in enumerate(counts[2, 1]) if count} == expected


def test_counts_over_too_many_bits_are_refused():
    wide = BitArray(np.zeros((2, 3), dtype=np.uint8), 24)
    with pytest.raises(PlanningError, match="select at most 20 bits"):
        count_outcomes(wide)
    assert count_outcomes(wide, [0, 23]).tolist() == [2, 0, 0, 0]


def test_no_shots_is_an_error_and_not_a_division_by_zero():
    with pytest.raises(PlanningError, match="has no shots"):
        frequencies(np.zeros((1, 4), dtype=int))


def test_expectations_agree_with_qiskit():
    values = np.random.default_rng(0).dirichlet(np.ones(8), size=5)
    strings = ["ZII", "IZI", "IIZ", "ZZI", "ZIZ", "III"]
    for row, found in zip(values, z_expectations(values, strings), strict=True):
        expected = [np.real(np.trace(SparsePauliOp(string).to_matrix() @ np.diag(row))) for string in strings]
        assert found == pytest.approx(expected)
    with pytest.raises(PlanningError, match="'XII' is not a string of I and Z over 3 bits"):
        z_expectations(values, ["XII"])


def test_undoing_inverts_the_confusion_of_every_bit_exactly():
    rng = np.random.default_rng(1)
    errors = rng.uniform(0, 0.2, size=(3, 2))
    confusion = np.ones((1, 1))
    for one, zero in errors:  # bit 0 last in the Kronecker product
        confusion = np.kron(np.array([[1 - one, zero], [one, 1 - zero]]), confusion)
    truth = rng.dirichlet(np.ones(8), size=(4, 2))
    read = truth @ confusion.T
    assert undo_readout_errors(read, errors) == pytest.approx(truth)


def test_a_bit_that_is_read_at_random_cannot_be_mitigated():
    with pytest.raises(PlanningError, match="bit 1 is read no better than at random"):
        undo_readout_errors(np.full(4, 0.25), np.array([[0.01, 0.01], [0.5, 0.5]]))
    with pytest.raises(PlanningError, match="2 bits have 4 outcomes, not 8"):
        undo_readout_errors(np.full(8, 0.125), np.zeros((2, 2)))


@given(st.lists(st.floats(-0.2, 1.0), min_size=2, max_size=16))
def test_the_nearest_distribution_is_proper_and_nearest(values):
    raw = np.array(values)
    raw += (1 - raw.sum()) / raw.size
    found = nearest_probabilities(raw)
    assert found.min() >= 0 and found.sum() == pytest.approx(1)
    distance = np.linalg.norm(found - raw)
    for other in np.random.default_rng(0).dirichlet(np.ones(raw.size), size=20):
        assert distance <= np.linalg.norm(other - raw) + 1e-9


def test_a_proper_distribution_stays_as_it_is():
    values = np.random.default_rng(2).dirichlet(np.ones(8), size=3)
    assert nearest_probabilities(values) == pytest.approx(values)


def test_calibration_takes_each_qubit_from_the_device_and_survives_json():
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2

    device = FakeManilaV2()
    circuit = QuantumCircuit(5, 3)
    circuit.measure([4, 1], [0, 2])
    calibration = Calibration.of_circuits(device, [circuit])
    assert Calibration.from_json(calibration.to_json()) == calibration
    assert set(calibration.readout) == {1, 4}
    known = device.properties().qubit_property(4)
    expected = (known["prob_meas1_prep0"][0], known["prob_meas0_prep1"][0])
    assert calibration.readout[4] == expected
    errors = calibration.of_bits(circuit)
    assert errors[0].tolist() == list(expected) and errors[1].tolist() == [0, 0]


def test_an_ideal_simulator_has_no_readout_errors():
    from qiskit_aer import AerSimulator

    circuit = QuantumCircuit(1)
    circuit.measure_all()
    assert Calibration.of_circuits(AerSimulator(), [circuit]) == Calibration(None, {})


def test_mitigation_brings_a_misreading_device_closer_to_the_truth():
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel, ReadoutError
    from qiskit_aer.primitives import SamplerV2

    errors = np.array([[0.03, 0.1], [0.06, 0.12]])
    noise = NoiseModel()
    for qubit, (one, zero) in enumerate(errors):
        noise.add_readout_error(ReadoutError([[1 - one, one], [zero, 1 - zero]]), [qubit])
    circuit = QuantumCircuit(2)
    circuit.ry(1.0, 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    sampler = SamplerV2.from_backend(AerSimulator(noise_model=noise), seed=5)
    read = frequencies(count_outcomes(sampler.run([circuit], shots=40_000).result()[0].data.meas))
    truth = np.array([np.cos(0.5) ** 2, 0, 0, np.sin(0.5) ** 2])
    undone = undo_readout_errors(read, errors)
    assert np.abs(read - truth).max() > 0.05
    assert undone == pytest.approx(truth, abs=0.012)
    assert nearest_probabilities(undone) == pytest.approx(truth, abs=0.012)
