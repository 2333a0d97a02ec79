"""Small runs to report on, trained once: images with a noisy evaluation, symbols with several registers, a baseline."""

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
