"""The object that everything goes through: down to a device once and back, with nothing loaded or opened twice."""

from pathlib import Path

import pytest

from qlam_qiskit import run as running
from qlam_qiskit.evaluation import on_device
from qlam_qiskit.jobs import backend_record
from qlam_qiskit.run import Run
from qlam_qiskit.runs import saved_run
from qlam_qiskit.training import load_experiment, train


@pytest.fixture
def path(small_experiment, quiet):
    Path("backends.yaml").write_text(
        "default: exact\nbackends:\n  exact: {kind: exact}\n  device: {kind: fake, name: FakeManilaV2, shots: 200}\n"
    )
    folder, _ = train(load_experiment(small_experiment, ("training.epochs=1",)), "small", quiet)
    return folder.path


@pytest.fixture
def loads(monkeypatch):
    """Count what is loaded, built and opened."""
    counts = {}
    for module, name in (
        (saved_run, "load_data"),
        (saved_run, "build_model"),
        (saved_run, "read_circuit"),
        (on_device, "open_backend"),
        (backend_record, "open_backend"),
    ):
        monkeypatch.setattr(module, name, counting(getattr(module, name), counts))
    return counts


def counting(function, counts):
    def counted(*given, **named):
        counts[function.__name__] = counts.get(function.__name__, 0) + 1
        return function(*given, **named)

    return counted


ONCE = {"load_data": 1, "build_model": 1, "read_circuit": 1, "open_backend": 1}


def test_a_plan_is_submitted_followed_and_scored_and_everything_loaded_once(path, loads):
    trained = Run.open(path)
    plan = trained.plan("device", limit=12)
    assert str(plan).startswith("12 samples on device: 1 job, ")
    submission = plan.submit()
    heard = []
    assert submission.wait(progress=lambda *done: heard.append(done)) is submission
    found = trained.score(submission)
    assert heard == [(1, 1)]
    assert (found["samples"], found["backend"], found["shots"]) == (12, "device", 200)
    assert trained.evaluations == [found]
    assert trained.score(submission.id)["accuracy"] == found["accuracy"]
    assert loads == ONCE


@pytest.mark.parametrize("command", [["evaluate"], ["submit", "--yes"], ["estimate"], ["refit", "--samples", "32"]])
def test_a_command_loads_data_and_model_once(path, loads, run, command):
    name, *options = command
    limit = [] if name == "refit" else ["--limit", "4"]
    status, _, err = run(name, path, "--backend", "device", *options, *limit)
    assert status == 0, err
    assert loads == ONCE


def test_an_evaluation_here_and_predictions_share_the_data(path, loads):
    trained = Run.open(path)
    here = trained.evaluate(limit=30)
    assert trained.predict(limit=30).accuracy == pytest.approx(here["accuracy"])
    assert loads["load_data"] == 1


def test_a_run_that_is_open_already_comes_back_as_it_is(path):
    trained = Run.open(path)
    assert Run.open(trained) is trained
    assert isinstance(running.Run.open(saved_run.SavedRun.open(path)), Run)
