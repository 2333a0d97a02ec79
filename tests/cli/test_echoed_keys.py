"""Whatever endpoint repeats the key, with whatever status: no command shows or keeps it, and each says one line."""

import base64
import io
import itertools
import json
import os
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from urllib.parse import quote

import pytest
from small_data import write_small_data

sys.path.insert(0, str(Path(__file__).parents[1]))

from loopback import Fault, LoopbackServer, LoopbackState

from qlam_qiskit.cli import main
from qlam_qiskit.plain_yaml import dump_yaml

KEY = "echoed/key+51c0ffee=51c0ffee"
STATUSES = (200, 400, 401, 403, 404, 409, 413, 429, 500, 504)
LOOKUP = (
    "POST /identity/token",
    "GET /backends",
    "GET /backends/{name}/configuration",
    "GET /backends/{name}/properties",
)
POSTING = (*LOOKUP, "GET /backends/{name}/status", "GET /instances/usage", "POST /sessions", "POST /jobs")
FETCHING = ("POST /identity/token", "GET /jobs", "GET /jobs/{id}", "GET /jobs/{id}/results", "GET /jobs/{id}/metrics")
WORKING = (*POSTING, *FETCHING[1:], "GET /sessions/{id}", "DELETE /sessions/{id}/close")
ON_DEVICE = ("--backend", "heron", "--limit", "2", "--shots", "16")
# What a command asks. Those of the second table take seconds, so three of their endpoints are struck, each time
# differently, and what evaluate and refit share with submit is not repeated. QLAM_ALL_ECHOES=1 strikes all with all.
ALL = bool(os.environ.get("QLAM_ALL_ECHOES"))
QUICK = {
    ("backends", "list"): LOOKUP[:1],
    ("backends", "show", "heron"): LOOKUP[:1],
    ("backends", "check", "heron"): (*LOOKUP, "GET /backends/{name}/status", "GET /instances/usage"),
    ("jobs", "list"): FETCHING[:1],
}
SLOW = {
    ("jobs", "fetch", "ID"): FETCHING,
    ("jobs", "show", "ID"): FETCHING[:1],
    ("jobs", "cancel", "ID"): (*FETCHING, "POST /jobs/{id}/cancel"),
    ("estimate", "runs/small", *ON_DEVICE): LOOKUP,
    ("submit", "runs/small", *ON_DEVICE, "--yes"): POSTING,
    ("jobs", "resume", "ID"): WORKING,
    ("evaluate", "runs/small", *ON_DEVICE, "--yes"): WORKING if ALL else ("POST /jobs", "GET /jobs/{id}/results"),
    ("refit", "runs/small", "--backend", "heron", "--samples", "32", "--shots", "16", "--yes"): (
        WORKING if ALL else ("GET /backends/{name}/properties", "GET /jobs/{id}")
    ),
}
TURN = itertools.cycle(STATUSES)
CASES = [(command, route, STATUSES) for command, routes in QUICK.items() for route in routes]
CASES += [
    (command, route, STATUSES if ALL else (next(TURN),))
    for command, routes in SLOW.items()
    for route in (routes if ALL else dict.fromkeys((routes[0], routes[len(routes) // 2], routes[-1])))
]
if not ALL:  # what cannot be decoded is kept aside; what the client said of a device was printed once
    CASES.append((("jobs", "fetch", "ID"), "GET /jobs/{id}/results", (200,)))
    CASES.append((("estimate", "runs/small", *ON_DEVICE), "GET /backends/{name}/properties", (400,)))
    CASES.append((("submit", "runs/small", *ON_DEVICE, "--yes"), "GET /backends/{name}/properties", (400,)))


def qlam(*arguments):
    """Run the command line in this process; returns its exit status and all that it printed."""
    out, err = io.StringIO(), io.StringIO()
    arguments, before = [str(word) for word in arguments], sys.argv
    sys.argv = ["qlam", *arguments]
    status = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as leaving:
        status = leaving.code or 0
    finally:
        sys.argv = before
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Make a folder with a trained run, a service, and an environment that leads there; pauses pass at once."""
    folder = tmp_path_factory.mktemp("echo")
    experiment = {
        "data": {"dataset": "npz", "path": "small.npz"},
        "model": {"circuit": {"template": "line", "qubits": 2}, "embedding": {"kind": "linear", "width": 4}},
        "training": {"epochs": 1, "batch_size": 60, "validation_fraction": 0.2},
        "seed": 3,
    }
    entry = {"kind": "ibm", "name": "ibm_manila", "generation": "v2", "mode": "batch"}
    with pytest.MonkeyPatch.context() as patch, LoopbackServer(LoopbackState(devices=("ibm_manila",))) as server:
        patch.chdir(folder)
        server.state.api_key = KEY
        for name, value in {**server.environment(), "HOME": str(folder), "USAGE_DATA_OPT_OUT": "True"}.items():
            patch.setenv(name, value)
        patch.delenv("QLAM_HOME", raising=False)
        patch.setattr("urllib3.util.retry.Retry._sleep_backoff", lambda self: None)
        skipped = []
        from qlam_qiskit.jobs.policy import Clock, Policy

        clock = Clock(lambda: time.time() + sum(skipped), skipped.append)
        patch.setattr("qlam_qiskit.jobs.operations.Clock", lambda: clock)
        quick = lambda **given: Policy(**{**given, "posts_per_minute": 1000, "attempts": 2})  # noqa: E731
        for module in ("operations", "backend_record"):
            patch.setattr(f"qlam_qiskit.jobs.{module}.Policy", quick, raising=False)
        write_small_data("small.npz", samples=60)
        Path("small.yaml").write_text(dump_yaml(experiment))
        registry = {"default": "exact", "backends": {"exact": {"kind": "exact"}, "heron": entry}}
        Path("backends.yaml").write_text(dump_yaml(registry))
        assert qlam("train", "small.yaml")[0] == 0
        yield server


def spellings(server):
    yield KEY
    yield quote(KEY, safe="")
    yield base64.b64encode(f"apikey:{KEY}".encode()).decode()
    yield KEY[:14]
    for token in tuple(server.state.tokens):
        yield token
        yield token.split(".")[1]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("command", "route", "statuses"),
    CASES,
    ids=[
        f"{' '.join(command[:2])} {route} {statuses[0] if len(statuses) == 1 else ''}"
        for command, route, statuses in CASES
    ],
)
def test_an_echoed_key_goes_nowhere(place, command, route, statuses):
    for status in statuses:
        place.state.forget()
        place.state.polls = 0
        if "ID" in command:
            sent, out, err = qlam("submit", "runs/small", *ON_DEVICE, "--yes", "--json")
            assert sent == 0, err
            identifier = json.loads(out)["submission"]
        words = [identifier if word == "ID" else word for word in command]
        place.state.faults.add(Fault(route, "echo", times=12, status=status))
        code, out, err = qlam(*words)
        place.state.faults.clear()
        shown = out + err
        assert "Traceback" not in shown, (status, shown)
        assert code in (0, 1), (status, shown)
        if code == 1 and command[:2] != ("backends", "check"):
            lines = [line for line in err.splitlines() if line.lower().startswith("error: ")]
            assert lines, (status, shown)
        for secret in spellings(place):
            assert secret not in shown, (status, shown)
            kept = [path for path in Path().rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
            assert not kept, (status, kept)
    assert place.state.defects == []
