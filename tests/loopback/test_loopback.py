"""The stand-in against the unchanged client: what it executes, lists, refuses and remembers; and as a process."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import Batch, QiskitRuntimeService, SamplerV2
from qiskit_ibm_runtime.exceptions import IBMRuntimeError, RuntimeJobFailureError
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler

from loopback import Fault, LoopbackServer, LoopbackState

pytestmark = [
    pytest.mark.filterwarnings("ignore:The .*V2 class is deprecated"),
    pytest.mark.filterwarnings("ignore:Unable to retrieve IBM Cloud access token"),
]


@pytest.fixture
def server(monkeypatch, tmp_path):
    with LoopbackServer(LoopbackState(devices=("ibm_manila", "ibm_torino"))) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr("urllib3.util.retry.Retry._sleep_backoff", lambda self: None)
        yield running
    assert running.state.defects == []


@pytest.fixture
def service(server):
    return QiskitRuntimeService()


def _entangled(backend, measured=True):
    circuit = QuantumCircuit(2)
    angles = ParameterVector("p", 2)
    circuit.rx(angles[0], 0)
    circuit.ry(angles[1], 1)
    circuit.cx(0, 1)
    if measured:
        circuit.measure_all()
    return generate_preset_pass_manager(1, backend=backend, seed_transpiler=0).run(circuit)


@pytest.mark.parametrize("device", ["ibm_manila", "ibm_torino"])
@pytest.mark.parametrize("sampler", [SamplerV2, Sampler])
def test_both_samplers_draw_from_the_right_distribution(service, device, sampler):
    backend = service.backend(device)
    rows = [[1.0, 2.0], [3.0, 4.0]]
    result = sampler(mode=backend).run([(_entangled(backend), rows, 20_000)]).result()
    for index, (a, b) in enumerate(rows):
        ones0, ones1 = np.sin(a / 2) ** 2, np.sin(b / 2) ** 2
        expected = {"00": (1 - ones0) * (1 - ones1), "10": (1 - ones0) * ones1, "11": ones0 * (1 - ones1)}
        counts = result[0].data.meas.get_counts(index)
        for outcome, probability in expected.items():
            assert counts.get(outcome, 0) / 20_000 == pytest.approx(probability, abs=0.015)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_estimator_with_resilience(service, level):
    backend = service.backend("ibm_manila")
    circuit = _entangled(backend, measured=False)
    observable = SparsePauliOp("ZI").apply_layout(circuit.layout)
    job = Estimator(mode=backend, options={"resilience_level": level}).run([(circuit, observable, [[1.0, 2.0]], 0.02)])
    assert job.result()[0].data.evs[0] == pytest.approx(np.cos(1.0) * np.cos(2.0), abs=0.15)


def test_noise_follows_the_calibration(server, service):
    server.state.noisy = True
    backend = service.backend("ibm_manila")
    result = SamplerV2(mode=backend).run([(_entangled(backend), [[0.0, 0.0]], 4000)]).result()
    wrong = 1 - result[0].data.meas.get_counts().get("00", 0) / 4000
    assert 0.01 < wrong < 0.3


def test_circuits_that_are_not_isa_fail_as_on_the_service(service):
    backend = service.backend("ibm_manila")
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.measure_all()
    job = Sampler(mode=backend).run([circuit])  # this generation does not check
    with pytest.raises(RuntimeJobFailureError, match=r"1517.*instruction h on qubits"):
        job.result()


def test_tags_pages_cancelling_and_sessions(server, service):
    backend = service.backend("ibm_manila")
    circuit = _entangled(backend)
    server.state.polls = 5
    with Batch(backend=backend) as batch:
        for number in range(23):
            sampler = SamplerV2(mode=batch, options={"environment": {"job_tags": ["all", f"n{number % 2}"]}})
            job = sampler.run([(circuit, [1.0, 2.0], 10)])
        assert batch.status() == "Pending"
    assert batch.status() == "Closed"
    assert len(service.jobs(job_tags=["all"], limit=None)) == 23
    assert len(service.jobs(job_tags=["all"])) == 10
    assert len(service.jobs(job_tags=["all", "n1"], limit=None)) == 11
    newest = service.jobs(limit=1)[0]
    assert newest.job_id() == job.job_id() and newest.session_id == batch.session_id
    newest.cancel()
    assert newest.status() == "CANCELLED"
    assert len(service.jobs(pending=True, limit=None)) == 22
    again = Batch.from_id(batch.session_id, service)
    again._active = True  # a client that has not heard that its batch was closed
    with pytest.raises(IBMRuntimeError, match="closed and accepts no jobs"):
        SamplerV2(mode=again).run([(circuit, [1.0, 2.0], 10)])


def test_limits_usage_and_metrics(server, service):
    backend = service.backend("ibm_manila")
    run = SamplerV2(mode=backend).run
    pub = (_entangled(backend), [1.0, 2.0], 10)
    server.state.posts_per_minute = 1
    job = run([pub])
    with pytest.raises(IBMRuntimeError, match="429"):
        run([pub])
    server.state.posts_per_minute, server.state.max_body = None, 100
    with pytest.raises(IBMRuntimeError, match="413"):
        run([pub])
    job.result()
    assert job.metrics()["usage"] == {"status": "complete", "qpu_charge_time_seconds": 2}
    assert service.usage()["usage_remaining_seconds"] == 600 - 12 - 2
    server.state.usage_consumed, server.state.max_body = 600, 50_000_000
    with pytest.warns(UserWarning, match="has met its usage limit"):
        run([pub])


def test_the_unadjusted_client_makes_two_jobs_of_one(server, service):
    """What the job layer guards against: a 504 after the job was accepted."""
    backend = service.backend("ibm_manila")
    server.state.faults.add(Fault("POST /jobs", "accept_status", status=504))
    SamplerV2(mode=backend).run([(_entangled(backend), [1.0, 2.0], 10)])
    assert len(server.state.accepted) == 2


def test_the_documented_addresses_work_too(server, monkeypatch):
    """The constructor's own way to another address, with instances looked up and plans from the catalogue."""
    for name in ("QISKIT_FUNCTIONS_EXPERIMENTAL", "QISKIT_IBM_URL", "QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("GLOBAL_SEARCH_URL", server.url)
    monkeypatch.setenv("GLOBAL_CATALOG_URL", f"{server.url}/api/v1")
    service = QiskitRuntimeService(
        channel="ibm_quantum_platform",
        token=server.state.api_key,
        url=server.url,
        instance=server.state.crn,
        url_resolver=lambda *_: f"{server.url}/api/v1",
    )
    assert service.instances()[0]["plan"] == "open"
    assert service.least_busy().name == "ibm_manila"


def test_an_unknown_fault_is_a_mistake_of_the_test():
    with pytest.raises(ValueError, match="unknown fault 'explode'"):
        Fault("POST /jobs", "explode")


def test_it_runs_as_a_process(monkeypatch, tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-m", "loopback", "--device", "ibm_manila"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    try:
        environment = json.loads(child.stdout.readline())
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path))
        url = environment["IAM_URL"]
        fault = {"route": "GET /instances/usage", "action": "status", "status": 403}
        urllib.request.urlopen(f"{url}/_loopback/faults", json.dumps(fault).encode()).close()
        service = QiskitRuntimeService()
        assert [backend.name for backend in service.backends()] == ["ibm_manila"]
        with pytest.raises(Exception, match="403"):
            service.usage()
        with urllib.request.urlopen(f"{url}/_loopback/log") as answer:
            log = json.loads(answer.read())
        assert log["accepted"] == [] and log["defects"] == [] and log["requests"]["GET /instances/usage"] == 1
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_its_list_lags_by_its_own_clock_and_repeats_itself(server, service, monkeypatch):
    backend = service.backend("ibm_manila")
    monkeypatch.setattr(server.state, "now", lambda: 1000.0)  # it stands still but for what the test turns
    server.state.list_lag, server.state.repeat_list = 600.0, True
    sent = SamplerV2(mode=backend).run([(_entangled(backend), [1.0, 2.0], 10)])
    assert service.jobs(limit=None) == [] and service.job(sent.job_id()).status() != "ERROR"
    server.state.turn(599)
    assert service.jobs(limit=None) == []
    urllib.request.urlopen(f"{server.url}/_loopback/turn", b'{"seconds": 2}').close()
    # The client asks without end for as many jobs as a service counts, and this one counts each once.
    assert [job.job_id() for job in service.jobs(limit=2)] == [sent.job_id()] * 2


def test_it_answers_with_anothers_result_and_with_the_credentials(server, service):
    backend = service.backend("ibm_manila")
    ones, zeros = (
        SamplerV2(mode=backend).run([(_entangled(backend), angles, 10)]) for angles in ([0.0, np.pi], [0.0, 0.0])
    )
    assert ones.result()[0].data.meas.get_counts() == {"10": 10}
    server.state.faults.add(Fault("GET /jobs/{id}/results", "another"))
    assert zeros.result()[0].data.meas.get_counts() == {"10": 10}
    server.state.faults.add(Fault("GET /instances/usage", "echo", status=400))
    with pytest.raises(Exception, match=server.state.api_key):
        service.usage()
