"""A head refitted on a backend's readouts: it undoes what is linear, uses no test sample, and makes a run like any."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from qlam_qiskit.backends import load_registry
from qlam_qiskit.cli import qlam
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.evaluation.evaluate import evaluate, evaluate_submission, measure
from qlam_qiskit.evaluation.on_device import prepare, send
from qlam_qiskit.evaluation.refit import fit_head, refit
from qlam_qiskit.jobs import Ledger, show
from qlam_qiskit.runs import saved_run
from qlam_qiskit.runs.checkpoint import load_checkpoint
from qlam_qiskit.training import load_experiment, train

REGISTRY = """
default: exact
backends:
  exact: {kind: exact}
  aer_shots: {kind: aer, shots: 500}
  device: {kind: fake, name: FakeManilaV2, shots: 500}
  strict: {kind: fake, name: FakeManilaV2, shots: 500, min_fidelity: 0.999}
"""


@pytest.fixture
def run(small_experiment, quiet):
    Path("backends.yaml").write_text(REGISTRY)
    train(load_experiment(small_experiment), "small", quiet)
    return Path("runs/small")


def submissions():
    with Ledger() as ledger:
        return show(ledger)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_affine_distortion_is_undone():
    rng = np.random.default_rng(0)
    readouts, weight, bias = rng.normal(size=(600, 8)), rng.normal(size=(5, 8)), rng.normal(size=5)
    logits = readouts @ weight.T + bias
    mixing = np.diag(rng.uniform(0.2, 0.6, 8)) + 0.05 * rng.normal(size=(8, 8))
    distorted = readouts @ mixing + rng.normal(size=8) + 0.01 * rng.normal(size=(600, 8))
    head = fit_head(distorted[:300], logits[:300])
    right = logits[300:].argmax(1)
    before = distorted[300:] @ weight.T + bias
    after = distorted[300:] @ head.weight.T + head.bias
    assert (before.argmax(1) == right).mean() < 0.8
    assert (after.argmax(1) == right).mean() > 0.97
    assert np.abs(after - logits[300:]).mean() < 0.1 * np.abs(before - logits[300:]).mean()


def test_noise_alone_is_not_fitted():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(100, 3))
    assert np.abs(fit_head(rng.normal(size=(100, 40)), logits).weight).max() < 0.05


def test_a_readout_that_never_changes_gets_no_weight():
    features = np.column_stack([np.arange(40.0), np.full(40, 0.7)])
    head = fit_head(features, np.arange(40.0)[:, None])
    assert head.weight[0, 1] == 0
    assert features @ head.weight.T + head.bias == pytest.approx(np.arange(40.0)[:, None], abs=0.5)


def test_exact_readouts_give_the_head_back(run):
    done = refit(run, backend="exact", samples=90)
    assert done["accuracy_after"] == pytest.approx(done["accuracy_before"], abs=0.03)
    old, new = (load_checkpoint(Path(folder) / "checkpoints/best.safetensors").tensors for folder in (run, done["run"]))
    readouts = measure(run).readouts.flatten(1)
    logits = [readouts @ part["model/head.weight"].T + part["model/head.bias"] for part in (old, new)]
    assert torch.allclose(*logits, atol=0.05)


def test_a_refitted_run_is_a_run_like_any_other_and_remembers(run):
    before = contents(run)
    done = refit(run, backend="device", samples=60)
    folder = Path("runs/small-refit-device")
    assert done["run"] == str(folder)
    assert contents(run) == before
    old, new = (load_checkpoint(path / "checkpoints/best.safetensors").tensors for path in (run, folder))
    changed = {name for name in new if not torch.equal(old[name], new[name])}
    assert changed == {"model/head.weight", "model/head.bias"}
    remembered = json.loads((folder / "run.json").read_text())["refit"]
    expected = {"of": str(run), "samples": 60, "backend": "device", "shots": 500, "submission": submissions()[0].id}
    assert expected.items() <= remembered.items()
    assert evaluate(folder)["accuracy"] > 0.8
    assert evaluate(folder, backend="device", limit=20)["samples"] == 20
    assert refit(run, backend="exact", samples=40)["run"] == "runs/small-refit-exact"
    assert refit(run, backend="exact", samples=40)["run"] == "runs/small-refit-exact-2"
    assert refit(run, backend="exact", samples=40, out=Path("new/place"))["run"] == "new/place"
    with pytest.raises(ConfigurationError, match="refitted itself; refit the run that it is of"):
        refit(folder, backend="exact", samples=40)
    assert not list(Path("runs").glob(".*"))


def test_the_test_set_is_not_there_to_be_used(run, monkeypatch):
    load = saved_run.load_data
    monkeypatch.setattr(saved_run, "load_data", lambda *given: dataclasses.replace(load(*given), test=None))
    for backend in ("exact", "aer_shots", "device"):
        refit(run, backend=backend, samples=40)


def test_training_samples_are_those_without_validation(run):
    train_part, validation = measure(run, part="train"), measure(run, part="validation")
    assert (len(train_part.split), len(validation.split)) == (96, 24)
    recorded = json.loads((run / "result.json").read_text())["validation_accuracy"]
    assert validation.score()["accuracy"] == pytest.approx(recorded)


def test_what_a_test_submission_measured_is_scored_by_both_heads(run):
    before = evaluate(run, backend="device", limit=20)
    folder = Path(refit(run, backend="device", samples=60)["run"])
    after = evaluate_submission(folder, before["submission"])
    assert after["samples"] == 20
    assert after["loss"] != before["loss"]
    own = evaluate(folder, backend="device", limit=5)["submission"]
    with pytest.raises(QlamError, match="not of the weights in"):
        evaluate_submission(run, own)


def test_training_samples_sent_before_are_refitted_on_from_the_ledger(run):
    with Ledger() as ledger, (prepared := prepare(run, load_registry().spec("device"), part="train", limit=40)).backend:
        sent = send(prepared, ledger)
    one, two = (refit(run, submission=sent.id, mitigate=mitigate) for mitigate in (False, True))
    assert (one["samples"], one["mitigated"], two["mitigated"]) == (40, False, True)
    assert len(submissions()) == 1
    with pytest.raises(ConfigurationError, match="at least 32"):
        refit(run, backend="device", samples=20)
    test = evaluate(run, backend="device", limit=5)["submission"]
    with pytest.raises(ConfigurationError, match=f"{test} is of test samples, not of training ones"):
        refit(run, submission=test)


def test_nothing_is_sent_that_would_be_refused(run):
    Path("taken").mkdir()
    for options, message in (
        ({"samples": 31}, "at least 32 training samples, not 31"),
        ({"out": Path("taken")}, "--out"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            refit(run, backend="device", **{"samples": 40, **options})
    with pytest.raises(QlamError, match="--yes sends it all the same"):
        refit(run, backend="strict", samples=40)
    assert submissions() == []
    assert not list(Path("runs").glob("*refit*"))


def test_a_refitted_run_is_not_resumed(run, small_experiment, quiet):
    folder = Path(refit(run, backend="exact", samples=40)["run"])
    with pytest.raises(ConfigurationError, match="a refitted run, which has nothing to resume"):
        train(load_experiment(small_experiment), "small", quiet, out=folder, resume=True)


def test_the_command_prints_one_json_object(run, capsys):
    qlam(["refit", str(run), "--backend", "device", "--samples", "40", "--json"], standalone_mode=False)
    captured = capsys.readouterr()
    assert json.loads(captured.out)["samples"] == 40
    assert "40 samples on device: 1 job," in captured.err
    qlam(["refit", str(run), "--backend", "exact", "--samples", "40"], standalone_mode=False)
    assert "40 training samples on exact" in capsys.readouterr().out
