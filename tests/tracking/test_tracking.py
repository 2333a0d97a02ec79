"""Trackers hear all of a training, go on with a run that was stopped, and never cost one; by their own readers."""

import json
from pathlib import Path

import numpy as np
import pytest

import qlam_qiskit
from qlam_qiskit.errors import ConfigurationError, Interrupted, RunError
from qlam_qiskit.tracking import check_trackers

pytestmark = pytest.mark.filterwarnings("ignore")  # those that the trackers' libraries give


class Own:
    """Keeps what it hears."""

    def __init__(self, fails=""):
        self.heard, self._fails = [], fails

    def _hear(self, name, *values):
        self.heard.append((name, *values))
        if name == self._fails:
            raise OSError("no\nanswer")

    def begin(self, run):
        self._hear("begin", run)
        return "known"

    def log(self, step, values):
        self._hear("log", step, values)

    def finish(self, figures, files):
        self._hear("finish", figures(), files)

    def close(self, status):
        self._hear("close", status)


def stopped_after(steps):
    """Return what says after so many steps that training is to stop."""
    asked = iter([False] * steps + [True] * 1000)
    return lambda: next(asked)


def test_a_tracker_of_ones_own_hears_everything(small_experiment):
    own = Own()
    run = qlam_qiskit.train(small_experiment, out="one", track=[own], progress=False)
    (_, begun), *_ = own.heard
    assert (begun.path, begun.name, begun.known_as) == (run.path, "one", None)
    assert begun.settings["model.circuit.qubits"] == 3
    logged = [tuple(rest) for name, *rest in own.heard if name == "log"]
    taken = [(step, values["step_loss"]) for step, values in logged if "step_loss" in values]
    assert [step for step, _ in taken] == list(range(1, len(taken) + 1))
    epochs = [values["validation_accuracy"] for _, values in logged if "validation_accuracy" in values]
    assert epochs == [row["validation_accuracy"] for row in run.metrics]
    assert logged[-1][1]["test_accuracy"] == run.result["test_accuracy"]
    _, figures, files = own.heard[-2]
    assert {"training", "confusion", "circuit"} <= set(figures)
    assert {"experiment.yaml", "circuits.qpy", "best.safetensors"} <= {file.name for file in files}
    assert own.heard[-1] == ("close", "finished")


def test_a_run_that_goes_on_is_the_one_that_its_tracker_knows(small_experiment):
    first, then = Own(), Own()
    with pytest.raises(Interrupted):
        qlam_qiskit.train(small_experiment, out="one", track=[first], progress=False, should_stop=stopped_after(3))
    assert first.heard[-1] == ("close", "interrupted")
    qlam_qiskit.train(small_experiment, out="one", resume=True, track=[then], progress=False)
    assert then.heard[0][1].known_as == "known"
    last = [each[1] for each in first.heard if each[0] == "log"][-1]
    assert next(each[1] for each in then.heard if each[0] == "log") == last + 1


@pytest.mark.parametrize("damage", ["[1]", "{", '{"Own": 3}'])
def test_a_damaged_file_of_trackers_is_one_line_that_names_it(small_experiment, damage):
    with pytest.raises(Interrupted):
        qlam_qiskit.train(small_experiment, out="one", track=[Own()], progress=False, should_stop=stopped_after(3))
    Path("one/tracking.json").write_text(damage)
    with pytest.raises(RunError, match=r"^one/tracking\.json: damaged: [^\n]+$"):
        qlam_qiskit.train(small_experiment, out="one", resume=True, track=[Own()], progress=False)


def test_a_tracker_that_fails_costs_no_training(small_experiment, capsys):
    own = Own(fails="log")
    run = qlam_qiskit.train(small_experiment, out="one", track=[own])
    assert run.result is not None
    assert [each[0] for each in own.heard] == ["begin", "log"]
    assert "Own failed and hears no more of this run: OSError: no answer" in capsys.readouterr().err


def test_a_tracker_that_cannot_begin_is_one_line_before_training(small_experiment):
    with pytest.raises(ConfigurationError, match=r"^Own cannot track this run: OSError: no answer$"):
        qlam_qiskit.train(small_experiment, out="one", track=[Own(fails="begin")], progress=False)


def test_unknown_names_and_missing_libraries_are_one_line(monkeypatch, run, small_experiment):
    status, _, error = run("train", small_experiment, "--track", "tensorbord")
    assert (status, error.count("\n")) == (2, 1)
    assert "unknown tracker 'tensorbord'; available: tensorboard, mlflow, wandb; did you mean tensorboard?" in error
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(ConfigurationError, match=r"tracking with wandb needs wandb.*'qlam-qiskit\[wandb\]'"):
        check_trackers(["wandb"])


def test_an_address_that_mlflow_does_not_take_is_one_line_before_training(small_experiment, run, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nothing://here")
    status, _, error = run("train", small_experiment, "--out", "one", "--track", "mlflow")
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith("Error: mlflow cannot track: ")
    assert not Path("one").exists()


def test_tensorboard_reads_what_was_tracked(small_experiment, run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    status, out, error = run("train", small_experiment, "--out", "one", "--track", "tensorboard", "--json")
    assert status == 0, error
    events = EventAccumulator("one/tensorboard").Reload()
    assert events.Scalars("test_accuracy")[-1].value == np.float32(json.loads(out)["test_accuracy"])
    assert [each.step for each in events.Scalars("step_loss")] == list(range(1, len(events.Scalars("step_loss")) + 1))
    assert len(events.Scalars("validation_accuracy")) == 3
    assert {"training", "circuit"} <= set(events.Tags()["images"])


def test_mlflow_reads_what_was_tracked_also_of_a_run_that_was_stopped(small_experiment, monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri(None)
    with pytest.raises(Interrupted):
        qlam_qiskit.train(small_experiment, out="one", track=["mlflow"], progress=False, should_stop=stopped_after(3))
    run = qlam_qiskit.train(small_experiment, out="one", resume=True, track=["mlflow"], progress=False)
    client = mlflow.MlflowClient()
    (kept,) = client.search_runs([client.get_experiment_by_name("qlam").experiment_id])
    assert (kept.info.status, kept.data.params["model.circuit.qubits"]) == ("FINISHED", "3")
    assert kept.data.metrics["test_accuracy"] == run.result["test_accuracy"]
    steps = [each.step for each in client.get_metric_history(kept.info.run_id, "step_loss")]
    assert steps == list(range(1, len(steps) + 1))
    assert len(client.get_metric_history(kept.info.run_id, "validation_accuracy")) == 3
    names = {each.path for each in client.list_artifacts(kept.info.run_id)}
    assert {"experiment.yaml", "best.safetensors", "figures"} <= names


def test_wandb_keeps_a_run_offline(small_experiment, monkeypatch, tmp_path):
    pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_CONFIG_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    run = qlam_qiskit.train(small_experiment, out="one", track=["wandb"], progress=False)
    (kept,) = run.path.glob("wandb/offline-run-*/*.wandb")
    assert json.loads((run.path / "tracking.json").read_text())["wandb"] in kept.name
    records = kept.read_bytes()  # what ``wandb sync`` uploads
    assert b"validation_accuracy" in records
    assert b"test_accuracy" in records
    assert b"best.safetensors" in records


def test_without_trackers_nothing_is_kept(small_experiment):
    run = qlam_qiskit.train(small_experiment, out="one", progress=False)
    assert not (run.path / "tracking.json").exists()
