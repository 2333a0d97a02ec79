"""A comparison small enough to run in seconds, and a way to run it."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from made_up_results import write_results
from small_data import write_small_data

from qlam_qiskit.compare import Choice, compare, load_comparison
from qlam_qiskit.plain_yaml import dump_yaml

SMALL = {
    "description": "Two clouds of points",
    "data": {"dataset": "npz", "path": "small.npz"},
    "training": {"epochs": 1, "batch_size": 16, "validation_fraction": 0.2},
    "search": {"multipliers": [0.3, 1.0], "epochs": 1, "train_limit": 60},
    "budget": {"tolerance": 0.2},
    "seeds": [0, 1],
    "contenders": 1,
    "models": {
        "qlam": {
            "label": "QLAM",
            "model": {"circuit": {"template": "line", "qubits": 3}, "embedding": {"kind": "linear", "width": 4}},
            "paper": {"accuracy": 61.5, "deviation": 0.25, "source": "a paper"},
        },
        "gru": {"label": "GRU", "model": {"kind": "gru", "embedding": {"kind": "linear", "width": 4}}},
    },
}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Write ./small.yaml over ./small.npz in a folder of its own, make it the current one; returns its values."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QLAM_HOME", raising=False)
    write_small_data("small.npz")
    write(SMALL)
    return SMALL


def write(values):
    Path("small.yaml").write_text(dump_yaml(values))


@pytest.fixture
def run(quiet):
    """Run ./small.yaml; returns the names of the jobs that were trained."""

    def run(out="results/small", should_stop=lambda: False, **choice):
        started = []

        def follow(job):
            started.append(job.name)
            return nullcontext(quiet)

        compare(
            load_comparison("small.yaml"),
            "small",
            follow,
            out=Path(out),
            choice=Choice(**choice),
            say=lambda line: None,
            should_stop=should_stop,
        )
        return started

    return run


@pytest.fixture
def results(tmp_path):
    """Write the folder of a made-up comparison; returns the folder of results around it."""
    write_results(tmp_path / "made_up")
    return tmp_path
