"""``qlam backends``: what it shows, and that checking answers in time without ever showing a credential."""

import json
import socket
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from qlam_qiskit.backends import make_spec
from qlam_qiskit.backends.checking import check_backend
from qlam_qiskit.cli.backends import backends

TOKEN = "marked-token-8f3b1c"


@pytest.fixture
def command(monkeypatch, tmp_path):
    monkeypatch.delenv("QLAM_BACKENDS", raising=False)
    monkeypatch.delenv("QISKIT_IBM_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(backends, arguments, catch_exceptions=False)


@pytest.fixture
def no_saved_account(monkeypatch):
    from qiskit_ibm_runtime import QiskitRuntimeService

    monkeypatch.setattr(QiskitRuntimeService, "saved_accounts", staticmethod(dict))


def _heron():
    return make_spec("heron", {"kind": "ibm", "name": "ibm_boston", "instance": "my-instance"}, "test")


def test_list_and_show_print_one_json_object(command):
    listed = json.loads(command("list", "--json").stdout)
    assert listed["default"] == "exact"
    assert {"exact", "aer", "aer_shots", "noisy"} <= {entry["name"] for entry in listed["backends"]}
    shown = json.loads(command("show", "noisy", "--json").stdout)
    assert (shown["kind"], shown["noise"], shown["shots"]) == ("aer", "FakeTorino", 1024)


@pytest.mark.parametrize("name", ["exact", "aer", "noisy", "fake_boston"])
def test_local_backends_pass_their_check(command, name):
    result = command("check", name, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["ok"] and report["name"] == name and all(step["ok"] for step in report["steps"])


@pytest.mark.parametrize(
    "work",
    [
        "from qlam_qiskit.backends import make_spec; from qlam_qiskit.backends.checking import check_backend; "
        "check_backend(make_spec('exact', {'kind': 'exact'}, 'here'))",
        "from qlam_qiskit.jobs.deadline import call_with_deadline; call_with_deadline(int, 60)",
    ],
)
def test_qiskit_is_loaded_before_a_thread_that_may_be_the_first_to_use_it(work):
    """Its allocator does not outlive the thread that loads it: the next thread that makes a Parameter may crash."""
    code = (
        "import sys, threading\n"
        "start = threading.Thread.start\n"
        "def begin(self):\n"
        "    print('qiskit._accelerate' in sys.modules)\n"
        "    start(self)\n"
        f"threading.Thread.start = begin\n{work}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"True"}


def test_missing_credentials_are_said_with_the_remedy(command, no_saved_account, tmp_path):
    (tmp_path / "backends.yaml").write_text("default: h\nbackends: {h: {kind: ibm, name: ibm_boston}}\n")
    result = command("check", "h")
    assert result.exit_code == 1
    assert "credentials: none found; set QISKIT_IBM_TOKEN" in result.stdout


def test_a_missing_device_or_factory_is_reported_not_raised():
    for values in (
        {"kind": "fake", "name": "FakeTurino"},
        {"kind": "provider", "factory": "no_such_module:make"},
    ):
        report = check_backend(make_spec("x", values, "test"))
        assert not report.ok
        assert "\n" not in report.steps[-1].detail


@pytest.fixture
def silent_service(monkeypatch):
    """Point the real client at a server that accepts connections and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    held = []
    threading.Thread(target=_accept, args=(server, held), daemon=True).start()
    base = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("IAM_URL", base)
    monkeypatch.setenv("GLOBAL_SEARCH_URL", base)
    monkeypatch.setenv("GLOBAL_CATALOG_URL", f"{base}/api/v1")
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    yield
    server.close()
    for connection in held:
        connection.close()


def _accept(server: socket.socket, held: list[socket.socket]) -> None:
    while True:
        try:
            held.append(server.accept()[0])
        except OSError:
            return


def test_a_service_that_never_answers_is_given_up_in_time(silent_service):
    started = time.monotonic()
    report = check_backend(_heron(), deadline_s=4)
    assert time.monotonic() - started < 5
    assert not report.ok
    assert [step.what for step in report.steps][-2:] == ["credentials", "answer"]
    assert report.steps[-1].detail == "no answer after credentials within 4 s"
    assert TOKEN not in json.dumps(report.to_json())


def test_an_unreachable_service_is_a_line_without_the_token(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        base = f"http://127.0.0.1:{server.getsockname()[1]}"
    for variable in ("IAM_URL", "GLOBAL_SEARCH_URL", "GLOBAL_CATALOG_URL"):
        monkeypatch.setenv(variable, base)
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    report = check_backend(_heron())
    assert not report.ok
    assert report.steps[-1].what == "instance"
    assert TOKEN not in json.dumps(report.to_json())
    assert "\n" not in report.steps[-1].detail


def test_redaction_hides_the_token_and_what_looks_like_one(monkeypatch):
    from qlam_qiskit.backends.ibm import redact

    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    said = redact(f"401 for {TOKEN}\nAuthorization: Bearer abc.DEF-1abcdef eyJhbGci.eyJpYXQi.c2ln apikey=zzzzzzzzzzzz")
    for secret in (TOKEN, "abc.DEF-1", "eyJhbGci", "zzz", "\n"):
        assert secret not in said
