"""A data set small enough to train on in a second, and an experiment on it."""

import pytest
import yaml
from small_data import write_small_data


class Quiet:
    """A reporter that only counts."""

    def __init__(self):
        self.steps, self.epochs = 0, []

    def step(self, done, total, epoch, loss, accuracy):
        assert 0 < done <= total
        self.steps += 1

    def epoch(self, metrics):
        self.epochs.append(metrics)


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
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(experiment))
    return "small.yaml"
