"""From a plan to the counts of its logical circuits: tiled or not, here or at the service, mitigated or not."""

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ParameterVector
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit import jobs
from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.jobs import JobError, Ledger
from qlam_qiskit.planning.plan import make_plan
from qlam_qiskit.planning.readout import Calibration


def _logical(rows, shots=2000):
    """Two qubits in two registers: the chance of a one in each is set by its angle."""
    low, high = ClassicalRegister(1, "low"), ClassicalRegister(1, "high")
    circuit = QuantumCircuit(QuantumRegister(2), low, high)
    angles = ParameterVector("a", 2)
    circuit.ry(angles[0], 0)
    circuit.ry(angles[1], 1)
    circuit.measure(0, low)
    circuit.measure(1, high)
    return SamplerPub.coerce((circuit, rows, shots))


def _expected(rows):
    low, high = (np.sin(np.asarray(rows)[:, index] / 2) ** 2 for index in (0, 1))
    return np.stack([(1 - low) * (1 - high), low * (1 - high), (1 - low) * high, low * high], axis=1)


@pytest.fixture
def rows():
    return np.random.default_rng(4).uniform(0, np.pi, size=(7, 2))


@pytest.mark.parametrize("generation", ["v2", "executor"])
def test_a_plan_on_the_service_gives_the_logical_counts(open_service, ledger, home, rows, patience, generation, server):
    backend = open_service(generation=generation)
    plan = make_plan([_logical(rows), _logical(rows[:2])], backend)
    sent = jobs.submit(plan, backend, ledger, metadata={"run": "x"}, **patience)
    with pytest.raises(JobError, match=r"is not complete .*; run `qlam jobs resume"):
        jobs.counts(ledger, sent.id)
    assert jobs.wait(ledger, sent.id, **patience).complete
    with Ledger(home) as later:
        first, second = jobs.counts(later, sent.id)
    assert first.shape == (7, 4) and second.shape == (2, 4) and set(first.sum(axis=1)) == {2000}
    assert first.dtype.kind == "i"
    assert first / 2000 == pytest.approx(_expected(rows), abs=0.06)
    assert second / 2000 == pytest.approx(_expected(rows[:2]), abs=0.06)
    assert jobs.show(ledger, sent.id)[0].details["plan"]["jobs"] >= 1


def test_a_plan_on_aer_gives_the_same(ledger, rows, patience):
    backend = open_backend(make_spec("aer", {"kind": "aer", "shots": 2000, "seed": 1}, "test"))
    sent = jobs.submit(make_plan([_logical(rows)], backend), backend, ledger, **patience)
    [found] = jobs.probabilities(ledger, sent.id, mitigate=True)  # nothing to mitigate
    assert found == pytest.approx(_expected(rows), abs=0.06)


def test_mitigation_uses_the_errors_of_the_qubits_that_each_row_ran_on(ledger, rows, patience):
    """A device on which every qubit misreads differently; only its own inverse brings a row back."""
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2

    backend = open_backend(make_spec("fake", {"kind": "fake", "name": "FakeManila", "seed": 2}, "test"))
    sent = jobs.submit(make_plan([_logical(rows, 20_000)], backend), backend, ledger, **patience)
    raw = jobs.probabilities(ledger, sent.id)[0]
    undone = jobs.probabilities(ledger, sent.id, mitigate=True, proper=False)[0]
    proper = jobs.probabilities(ledger, sent.id, mitigate=True)[0]
    truth = _expected(rows)
    assert np.abs(undone - truth).mean() < 0.3 * np.abs(raw - truth).mean()
    assert proper.min() >= 0 and proper.sum(axis=1) == pytest.approx(np.ones(7))
    calibration = Calibration.from_json(sent.details["calibration"])
    assert calibration.time == FakeManilaV2().properties().last_update_date.isoformat()


def test_pubs_without_a_plan_have_results_but_no_logical_counts(ledger, patience):
    backend = open_backend(make_spec("aer", {"kind": "aer"}, "test"))
    sent = jobs.submit_pubs([[_logical([[1.0, 2.0]])]], backend, ledger, **patience)
    assert len(jobs.results(ledger, sent.id)) == 1
    with pytest.raises(JobError, match="was made of pubs, not of a plan"):
        jobs.counts(ledger, sent.id)
