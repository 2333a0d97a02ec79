"""``qlam jobs``: what it prints, its exit status, and that it finishes what another process began."""

import json
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from loopback import Fault

from qlam_qiskit import jobs as job_layer
from qlam_qiskit.cli.jobs import jobs
from qlam_qiskit.errors import QlamError


@pytest.fixture
def command(home, monkeypatch):
    monkeypatch.setenv("QLAM_HOME", str(home))
    return lambda *arguments: CliRunner().invoke(jobs, arguments)


@pytest.fixture
def submitted(open_service, tiny_pub, ledger, patience, server):
    backend = open_service()
    return job_layer.submit_pubs([[tiny_pub(backend)]] * 2, backend, ledger, metadata={"run": "r1"}, **patience)


def _json(result):
    assert len(result.stdout.splitlines()) == 1
    return json.loads(result.stdout)


def test_an_empty_workspace_lists_nothing(command):
    assert _json(command("list", "--json")) == {"submissions": []}
    assert command("fetch").exit_code == 0 and command("resume").exit_code == 0


def test_list_and_show_ask_nobody(command, submitted, server):
    asked = server.state.requests.total()
    [listed] = _json(command("list", "--json"))["submissions"]
    assert listed["submission"] == submitted.id and [job["state"] for job in listed["jobs"]] == ["sent", "sent"]
    shown = _json(command("show", submitted.id[:12], "--json"))
    assert shown["metadata"] == {"run": "r1"} and shown["details"]["device"] == "ibm_manila"
    assert [event["target"] for event in shown["events"]].count("sent") == 2
    table = command("show", submitted.id).stdout
    assert "2 sent" in table and "planned" in table
    assert server.state.requests.total() == asked


def test_fetch_takes_all_that_is_open_and_may_be_repeated(command, submitted):
    first = command("fetch", "--json")
    assert first.exit_code == 0 and _json(first)["submissions"][0]["complete"]
    assert _json(command("fetch", "--json")) == {"submissions": []}
    assert _json(command("fetch", submitted.id, "--json"))["submissions"][0]["complete"]


def test_a_problem_is_one_line_on_stderr_and_exit_status_1(command, submitted, server):
    server.state.api_key = "another"
    result = command("fetch", "--json")
    assert result.exit_code == 1 and _json(result)["submissions"][0]["open"]
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "IBM Cloud refused the API key; renew QISKIT_IBM_TOKEN" in line


def test_resume_sends_what_is_missing(command, open_service, tiny_pub, ledger, server, patience):
    backend = open_service()
    server.state.faults.add(Fault("POST /jobs", "status", status=413))
    with pytest.raises(QlamError):
        job_layer.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    [record] = ledger.submissions()
    assert _json(command("resume", "--json")) == {"submissions": []}
    assert _json(command("resume", record.id, "--json"))["submissions"][0]["complete"]


def test_cancel(command, submitted, server):
    for job in server.state.jobs.values():
        job.polls_left = 5
    result = _json(command("cancel", submitted.id, "--json"))
    assert [job["state"] for job in result["submissions"][0]["jobs"]] == ["cancelled", "cancelled"]
    assert {job.status for job in server.state.jobs.values()} == {"Cancelled"}


def test_bad_input(command):
    assert isinstance(command("show", "nothing").exception, QlamError)
    result = command("resume", "--failed")
    assert result.exit_code == 2 and "--failed needs an ID" in result.stderr
    assert command("cancel").exit_code == 2


def test_every_command_has_an_example():
    for name in (None, *jobs.commands):
        assert "Example: qlam jobs" in CliRunner().invoke(jobs, [name, "--help"] if name else ["--help"]).output


def test_help_and_list_load_neither_qiskit_nor_numpy(home):
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from qlam_qiskit.cli.jobs import jobs\n"
        "assert CliRunner().invoke(jobs, ['--help']).exit_code == 0\n"
        "assert 'pydantic' not in sys.modules\n"
        "assert CliRunner().invoke(jobs, ['list', '--json']).exit_code == 0\n"
        "print({'qiskit', 'numpy', 'torch'} & set(sys.modules))\n"
    )
    environment = {"QLAM_HOME": str(home), "PYTHONPATH": ":".join(path for path in sys.path if path)}
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "set()"
    assert time.monotonic() - started < 5
