"""Baselines in the same trainer: resumed to the same bits, evaluated exactly, and kept off what runs circuits."""

from pathlib import Path

import pytest
import torch

from qlam_qiskit.backends import load_registry
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.evaluation.evaluate import evaluate
from qlam_qiskit.evaluation.on_device import prepare
from qlam_qiskit.plain_yaml import dump_yaml, parse_yaml
from qlam_qiskit.runs.checkpoint import load_checkpoint
from qlam_qiskit.train import Interrupted, RunFolder, load_experiment, train

MODELS = {
    "rnn": "{kind: rnn, width: 6}",
    "lstm": "{kind: lstm, width: 6}",
    "gru": "{kind: gru, width: 6}",
    "s4d": "{kind: s4d, width: 6, state: 8}",
    "transformer": "{kind: transformer, width: 6}",
    "reservoir": "{kind: reservoir, circuit: {template: line, qubits: 3}}",
}


@pytest.fixture
def experiment(small_experiment):
    """Return the small experiment with another model."""

    def of(kind, **options):
        values = parse_yaml(Path(small_experiment).read_text())
        values["model"] = parse_yaml(MODELS[kind])
        Path("other.yaml").write_text(dump_yaml(values))
        return load_experiment("other.yaml", **options)

    return of


@pytest.mark.parametrize("kind", MODELS)
def test_stopping_and_resuming_gives_the_same_bits(experiment, quiet, kind):
    whole, result = train(experiment(kind), kind, quiet, out=Path("whole"))
    taken = 0

    def enough():
        nonlocal taken
        taken += 1
        return taken == quiet.steps // 2

    with pytest.raises(Interrupted):
        train(experiment(kind), kind, quiet, out=Path("stopped"), should_stop=enough)
    resumed, again = train(experiment(kind), kind, quiet, out=Path("stopped"), resume=True)
    one, other = (load_checkpoint(folder.last) for folder in (whole, resumed))
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    assert {**result, "train_seconds": 0} == {**again, "train_seconds": 0}


@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind != "reservoir"])
def test_it_learns_and_is_evaluated_exactly(experiment, quiet, kind):
    folder, result = train(experiment(kind), kind, quiet)
    assert result["test_accuracy"] > 0.9
    assert evaluate(folder.path)["accuracy"] == pytest.approx(result["test_accuracy"])
    assert evaluate(folder.path, limit=7)["samples"] == 7
    assert folder.description()["parameters"] == result["parameters"]
    assert "qubits" not in folder.description()


def test_only_the_head_of_a_reservoir_is_counted_and_moved(experiment, quiet):
    folder, result = train(experiment("reservoir"), "reservoir", quiet)
    assert result["parameters"] == 8 * 2 + 2
    torch.manual_seed(3)
    weights = load_checkpoint(folder.last).group("model")
    other = load_checkpoint(train(experiment("reservoir", seed=3), "again", quiet)[0].last).group("model")
    moved = load_checkpoint(train(experiment("reservoir", seed=4), "other", quiet)[0].last).group("model")
    memory = [name for name in weights if not name.startswith("head")]
    assert all(torch.equal(weights[name], other[name]) for name in memory)
    assert not all(torch.equal(weights[name], moved[name]) for name in memory)
    assert evaluate(folder.path, backend="aer", limit=5)["samples"] == 5


@pytest.mark.parametrize("backend", ["aer", "aer_shots", "fake_torino"])
def test_no_circuit_backend_takes_a_baseline(experiment, quiet, backend):
    with pytest.raises(ConfigurationError, match=f"kind gru has no circuit, so it cannot run on backend '{backend}'"):
        train(experiment("gru", backend=backend), "gru", quiet)
    assert not Path("runs").exists()
    train(experiment("gru"), "gru", quiet)
    for use in (
        lambda: evaluate(Path("runs/gru"), backend=backend),
        lambda: prepare(Path("runs/gru"), load_registry(None).spec(backend)),
    ):
        with pytest.raises(ConfigurationError, match="kind gru has no circuit") as caught:
            use()
        assert "\n" not in str(caught.value)
    assert not (Path("runs/gru") / "evaluations.jsonl").exists()


def test_a_run_of_another_baseline_is_not_resumed(experiment, quiet):
    train(experiment("gru"), "gru", quiet, out=Path("run"))
    with pytest.raises(ConfigurationError, match=r"started with model\.kind = gru, not lstm"):
        train(experiment("lstm"), "gru", quiet, out=Path("run"), resume=True)
    assert RunFolder.open(Path("run")).experiment().model.kind == "gru"
