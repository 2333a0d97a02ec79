"""Money and words: a cap that every entry of the service has, a question before it is passed, and figures in words."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from qlam_qiskit import jobs as job_layer
from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.cli import qlam
from qlam_qiskit.cli.backends import backends
from qlam_qiskit.cli.jobs import jobs as jobs_command
from qlam_qiskit.errors import QlamError
from qlam_qiskit.jobs import Ledger, show
from qlam_qiskit.training import load_experiment, train

REGISTRY = """
default: exact
backends:
  exact: {kind: exact}
  capped: {kind: ibm, name: ibm_manila, shots: 500, max_qpu_seconds: 2.1}
  any: {kind: ibm, name: least_busy}
  small: {kind: ibm, name: ibm_manila, shots: 100}
  estimator: {kind: ibm, name: ibm_manila, shots: 300, primitive: estimator, limits: {executions: 2000}}
"""


@pytest.fixture
def trained(small_experiment, quiet):
    Path("backends.yaml").write_text(REGISTRY)
    train(load_experiment(small_experiment), "small", quiet)
    return Path("runs/small")


def _invoke(*arguments, **options):
    return CliRunner().invoke(qlam, [str(argument) for argument in arguments], **options)


def _submissions():
    with Ledger() as ledger:
        return show(ledger)


def test_every_entry_of_the_service_has_a_cap(tmp_path, monkeypatch):
    for name in ("ibm_torino", "least_busy"):
        assert make_spec("x", {"kind": "ibm", "name": name}, "test").max_qpu_seconds == 60
    monkeypatch.chdir(tmp_path)
    Path("backends.yaml").write_text(REGISTRY)
    shown = CliRunner().invoke(backends, ["show", "any"]).stdout
    assert "max_qpu_seconds: 60.0  # by default; what is planned to take longer is not sent before" in shown
    assert json.loads(CliRunner().invoke(backends, ["show", "any", "--json"]).stdout)["max_qpu_seconds"] == 60


@pytest.mark.parametrize("command", ["submit", "evaluate"])
def test_above_the_cap_a_person_is_asked(trained, server, monkeypatch, command):
    arguments = (command, trained, "--backend", "capped", "--limit", 20)
    refused = _invoke(*arguments)
    assert isinstance(refused.exception, QlamError) and refused.exception.exit_status == 1
    assert "above max_qpu_seconds 2.1" in str(refused.exception) and "--yes" in str(refused.exception)
    monkeypatch.setattr("qlam_qiskit.cli.options.on_terminal", lambda: True)
    declined = _invoke(*arguments, input="n\n")
    assert "Send it all the same? [y/N]" in declined.output
    assert isinstance(declined.exception, QlamError)
    assert _submissions() == [] and server.state.accepted == []
    assert _invoke(*arguments, input="y\n").exit_code == 0
    assert len(_submissions()) == len(server.state.accepted) == 1
    assert _invoke(*arguments, "--yes").exit_code == 0
    assert len(server.state.accepted) == 2


def test_an_estimator_sends_the_jobs_that_were_planned(trained, server):
    estimated = json.loads(_invoke("estimate", trained, "--backend", "estimator", "--limit", 8, "--json").stdout)
    result = json.loads(_invoke("evaluate", trained, "--backend", "estimator", "--limit", 8, "--json").stdout)
    [sent] = _submissions()
    assert estimated["jobs"] == len(sent.jobs) == len(server.state.accepted) > 1
    assert sent.details["plan"]["executions"] == estimated["executions"]
    assert result["samples"] == 8
    again = json.loads(_invoke("evaluate", trained, "--submission", sent.id, "--json").stdout)
    assert again["loss"] == result["loss"]


def test_an_estimate_says_in_words_whether_it_fits(trained, server):
    fits = _invoke("estimate", trained, "--backend", "small", "--limit", 5)
    assert fits.exit_code == 0 and fits.stdout.splitlines()[-1].split(maxsplit=1) == ["verdict", "fits"]
    assert "1 job" in fits.stdout and "1 jobs" not in fits.stdout and "None" not in fits.stdout
    assert max(len(word) for line in fits.stdout.splitlines() for word in line.split()) < 25  # no long digits
    dear = _invoke("estimate", trained, "--backend", "capped")
    assert dear.exit_code == 1
    assert re.search(r"verdict +does not fit: \d+ s of QPU time are above max_qpu_seconds 2.1\n", dear.stdout)
    assert _invoke("estimate", trained, "--backend", "capped", "--json").exit_code == 1


def test_jobs_list_is_what_a_person_needs(open_service, tiny_pub, ledger, patience, server, monkeypatch):
    monkeypatch.setenv("QLAM_HOME", str(ledger.home))
    backend = open_service()
    metadata = {"run": "/somewhere/runs/digits", "samples": 2000, "part": "test", "shots": 64}
    sent = job_layer.submit_pubs([[tiny_pub(backend)]] * 3, backend, ledger, metadata=metadata, **patience)
    job_layer.fetch(ledger, sent.id, **patience)
    for width in ("80", "120"):
        listed = CliRunner().invoke(jobs_command, ["list"], env={"COLUMNS": width}).stdout.splitlines()
        assert listed[0].split() == ["submission", "run", "device", "samples", "jobs", "QPU", "age"]
        assert listed[1].split()[:5] == [sent.id, "digits", "ibm_manila", "2,000", "3"] and len(listed) == 2
        assert "3 saved" in listed[1] and "6 s" in listed[1] and all(len(line) <= int(width) for line in listed)
    shown = CliRunner().invoke(jobs_command, ["show", sent.id]).stdout.splitlines()
    assert len(shown) < 16
    assert "samples    2,000 of the test set, 64 shots each" in shown and "jobs       3 jobs: 3 saved" in shown


def test_a_long_name_breaks_between_its_words_and_costs_are_shown_where_there_are_some(
    open_service, tiny_pub, ledger, patience, server, monkeypatch
):
    monkeypatch.setenv("QLAM_HOME", str(ledger.home))
    metadata = {"run": "pretrained:sfashion_device", "samples": 2000}
    simulated = open_backend(make_spec("fake", {"kind": "fake", "name": "FakeManila"}, "test"))
    free = job_layer.submit_pubs([[tiny_pub(simulated)]], simulated, ledger, metadata=metadata, **patience)
    job_layer.fetch(ledger, free.id, **patience)

    def listed():
        return CliRunner().invoke(jobs_command, ["list"], env={"COLUMNS": "80"}).stdout.splitlines()

    assert listed()[0].split() == ["submission", "run", "device", "samples", "jobs", "age"]
    first, rest = (line.split() for line in listed()[1:])
    assert [first[0], *first[2:6]] == [free.id, "fake_manila", "2,000", "1", "saved"]
    assert [first[1], *rest] in (
        ["pretrained:sfashion_", "device"],
        ["pretrained:", "sfashion_device"],
    )  # by the width of the age
    backend = open_service()
    paid = job_layer.submit_pubs([[tiny_pub(backend)]] * 2, backend, ledger, metadata=metadata, **patience)
    job_layer.fetch(ledger, paid.id, **patience)
    assert listed()[0].split() == ["submission", "run", "device", "samples", "jobs", "QPU", "age"]
    assert all(len(line) <= 80 for line in listed())
    assert any("2 saved" in line and "4 s" in line for line in listed())
    assert "sfashion_" in "".join(listed()) and "1 saved" in "".join(listed())


@pytest.mark.parametrize("command", ["estimate", "submit", "evaluate"])
def test_without_credentials_every_command_says_what_the_check_says(trained, server, monkeypatch, command):
    from qiskit_ibm_runtime import QiskitRuntimeService

    monkeypatch.setattr(QiskitRuntimeService, "saved_accounts", staticmethod(dict))
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    checked = CliRunner().invoke(backends, ["check", "small"]).stdout
    failed = _invoke(command, trained, "--backend", "small", "--limit", 2)
    assert isinstance(failed.exception, QlamError)
    assert str(failed.exception) == "credentials: " + checked.split("credentials: ")[1].strip()
    assert "set QISKIT_IBM_TOKEN" in str(failed.exception)


@pytest.mark.parametrize(
    "instance", ["crn:", "crn:v1:bluemix", "crn:v1:bluemix:public:quantum-computing:us-east:a/x:y"]
)
def test_a_malformed_instance_is_named(trained, server, monkeypatch, instance):
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", instance)
    failed = _invoke("estimate", trained, "--backend", "small", "--limit", 2)
    assert isinstance(failed.exception, QlamError)
    assert f"instance: {instance!r} is not the CRN of an instance" in str(failed.exception)
    checked = CliRunner().invoke(backends, ["check", "small"])
    assert checked.exit_code == 1 and str(failed.exception) in checked.stdout
