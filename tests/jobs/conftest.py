"""The real client against the loopback service, with pauses that pass at once."""

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from loopback import LoopbackServer, LoopbackState
from loopback.state import API_KEY


class SkippingTime:
    """A clock on which every pause is over at once; ``pauses`` keeps them."""

    def __init__(self):
        self.pauses = []

    def now(self):
        return time.time() + sum(self.pauses)

    def sleep(self, seconds):
        self.pauses.append(seconds)


@pytest.fixture(scope="session")
def running_server():
    with LoopbackServer(LoopbackState(devices=("ibm_manila",))) as server:
        yield server


@pytest.fixture
def server(running_server, monkeypatch, tmp_path):
    """Give the service with nothing in it, and an environment that leads the client there."""
    state = running_server.state
    state.forget()
    state.devices, state.polls, state.noisy = ("ibm_manila",), 0, False
    state.usage_consumed, state.posts_per_minute, state.max_body = 12, None, 50_000_000
    state.api_key, state.token_seconds = API_KEY, 3600
    for name, value in running_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USAGE_DATA_OPT_OUT", "True")  # spares the client a look at the stack for every request
    monkeypatch.setattr("urllib3.util.retry.Retry._sleep_backoff", lambda self: None)
    yield running_server
    assert state.defects == []


@pytest.fixture
def skipping_time():
    return SkippingTime()


@pytest.fixture
def patience(skipping_time):
    """Keyword arguments for the job functions: usual patience, no waiting."""
    from qlam_qiskit.jobs import Clock, Policy

    return {"policy": Policy(posts_per_minute=1000), "clock": Clock(skipping_time.now, skipping_time.sleep)}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def ledger(home, skipping_time):
    from qlam_qiskit.jobs import Ledger

    with Ledger(home, now=skipping_time.now) as opened:
        yield opened


@pytest.fixture
def open_service(server):
    """Open the loopback device under the name ``loopback``; keywords are settings of the entry."""
    from qlam_qiskit.backends import make_spec, open_backend

    def opener(**settings):
        values = {"kind": "ibm", "name": "ibm_manila", "generation": "v2", **settings}
        return open_backend(make_spec("loopback", values, "test"))

    return opener


def make_tiny_pub(backend, shots=64, rows=((0.0, 0.0), (3.14159265, 0.0))):
    """Make a pub of two qubits, each turned by its own angle."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    circuit = QuantumCircuit(2)
    angles = ParameterVector("a", 2)
    circuit.ry(angles[0], 0)
    circuit.ry(angles[1], 1)
    circuit.measure_all()
    return SamplerPub.coerce((backend.isa(circuit), list(rows), shots))


@pytest.fixture(scope="session")
def tiny_pub():
    """Give a function that makes a pub of two qubits, each turned by its own angle."""
    return make_tiny_pub
