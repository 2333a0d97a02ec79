"""``device: cuda`` of a backend: what the registry takes, which engine runs, and the line where CUDA is missing."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from qlam_qiskit.backends import make_spec
from qlam_qiskit.cli.backends import backends
from qlam_qiskit.cli.bench import bench_command
from qlam_qiskit.engine import ExactEngine, Readout
from qlam_qiskit.engine.torch import make_engine
from qlam_qiskit.engine.torch.torch_engine import TorchEngine
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.network import ExactExecution, MemoryConnector, MemoryNetwork
from qlam_qiskit.network.selection import BackendExecutions
from qlam_qiskit.templates import load_template


@pytest.fixture
def cpu_build(monkeypatch):
    """Make torch one that was built without CUDA."""
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)


@pytest.fixture
def no_driver(monkeypatch):
    """Make torch one that was built with CUDA and finds no GPU."""
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def _spec(**values):
    return make_spec("gpu", {"kind": "exact", **values}, "test")


def test_an_exact_backend_runs_on_the_cpu_unless_it_says_cuda():
    assert _spec().device == "cpu"
    assert _spec(device="cuda").device == "cuda"
    with pytest.raises(ConfigurationError, match=r"device: .*'cpu' or 'cuda'"):
        _spec(device="tpu")


def test_threads_are_the_cpus():
    assert _spec(device="cpu", threads=2).threads == 2
    with pytest.raises(ConfigurationError, match="threads: only with device: cpu"):
        _spec(device="cuda", threads=2)


def test_the_device_chooses_the_engine():
    memory = load_template("ring", 2)
    assert isinstance(make_engine(memory, threads=1), ExactEngine)
    # Any device but "cpu" is torch's; torch's own CPU stands in for a GPU.
    assert isinstance(make_engine(memory, device="cpu:0"), TorchEngine)


def test_a_build_without_cuda_is_said_in_one_line(cpu_build):
    factory = BackendExecutions(_spec(device="cuda"))
    with pytest.raises(ConfigurationError, match="built without CUDA; install a CUDA build of torch") as raised:
        factory(load_template("ring", 2), Readout(2), 3, (2,))
    assert "\n" not in str(raised.value)


def test_a_missing_gpu_or_driver_is_said_in_one_line(no_driver):
    with pytest.raises(ConfigurationError, match=r"finds no GPU; it needs one and a driver for CUDA 12\.8") as raised:
        make_engine(load_template("ring", 2), device="cuda")
    assert "\n" not in str(raised.value)


@pytest.fixture
def command(monkeypatch, tmp_path):
    monkeypatch.delenv("QLAM_BACKENDS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backends.yaml").write_text("default: gpu\nbackends: {gpu: {kind: exact, device: cuda}}\n")
    return lambda *arguments: CliRunner().invoke(backends, arguments, catch_exceptions=False)


def test_list_and_show_say_the_device(command):
    assert "cuda" in command("list").stdout
    assert json.loads(command("show", "--json").stdout)["device"] == "cuda"


def test_check_says_that_cuda_is_missing(command, cpu_build):
    result = command("check", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1 and not report["ok"]
    assert [step["what"] for step in report["steps"]] == ["library", "backend"]
    assert report["steps"][0]["detail"].startswith("torch ")
    assert "built without CUDA" in report["steps"][1]["detail"]


def test_bench_says_that_cuda_is_missing(cpu_build):
    result = CliRunner().invoke(bench_command, ["--device", "cuda", "--steps", "5"])
    assert isinstance(result.exception, ConfigurationError)
    assert "built without CUDA" in str(result.exception)


def test_a_model_trains_alike_on_either_engine():
    """The connector, the readout and the network take the torch engine as they take the other."""
    memory = load_template("ring", 3)
    readout = Readout(3, "z_strings")
    results = []
    for device in ("cpu", "cpu:0"):
        torch.manual_seed(0)
        execution = ExactExecution.of(memory, readout, (1, 4), device=device)
        network = MemoryNetwork(
            memory, 5, readout=readout, registers=2, queries=2, readout_steps=(1, 4), execution=execution
        )
        connector = MemoryConnector(network, initial_weights=np.linspace(-1, 1, network.num_weights))
        angles, queries = (torch.randn(shape, requires_grad=True) for shape in ((4, 5, 2, 6), (1, 1, 2, 2, 6)))
        values = connector(angles, queries)
        values.square().sum().backward()
        results.append([values.detach(), angles.grad, queries.grad, next(connector.parameters()).grad])
    for part, other in zip(*results, strict=True):
        torch.testing.assert_close(part, other, rtol=0, atol=2e-5)
