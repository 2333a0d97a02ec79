"""The object that everything goes through: down to a device once and back, with nothing loaded or opened twice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit.primitives import StatevectorSampler

from qlam_qiskit import load_data
from qlam_qiskit import run as running
from qlam_qiskit.errors import QlamError
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
def finished(path):
    return Run.open(path)


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


WRONG = [
    (lambda run: run.evaluate(part="tset"), "a part of the samples is one of test, validation, train, not 'tset'"),
    (lambda run: run.predict("all"), "not 'all'"),
    (lambda run: run.plan("device", part="val"), "not 'val'"),
    (lambda run: run.evaluate(limit=0), "limit: at least 1, not 0"),
    (lambda run: run.evaluate(limit=-1), "limit: at least 1, not -1"),
    (lambda run: run.plan("device", limit=0), "limit: at least 1, not 0"),
    (lambda run: run.predict(limit=2.5), "limit: a whole number, not 2.5"),
    (lambda run: run.evaluate(shots="100", backend="device"), "shots: a whole number, not '100'"),
    (lambda run: run.evaluate(shots=0), "shots: at least 1, not 0"),
    (lambda run: run.evaluate(seed=-1), "seed: at least 0, not -1"),
    (lambda run: run.evaluate(3), "a backend is a name in backends.yaml or an entry of it here, not int"),
    (lambda run: run.evaluate("devise"), "no backend named 'devise'"),
    (lambda run: run.plan(StatevectorSampler()), "here, not StatevectorSampler; a model takes any"),
    (lambda run: run.plan(), "choose another backend"),
    (lambda run: run.score(5), "named by its id, or is a Submission, not int"),
    (lambda run: Run.open("smal"), "smal: no such run, neither a folder nor a name in runs; did you mean small?"),
    (lambda run: Run.open("."), ".: not a run folder"),
    (lambda run: load_data(3), "data are a data set's name, a mapping of keys or a DataSettings, not int"),
    (lambda run: load_data("digts"), "data: dataset: "),
]


def test_wrong_guesses_are_one_line_and_leave_nothing_behind(finished):
    for ask, said in WRONG:
        with pytest.raises(QlamError) as error:
            ask(finished)
        assert said in str(error.value)
        assert "\n" not in str(error.value)
    assert finished.evaluations == []


def test_a_run_a_plan_and_a_submission_say_what_they_are(finished):
    accuracy = f"{finished.result['test_accuracy']:.2%}"
    assert repr(finished) == f"<Run runs/small: {finished.data.task}, {accuracy}>"
    assert f"<th>test</th><td>{accuracy} of" in finished._repr_html_()
    plan = finished.plan("device", limit=2)
    assert repr(plan) == f"<Plan: {plan}>"
    assert "<th>verdict</th><td>fits</td>" in plan._repr_html_()
    submission = plan.submit()
    assert repr(submission) == f"<Submission {submission.id} on device>"
    assert "<th>jobs</th><td>1 job: " in submission._repr_html_()
    part = finished.data.test
    assert repr(part) == f"<Split of {len(part)} samples: values {part.values.shape}, labels {part.labels.shape}>"
    assert repr(finished.circuit) == "<MemoryCircuit line: 3 qubits, 6 inputs, 5 weights>"


def test_a_damaged_run_can_still_be_shown(path):
    Path(path, "evaluations.jsonl").write_text("{\n{}\n")
    damaged = Run.open(path)
    assert "damaged" in repr(damaged)
    assert "<th>damaged</th>" in damaged._repr_html_()


def test_a_run_is_opened_by_its_class_too_and_its_model_runs_on_primitives(finished):
    assert Run("small").result == Run(str(finished.path), data_dir=".").result == finished.result
    tokens = torch.from_numpy(finished.data.test.tokens(slice(2)))
    sampled = finished.model(StatevectorSampler(default_shots=4000, seed=1)).read(tokens)
    np.testing.assert_allclose(sampled.detach(), finished.model().read(tokens).detach(), atol=0.4)
