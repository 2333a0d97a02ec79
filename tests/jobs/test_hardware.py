"""A trained run on devices: planned, sent through the ledger, scored from what came back."""

import json
import sys
from pathlib import Path

import pytest

from qlam_qiskit.backends import load_registry
from qlam_qiskit.cli import main
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.evaluation.evaluate import evaluate, evaluate_submission
from qlam_qiskit.evaluation.on_device import prepare, send
from qlam_qiskit.jobs import Ledger, show
from qlam_qiskit.training import load_experiment, train

REGISTRY = """
default: exact
backends:
  exact: {kind: exact}
  device: {kind: fake, name: FakeManilaV2, shots: 500}
  strict: {kind: fake, name: FakeManilaV2, shots: 500, min_fidelity: 0.999}
  service: {kind: ibm, name: ibm_manila, shots: 500}
  estimator: {kind: ibm, name: ibm_manila, shots: 2000, primitive: estimator, resilience_level: 1}
"""
KEYS = {
    "circuits", "two_qubit_gates", "two_qubit_depth", "duration_us", "estimated_fidelity", "executions", "jobs",
    "payload_mb", "qpu_seconds", "fits", "reasons",
}  # fmt: skip


@pytest.fixture
def run(small_experiment, quiet):
    Path("backends.yaml").write_text(REGISTRY)
    train(load_experiment(small_experiment), "small", quiet)
    return Path("runs/small")


def command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["qlam", *map(str, arguments)])
    try:
        main()
    except SystemExit as leaving:
        assert not leaving.code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_an_estimate_says_what_a_device_would_cost(run, monkeypatch, capsys):
    plan = command(monkeypatch, capsys, "estimate", run, "--backend", "device", "--limit", 20, "--json")
    assert plan.keys() >= KEYS
    # Six steps of a line of three qubits: two phases of two CX each.
    assert plan["two_qubit_gates"] == 6 * 2 * 2
    assert 0 < plan["estimated_fidelity"] < 1
    assert (plan["fits"], plan["reasons"]) == (True, [])
    assert show_all() == []


def test_the_seed_fixes_what_a_fake_device_measures_and_is_by_default_the_runs(run):
    default, same, other = (evaluate(run, backend="device", limit=20, seed=seed) for seed in (None, 3, 4))
    assert default["loss"] == same["loss"] != other["loss"]  # small.yaml's seed is 3


def show_all():
    with Ledger() as ledger:
        return show(ledger)


def test_a_fake_device_agrees_with_the_exact_engine_up_to_its_noise(run):
    exact, noisy = evaluate(run, limit=30), evaluate(run, backend="device", limit=30)
    assert noisy["samples"] == 30
    assert noisy["shots"] == 500
    assert abs(noisy["accuracy"] - exact["accuracy"]) < 0.2
    (submission,) = show_all()
    again = evaluate_submission(run, submission.id)
    assert (again["accuracy"], again["loss"]) == (noisy["accuracy"], noisy["loss"])
    mitigated = evaluate_submission(run, submission.id, mitigate=True)
    assert mitigated["loss"] != noisy["loss"]


def test_the_service_is_reached_by_the_real_client_and_agrees_within_sampling_error(run, server, monkeypatch, capsys):
    exact = evaluate(run, limit=20)
    sent = command(monkeypatch, capsys, "submit", run, "--backend", "service", "--limit", 20, "--json")
    assert len(sent["jobs"]) == 1
    command(monkeypatch, capsys, "jobs", "fetch", "--json")
    result = command(monkeypatch, capsys, "evaluate", run, "--submission", sent["submission"], "--json")
    assert abs(result["accuracy"] - exact["accuracy"]) <= 0.1
    assert result["loss"] == pytest.approx(exact["loss"], abs=0.1)
    assert len(server.state.accepted) == 1


def test_the_services_estimator_agrees_too(run, server):
    exact, estimated = evaluate(run, limit=8), evaluate(run, backend="estimator", limit=8)
    assert estimated["loss"] == pytest.approx(exact["loss"], abs=0.1)
    with pytest.raises(ConfigurationError, match="an estimator mitigates by its own options"):
        evaluate_submission(run, show_all()[0].id, mitigate=True)


def test_what_would_not_survive_is_not_sent_unless_told(run):
    spec = load_registry().spec("strict")
    with pytest.raises(QlamError, match=r"not sent: .*fidelity.*--yes sends it all the same"):
        evaluate(run, backend="strict", limit=5)
    assert show_all() == []
    prepared = prepare(run, spec, limit=5)
    with Ledger() as ledger:
        assert send(prepared, ledger, anyway=True).complete


def test_a_submission_of_another_run_is_not_scored(run, small_experiment, quiet):
    evaluate(run, backend="device", limit=5)
    train(load_experiment(small_experiment, seed=8), "other", quiet)
    with pytest.raises(QlamError, match=r"is of .*small, not of the weights in .*other"):
        evaluate_submission(Path("runs/other"), show_all()[0].id)


def test_a_run_that_has_moved_is_still_scored(run):
    before = evaluate(run, backend="device", limit=5)
    run.rename("elsewhere")
    assert evaluate_submission(Path("elsewhere"), show_all()[0].id)["loss"] == before["loss"]


def test_the_exact_engine_has_nothing_to_plan(run):
    with pytest.raises(ConfigurationError, match="'exact' is exact and runs no circuits"):
        prepare(run, load_registry().spec("exact"))


def test_readout_mitigation_needs_a_device(run):
    with pytest.raises(ConfigurationError, match="--mitigate"):
        evaluate(run, mitigate=True)
