"""A saved run: what is in its folder makes it whole, and nothing in it is executed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from qlam_qiskit.errors import ConfigurationError, RunError
from qlam_qiskit.evaluation.evaluate import evaluate
from qlam_qiskit.plain_yaml import dump_yaml, parse_yaml
from qlam_qiskit.runs import SavedRun
from qlam_qiskit.training import load_experiment, train

LINE = Path(__file__).parents[2] / "circuits" / "line.py"


def trained(small_experiment, quiet, template="line", name="small"):
    overrides = (f"model.circuit.template={template}", "training.epochs=1")
    folder, _ = train(load_experiment(small_experiment, overrides), name, quiet)
    return folder.path


@pytest.fixture
def own_run(small_experiment, quiet):
    """Train on a template in ./circuits, then set a trap in it."""
    Path("circuits").mkdir()
    shutil.copy(LINE, "circuits/own.py")
    path = trained(small_experiment, quiet, "own", "own")
    Path("circuits/own.py").write_text("open('executed', 'w').close()\n" + LINE.read_text())
    return path


def age(path):
    """Make a run folder what it was before circuits were kept."""
    (path / "circuits.qpy").unlink()
    description = json.loads((path / "run.json").read_text())
    del description["circuit_digest"]
    (path / "run.json").write_text(json.dumps(description))


def test_everything_is_at_hand(small_experiment, quiet):
    run = SavedRun.open(trained(small_experiment, quiet))
    assert run.path == Path("runs/small")
    assert SavedRun.open("small").experiment == run.experiment
    assert run.circuit.num_qubits == 3
    assert [row["epoch"] for row in run.metrics] == [1]
    assert run.evaluations == []
    found = run.predict("test")
    assert found.accuracy == pytest.approx(run.result["test_accuracy"])
    assert found.losses.mean() == pytest.approx(run.result["test_loss"], rel=1e-5)
    assert len(run.predict("validation", limit=7)) == 7
    assert run.model() is run.model()
    tokens = torch.from_numpy(run.data.test.tokens(np.arange(3)))
    with torch.no_grad():
        torch.testing.assert_close(run.model("aer")(tokens), run.model()(tokens), rtol=1e-4, atol=1e-4)


def test_no_template_is_executed_to_look_at_a_run(own_run, run):
    own = str(own_run)
    for command in (
        ["evaluate", own, "--limit", 5],
        ["report", own, "--limit", 5, "--samples", 1],
        ["plot", own, "circuit"],
        ["estimate", own, "--backend", "fake_torino", "--limit", 2],
        ["submit", own, "--backend", "fake_torino", "--limit", 2, "--shots", 10, "--yes"],
        ["refit", own, "--backend", "exact", "--samples", 40, "--out", "refitted"],
        ["evaluate", "refitted", "--limit", 5],
    ):
        status, _, err = run(*command)
        assert status == 0, err
    assert not Path("executed").exists()


@pytest.mark.parametrize("template", ["PATH", "own"])
def test_a_strangers_folder_names_a_file_and_it_is_not_executed(own_run, run, template):
    age(own_run)
    values = parse_yaml((own_run / "experiment.yaml").read_text())
    values["model"]["circuit"]["template"] = str(Path("circuits/own.py").resolve()) if template == "PATH" else "own"
    (own_run / "experiment.yaml").write_text(dump_yaml(values))
    for command in ("evaluate", "report", "estimate"):
        status, out, err = run(command, own_run, *(["--backend", "fake_torino"] if command == "estimate" else []))
        assert (status, out) == (1, "")
        assert "circuits.qpy: missing, and a run's folder does not say what code to run" in err
        assert len(err.strip().splitlines()) == 1
    assert not Path("executed").exists()


def test_a_template_of_ones_own_does_not_stand_in_for_an_installed_one(small_experiment, quiet):
    path = trained(small_experiment, quiet)
    before = evaluate(path, limit=20)["loss"]
    age(path)
    Path("circuits").mkdir()
    Path("circuits/line.py").write_text("open('executed', 'w').close()\n")
    assert evaluate(path, limit=20)["loss"] == before
    assert not Path("executed").exists()


def test_an_old_folder_whose_installed_template_has_changed_is_refused(small_experiment, quiet):
    path = trained(small_experiment, quiet)
    age(path)
    description = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**description, "circuit_fingerprint": "0" * 16}))
    with pytest.raises(RunError, match="its circuit fingerprint was 0000000000000000"):
        evaluate(path, limit=5)


def test_resuming_adds_the_circuit_to_an_old_folder(small_experiment, quiet):
    Path("circuits").mkdir()
    shutil.copy(LINE, "circuits/own.py")
    path = trained(small_experiment, quiet, "own", "own")
    before = evaluate(path, limit=20)["loss"]
    age(path)
    overrides = ("model.circuit.template=own", "training.epochs=1")
    train(load_experiment(small_experiment, overrides), "own", quiet, resume=True)
    assert evaluate(path, limit=20)["loss"] == before


def test_a_template_that_has_changed_since_does_not_change_a_run_nor_continue_it(small_experiment, quiet):
    Path("circuits").mkdir()
    shutil.copy(LINE, "circuits/own.py")
    path = trained(small_experiment, quiet, "own", "own")
    before = evaluate(path, limit=20)["loss"]
    Path("circuits/own.py").write_text(LINE.read_text().replace("update.rx", "update.ry"))
    assert evaluate(path, limit=20)["loss"] == before
    (path / "result.json").unlink()
    with pytest.raises(RunError, match="its circuit fingerprint was"):
        overrides = ("model.circuit.template=own", "training.epochs=1")
        train(load_experiment(small_experiment, overrides), "own", quiet, resume=True)


def test_a_circuit_of_another_run_is_refused(small_experiment, quiet):
    path, other = trained(small_experiment, quiet), trained(small_experiment, quiet, "ring", "other")
    shutil.copy(other / "circuits.qpy", path)
    with pytest.raises(RunError, match="do not match their digest"):
        evaluate(path)
    digest = json.loads((other / "run.json").read_text())["circuit_digest"]
    description = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**description, "circuit_digest": digest}))
    with pytest.raises(RunError, match="its circuit fingerprint was"):
        evaluate(path)


def test_a_baseline_has_no_circuit(small_experiment, quiet):
    experiment = load_experiment(small_experiment).model_dump()
    experiment["model"] = {"kind": "gru", "width": 4, "embedding": {"kind": "linear", "width": 4}}
    from qlam_qiskit.runs import Experiment

    folder, _ = train(Experiment.model_validate(experiment), "gru", quiet)
    assert not folder.circuit.exists()
    with pytest.raises(ConfigurationError, match="a model of kind gru has no circuit"):
        _ = SavedRun(folder).circuit
