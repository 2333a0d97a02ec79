"""IBM Quantum through the real client, against the loopback service: reaching it, checking it, both generations."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from planning import samples, sequence
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.backends.checking import check_backend, instance_step
from qlam_qiskit.backends.ibm import runtime_options
from qlam_qiskit.cli.backends import backends
from qlam_qiskit.errors import BackendError
from qlam_qiskit.planning.plan import make_plan

sys.path.insert(0, str(Path(__file__).parents[1]))

from loopback import LoopbackServer, LoopbackState
from loopback.state import API_KEY


@pytest.fixture
def service(monkeypatch, tmp_path):
    with LoopbackServer(LoopbackState(devices=("ibm_manila",))) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USAGE_DATA_OPT_OUT", "True")
        yield server.state
        assert server.state.defects == []


def spec(**settings):
    return make_spec("heron", {"kind": "ibm", "name": "ibm_manila", "shots": 500, **settings}, "test")


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def test_a_check_finds_everything_there(service):
    report = check_backend(spec())
    assert report.ok
    assert [step.what for step in report.steps] == ["library", "credentials", "instance", "device", "usage"]
    assert "ibm_manila: 5 qubits" in report.steps[3].detail
    assert report.steps[4].detail == "588 s of QPU time left"
    assert API_KEY not in json.dumps(report.to_json())


@pytest.mark.parametrize(
    ("settings", "change", "what"),
    [
        ({"name": "ibm_nowhere"}, {}, "device"),
        ({}, {"usage_consumed": 600}, "usage"),
        ({"plan": "premium"}, {}, "instance"),
    ],
)
def test_a_check_says_what_is_missing(service, settings, change, what):
    for name, value in change.items():
        setattr(service, name, value)
    report = check_backend(spec(**settings))
    missing = [step.what for step in report.steps if not step.ok]
    assert missing == [what]
    assert API_KEY not in json.dumps(report.to_json())


def test_the_command_reports_a_missing_device(service, tmp_path):
    file = tmp_path / "b.yaml"
    file.write_text("default: h\nbackends: {h: {kind: ibm, name: ibm_nowhere}}\n")
    result = CliRunner().invoke(backends, ["check", "--backends", str(file)], catch_exceptions=False)
    assert result.exit_code == 1
    assert "device: IBM Quantum: finding device ibm_nowhere failed" in result.stdout


@pytest.mark.parametrize("mode", ["job", "batch"])
@pytest.mark.parametrize("generation", ["v2", "executor"])
def test_both_generations_sample_and_estimate(service, generation, mode):
    with open_backend(spec(generation=generation, mode=mode)) as opened:
        counts = (
            opened.sampler().run([opened.isa(bell().measure_all(inplace=False))]).result()[0].data.meas.get_counts()
        )
    assert set(counts) == {"00", "11"}
    assert sum(counts.values()) == 500
    estimator = spec(generation=generation, mode=mode, primitive="estimator", resilience_level=0, shots=20_000)
    with open_backend(estimator) as opened:
        circuit = opened.isa(bell())
        value = (
            opened.estimator().run([(circuit, SparsePauliOp("ZZ").apply_layout(circuit.layout))]).result()[0].data.evs
        )
    assert value == pytest.approx(1.0, abs=0.1)
    assert all(not session["accepting_jobs"] for session in service.sessions.values())
    assert bool(service.sessions) == (mode == "batch")


def test_least_busy_is_a_device(service):
    assert open_backend(spec(name="least_busy")).backend.name == "ibm_manila"


def test_noise_may_come_from_a_real_devices_calibration(service):
    noisy = open_backend(make_spec("n", {"kind": "aer", "noise": "ibm_manila"}, "test"), shots=4000, seed=1)
    circuit = noisy.isa(bell().measure_all(inplace=False))
    counts = noisy.sampler().run([circuit]).result()[0].data.meas.get_counts()
    assert 0 < counts.get("01", 0) + counts.get("10", 0) < 800


def test_a_key_that_is_refused_is_one_line_without_the_key(service, monkeypatch):
    # As on the real service: instances are looked up with the key before anything else.
    monkeypatch.delenv("QISKIT_FUNCTIONS_EXPERIMENTAL")
    monkeypatch.delenv("QISKIT_IBM_URL")
    base = os.environ["IAM_URL"]
    monkeypatch.setenv("GLOBAL_SEARCH_URL", base)
    monkeypatch.setenv("GLOBAL_CATALOG_URL", f"{base}/api/v1")
    service.api_key = "another"
    with pytest.raises(BackendError, match="IBM Quantum: logging in failed") as raised:
        open_backend(spec())
    assert API_KEY not in str(raised.value)
    assert "\n" not in str(raised.value)
    report = check_backend(spec())
    assert [step.what for step in report.steps if not step.ok] == ["instance"]
    assert API_KEY not in json.dumps(report.to_json())


def test_a_session_needs_a_plan_that_has_sessions():
    assert not instance_step(spec(mode="session"), "mine", "open").ok
    assert instance_step(spec(mode="session"), "mine", "premium").ok
    assert instance_step(spec(mode="batch"), "mine", "open").ok


def test_control_flow_is_refused_where_the_options_cannot_run_it(service):
    dynamic = QuantumCircuit(1, 1)
    dynamic.measure(0, 0)
    with dynamic.if_test((0, 1)):
        dynamic.x(0)
    for settings in ({"primitive": "estimator"}, {"dynamical_decoupling": "XY4"}):
        with pytest.raises(BackendError, match="control flow"):
            open_backend(spec(**settings)).isa(dynamic)
    assert open_backend(spec()).isa(dynamic).has_control_flow_op()


def test_a_plan_for_a_device_is_tiled_and_its_results_come_back(service):
    opened = open_backend(spec())
    pub = samples(sequence("line", 2, 2), 7)
    plan = make_plan([pub], opened)
    assert plan.tiles == 2
    assert plan.allowance_s == 588
    assert plan.jobs[0].pubs[0].shots == 500
    (result,) = plan.placement.collect([opened.sampler().run(job.pubs).result() for job in plan.jobs])
    assert result.data.meas.shape == (7,)
    alone = open_backend(make_spec("aer", {"kind": "aer"}, "test"), shots=20_000, seed=2)
    expected = alone.sampler().run([pub]).result()[0].data.meas
    for row in range(7):
        for outcome, count in expected[row].get_counts().items():
            probability = count / 20_000
            found = result.data.meas[row].get_counts().get(outcome, 0) / 500
            assert abs(found - probability) < 5 * np.sqrt(probability * (1 - probability) / 500) + 0.02


@pytest.mark.parametrize("generation", ["v2", "executor"])
def test_every_option_reaches_the_primitives_of_both_generations(generation):
    chosen = spec(
        generation=generation,
        primitive="estimator",
        resilience_level=1,
        measure_mitigation=True,
        zne=True,
        zne_amplifier="gate_folding",
        dynamical_decoupling="XY4",
        twirling={"gates": True, "randomizations": 8, "shots_per_randomization": 50},
        rep_delay=1e-4,
        max_execution_time=60,
    )
    options = runtime_options(chosen, "estimator", shots=400, tags=["a-tag"])
    if generation == "v2":
        from qiskit_ibm_runtime.options import EstimatorOptions
    else:
        from qiskit_ibm_runtime.options_models.estimator import EstimatorOptions
    understood = EstimatorOptions(**options)
    assert understood.default_shots == 400
    assert understood.resilience_level == 1
    assert understood.resilience.zne.amplifier == "gate_folding"
    assert understood.dynamical_decoupling.sequence_type == "XY4"
    assert understood.twirling.num_randomizations == 8
    assert understood.execution.rep_delay == 1e-4
    assert understood.max_execution_time == 60
    assert understood.environment.job_tags == ["a-tag"]
