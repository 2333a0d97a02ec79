"""A data set small enough to train on in a second, an experiment on it, and the command line in this process."""

import sys

import pytest
from small_data import write_small_data

from qlam_qiskit.cli import main
from qlam_qiskit.plain_yaml import dump_yaml


class Quiet:
    """A reporter that only counts."""

    def __init__(self):
        self.steps, self.epochs = 0, []

    def compiling(self, done, total, seconds):
        assert 0 <= done <= total

    def step(self, done, total, epoch, loss, accuracy):
        assert 0 < done <= total
        self.steps += 1

    def epoch(self, metrics):
        self.epochs.append(metrics)


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    """Print as to a file, whatever width some library has written into the environment."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def quiet():
    return Quiet()


@pytest.fixture
def small_experiment(tmp_path, monkeypatch):
    """Write ./small.yaml over ./small.npz in a folder of its own, make it the current one, return the file's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QLAM_HOME", raising=False)
    write_small_data("small.npz")
    experiment = {
        "data": {"dataset": "npz", "path": "small.npz"},
        "model": {
            "circuit": {"template": "line", "qubits": 3},
            "embedding": {"kind": "linear", "width": 4},
            "time_scale": 0.5,
            "weight_scale": 0.5,
        },
        "training": {"epochs": 3, "batch_size": 16, "validation_fraction": 0.2},
        "seed": 3,
    }
    (tmp_path / "small.yaml").write_text(dump_yaml(experiment))
    return "small.yaml"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run ``qlam`` with arguments in this process; returns exit status, stdout, stderr."""

    def run_qlam(*arguments):
        monkeypatch.setattr(sys, "argv", ["qlam", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as leaving:
            status = leaving.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run_qlam
