"""Small runs to report on, trained once: images with a noisy evaluation, symbols, open memories, a baseline."""

from pathlib import Path

import pytest

from qlam_qiskit.evaluation.evaluate import evaluate
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.training import load_experiment, train

IMAGES = {
    "description": "Digits <by> patches",
    "data": {"dataset": "digits", "view": "patches", "patch": 2, "train_limit": 200, "test_limit": 80},
    "model": {
        "circuit": {"template": "line", "qubits": 3},
        "embedding": {"kind": "linear", "width": 8},
        "readout": {"times": 2},
        "time_scale": 0.3,
        "weight_scale": 0.3,
    },
    "training": {"epochs": 2, "batch_size": 16},
}
SYMBOLS = {
    "data": {
        "dataset": "copying",
        "symbols": 3,
        "alphabet": 4,
        "delay": 3,
        "train_samples": 300,
        "test_samples": 30,
        "seed": 1,
    },
    "model": {
        "circuit": {"template": "line", "qubits": 3},
        "embedding": {"kind": "linear", "width": 8},
        "registers": 2,
        "queries": {"kind": "learned", "count": 2},
        "time_scale": 0.5,
        "weight_scale": 0.5,
    },
    "training": {"epochs": 1, "batch_size": 32, "validation_fraction": 0.0},
}
OPEN = {
    "data": {**IMAGES["data"], "train_limit": 100, "test_limit": 20},
    "model": {
        "circuit": {"template": "damped_line", "qubits": 2, "options": {"damped": [0, 1], "rates": [0.05, 0.4]}},
        "embedding": {"kind": "convolution", "width": 8, "kernel": 2},
        "registers": 3,
        "directions": "both",
        "readout": {"kind": "z_strings", "times": 2, "pooling": "mean"},
        "noise": {"device": "FakeTorino", "shots": 1024},
        "time_scale": 0.5,
        "weight_scale": 0.5,
    },
    "training": {"epochs": 1, "batch_size": 32},
}
KRAUS = """\
import numpy as np
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.quantum_info import Kraus
from qlam_qiskit.memory_circuit import MemoryCircuit


def build(num_qubits):
    phi, theta = ParameterVector("phi", num_qubits), ParameterVector("theta", num_qubits)
    update = QuantumCircuit(num_qubits, name="kraus")
    for qubit in range(num_qubits):
        update.ry(phi[qubit], qubit)
        update.rx(theta[qubit], qubit)
        update.append(Kraus([0.9**0.5 * np.eye(2), 0.1**0.5 * np.diag([1, -1])]).to_instruction(), [qubit])
    return MemoryCircuit(update, phi, theta)
"""
BASELINE = {
    "data": IMAGES["data"],
    "model": {"kind": "gru", "width": 4, "embedding": {"kind": "linear", "width": 4}},
    "training": {"epochs": 1, "batch_size": 32},
}


class _Silent:
    def step(self, *arguments):
        pass

    def compiling(self, done, total, seconds):
        pass

    def epoch(self, metrics):
        pass


def _train(folder: Path, experiment: dict) -> Path:
    (folder / "small.yaml").write_text(dump_yaml(experiment))
    train(load_experiment(str(folder / "small.yaml")), "small", _Silent(), out=folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def image_run(tmp_path_factory):
    run = _train(tmp_path_factory.mktemp("images"), IMAGES)
    evaluate(run, backend="exact")
    evaluate(run, backend="noisy", shots=64, limit=20)
    return run


@pytest.fixture(scope="session")
def symbol_run(tmp_path_factory):
    return _train(tmp_path_factory.mktemp("symbols"), SYMBOLS)


@pytest.fixture(scope="session")
def baseline_run(tmp_path_factory):
    return _train(tmp_path_factory.mktemp("baseline"), BASELINE)


@pytest.fixture(scope="session")
def open_run(tmp_path_factory):
    return _train(tmp_path_factory.mktemp("open"), OPEN)


@pytest.fixture(scope="session")
def kraus_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kraus")
    (folder / "kraus.py").write_text(KRAUS)
    circuit = {"template": str(folder / "kraus.py"), "qubits": 1}
    model = {**OPEN["model"], "circuit": circuit, "noise": {}, "registers": 1, "directions": "forward"}
    return _train(folder, {**OPEN, "model": model})
