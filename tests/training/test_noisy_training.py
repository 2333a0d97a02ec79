"""Training with noise and normalized readouts: the same bits after resuming, validation without noise, any backend."""

from pathlib import Path

import pytest
import torch
from small_data import write_small_data

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.evaluation.evaluate import evaluate, evaluate_submission
from qlam_qiskit.jobs import Ledger, show
from qlam_qiskit.runs.checkpoint import load_checkpoint
from qlam_qiskit.training import Interrupted, RunFolder, load_experiment, train

NOISE = ("model.noise.pauli=0.05", "model.noise.shots=100", "model.readout.normalize=batch")
REGISTRY = """
default: exact
backends:
  exact: {kind: exact}
  aer: {kind: aer}
  aer_shots: {kind: aer, shots: 1000}
  device: {kind: fake, name: FakeManilaV2, shots: 500}
"""


def tensors(folder, name="last"):
    return load_checkpoint(getattr(folder, name)).tensors


@pytest.mark.parametrize("source", ["model.noise.pauli=0.05", "model.noise.device=FakeManilaV2"])
def test_resuming_with_noise_gives_the_same_bits(small_experiment, quiet, source):
    experiment = load_experiment(small_experiment, ("training.epochs=2", *NOISE[1:], source))
    whole, result = train(experiment, "small", quiet, out=Path("whole"))
    for stop_after in (1, quiet.steps // 2 + 1):
        taken = 0

        def enough(stop_after=stop_after):
            nonlocal taken
            taken += 1
            return taken == stop_after

        out = Path(f"stopped-{stop_after}")
        with pytest.raises(Interrupted):
            train(experiment, "small", quiet, out=out, should_stop=enough)
        resumed, again = train(experiment, "small", quiet, out=out, resume=True)
        for name in ("last", "best"):
            one, other = tensors(whole, name), tensors(resumed, name)
            assert all(torch.equal(one[key], other[key]) for key in one | other)
        assert again["test_loss"] == result["test_loss"]


def test_no_probability_trains_to_the_same_bits(small_experiment, quiet):
    plain, _ = train(load_experiment(small_experiment), "small", quiet)
    silent, _ = train(load_experiment(small_experiment, ("model.noise.pauli=0.0",)), "small", quiet)
    one, other = tensors(plain), tensors(silent)
    assert other.keys() - one.keys() == {"model/layers.0.pauli_noise.probability"}
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_noise_disturbs_training_and_neither_validation_nor_test(small_experiment, quiet):
    folder, result = train(load_experiment(small_experiment, (*NOISE, "model.noise.pauli=0.5")), "small", quiet)
    epoch = folder.metrics()[result["best_epoch"] - 1]
    assert epoch["train_accuracy"] < epoch["validation_accuracy"]
    assert evaluate(folder.path, part="validation")["accuracy"] == pytest.approx(epoch["validation_accuracy"])
    assert evaluate(folder.path)["loss"] == pytest.approx(result["test_loss"], rel=1e-5)


def test_a_normalizing_model_is_evaluated_on_every_backend(small_experiment, quiet):
    Path("backends.yaml").write_text(REGISTRY)
    folder, result = train(load_experiment(small_experiment, NOISE), "small", quiet)
    assert result["test_accuracy"] > 0.9
    exact, aer = evaluate(folder.path), evaluate(folder.path, backend="aer")
    # The statistics of the training samples, and of the test samples.
    assert aer["loss"] == pytest.approx(exact["loss"], rel=0.2)
    assert aer["loss"] != exact["loss"]
    drawn = evaluate(folder.path, backend="aer_shots")
    assert drawn["loss"] == pytest.approx(aer["loss"], rel=0.2)
    device = evaluate(folder.path, backend="device", limit=60)
    assert device["accuracy"] > 0.8
    assert evaluate_submission(folder.path, device["submission"])["loss"] == device["loss"]
    assert evaluate_submission(folder.path, device["submission"], mitigate=True)["loss"] != device["loss"]
    assert evaluate(folder.path, limit=1)["samples"] == 1
    for backend in ("aer", "device"):
        with pytest.raises(ConfigurationError, match="at least 32 of them, not 31"):
            evaluate(folder.path, backend=backend, limit=31)
    with Ledger() as ledger:
        assert len(show(ledger)) == 1


def test_noise_for_a_template_that_has_none_leaves_no_run_behind(small_experiment, quiet):
    experiment = load_experiment(small_experiment, (*NOISE, "model.circuit.template=reuploading"))
    with pytest.raises(ConfigurationError, match="no Pauli errors for this template"):
        train(experiment, "small", quiet)
    assert not Path("runs").exists()


def test_noise_on_aer_trains_with_the_exact_gradient(small_experiment, quiet):
    """The noisy forward pass of a device's calibration, with the adjoint gradient of the ideal circuit."""
    Path("backends.yaml").write_text("default: here\nbackends:\n  here: {kind: aer, noise: FakeManilaV2, shots: 300}\n")
    write_small_data("small.npz", samples=60)
    changes = ("training.epochs=2", "training.validation_fraction=0.0", "training.circuit_rate=0.05")
    folder, result = train(load_experiment(small_experiment, changes), "small", quiet)
    rows = RunFolder.open(folder.path).metrics()
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert result["test_accuracy"] > 0.7
