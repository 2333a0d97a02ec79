"""An experiment that trains in a tenth of a second, a space over it, and a study of both."""

from pathlib import Path

import pytest
from small_data import write_small_data

from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.runs import load_experiment
from qlam_qiskit.searching import Space, Task

SMALL = {
    "data": {"dataset": "npz", "path": "small.npz"},
    "model": {"kind": "rnn", "width": 4, "embedding": {"kind": "linear", "width": 4}},
    "training": {"epochs": 2, "batch_size": 32, "validation_fraction": 0.2},
}
SPACE = {
    "training.circuit_rate": {"float": [0.001, 0.1], "log": True},
    "model.width": {"int": [2, 6], "step": 2},
    "model.kind": ["rnn", "gru"],
}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Write ./small.yaml and ./space.yaml in a folder of their own, make it the current one; returns the experiment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QLAM_HOME", raising=False)
    write_small_data("small.npz")
    Path("small.yaml").write_text(dump_yaml(SMALL))
    Path("space.yaml").write_text(dump_yaml(SPACE))
    return load_experiment("small.yaml")


@pytest.fixture
def task(small):
    """Return a function that makes the task of a search over the small experiment."""

    def make(space=SPACE, **options):
        return Task("small", small, Space.of(space), Path("runs/search/small"), **options)

    return make
