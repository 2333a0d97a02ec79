"""Training with noise and normalized readouts: the same bits after resuming, validation with the noise, any backend."""

from pathlib import Path

import pytest
import torch
from small_data import write_small_data

from qlam_qiskit.backends import make_spec
from qlam_qiskit.backends.devices import fake_device
from qlam_qiskit.errors import ConfigurationError, QlamError, RunError
from qlam_qiskit.evaluation.evaluate import evaluate, evaluate_submission, measure
from qlam_qiskit.jobs import Ledger, show
from qlam_qiskit.runs import SavedRun
from qlam_qiskit.runs.checkpoint import load_checkpoint
from qlam_qiskit.training import Interrupted, RunFolder, load_experiment, train
from qlam_qiskit.training.distributed import Ranks
from qlam_qiskit.training.running import _divided

NOISE = ("model.noise.pauli=0.05", "model.noise.shots=100", "model.readout.normalize=batch")
REGISTRY = """
default: exact
backends:
  exact: {kind: exact}
  aer: {kind: aer}
  aer_shots: {kind: aer, shots: 1000}
  device: {kind: fake, name: FakeManilaV2, shots: 500}
  noisy: {kind: exact, noise: FakeManilaV2, precision: float64}
  drawn: {kind: exact, noise: FakeManilaV2, shots: 200}
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


def test_a_run_keeps_the_errors_that_it_began_with(small_experiment, quiet, monkeypatch):
    """What is installed when it is resumed, or evaluated, may be another calibration."""
    experiment = load_experiment(small_experiment, ("training.epochs=2", "model.noise.device=FakeManilaV2"))
    whole, result = train(experiment, "small", quiet, out=Path("whole"))
    with pytest.raises(Interrupted):
        train(experiment, "small", quiet, out=Path("stopped"), should_stop=lambda: True)
    kept = Path("stopped/noisy_circuits.qpy").read_bytes()
    monkeypatch.setattr("qlam_qiskit.model.noise.fake_device", lambda name: fake_device("FakeBogotaV2"))
    resumed, again = train(experiment, "small", quiet, out=Path("stopped"), resume=True)
    one, other = tensors(whole), tensors(resumed)
    assert all(torch.equal(one[key], other[key]) for key in one | other)
    assert again["test_loss"] == result["test_loss"]
    assert Path("stopped/noisy_circuits.qpy").read_bytes() == kept
    _, different = train(experiment, "small", quiet, out=Path("recalibrated"))
    assert different["test_loss"] != result["test_loss"]
    Path("recalibrated/noisy_circuits.qpy").write_bytes(kept)
    Path("recalibrated/result.json").unlink()
    with pytest.raises(RunError, match=r"noisy_circuits\.qpy: damaged"):
        train(experiment, "small", quiet, out=Path("recalibrated"), resume=True)


def test_a_device_that_does_not_take_the_circuit_leaves_no_run_behind(small_experiment, quiet):
    Path("backends.yaml").write_text(REGISTRY)
    refused = (
        ("model.noise.device=FakeManilla", (), "no fake device 'FakeManilla'"),
        ("model.noise.device=FakeManilaV2", ("model.circuit.qubits=6",), "no chain of 6 working qubits"),
        ("model.noise.device=FakeManilaV2", ("backend=aer",), "train on a backend of kind exact"),
    )
    for source, others, message in refused:
        with pytest.raises(QlamError, match=message):
            train(load_experiment(small_experiment, (source, *others)), "small", quiet)
    assert not Path("runs").exists()


def test_a_damped_memory_is_evaluated_on_the_exact_noise_of_a_device(small_experiment, quiet, run):
    """Drawn readouts scatter about those of the noise itself, and repeat with a seed."""
    Path("backends.yaml").write_text(REGISTRY)
    changes = ("model.circuit.template=damped_line", "model.readout.kind=z_strings", "model.readout.times=2")
    device = "model.noise.device=FakeManilaV2"
    folder, result = train(load_experiment(small_experiment, (*changes, device, *NOISE[1:])), "small", quiet)
    assert result["test_accuracy"] > 0.9
    exact, mean = (measure(folder.path, backend=name, limit=100) for name in ("exact", "noisy"))
    drawn = torch.stack([measure(folder.path, backend="drawn", limit=100, seed=k).readouts for k in range(12)])
    deviation = ((1 - mean.readouts**2) / 200).sqrt()
    assert (mean.readouts - exact.readouts).abs().max() > 0.02
    z = (drawn.mean(0) - mean.readouts) / deviation * 12**0.5
    assert z.abs().max() < 5
    assert z.std() == pytest.approx(1, abs=0.15)
    assert (drawn.var(0) / deviation**2).mean() == pytest.approx(1, abs=0.1)
    assert torch.equal(drawn[3], measure(folder.path, backend="drawn", limit=100, seed=3).readouts)
    found = {name: evaluate(folder.path, backend=name)["accuracy"] for name in ("noisy", "drawn")}
    assert found["drawn"] == pytest.approx(found["noisy"], abs=0.05)
    assert found["noisy"] > 0.9
    fewer = evaluate(folder.path, backend="drawn", shots=50)
    assert fewer["shots"] == 50
    with pytest.raises(ConfigurationError, match="at least 16 of them, not 15"):
        evaluate(folder.path, backend="noisy", limit=15)
    status, shown, _ = run("backends", "show", "drawn")
    assert status == 0
    assert "FakeManilaV2" in shown
    assert "200" in shown
    status, line, _ = run("evaluate", folder.path, "--backend", "drawn", "--shots", 60, "--limit", 40, "--json")
    assert status == 0
    assert '"shots": 60' in line


def test_no_probability_trains_to_the_same_bits(small_experiment, quiet):
    plain, _ = train(load_experiment(small_experiment), "small", quiet)
    silent, _ = train(load_experiment(small_experiment, ("model.noise.pauli=0.0",)), "small", quiet)
    one, other = tensors(plain), tensors(silent)
    assert all(torch.equal(one[key], other[key]) for key in one | other)


@pytest.mark.parametrize("source", ["model.noise.pauli=0.1", "model.noise.device=FakeManilaV2"])
def test_a_run_is_validated_and_tested_with_the_noise_of_its_training(small_experiment, quiet, run, source):
    """The same draws each time; what is named is evaluated on its own noise alone."""
    changes = (source, "model.noise.shots=20", "model.readout.normalize=batch", "training.epochs=2")
    folder, result = train(load_experiment(small_experiment, changes), "small", quiet)
    epoch = folder.metrics()[result["best_epoch"] - 1]
    noise = result["test_noise"]
    assert noise.endswith(", 20 shots")
    assert epoch["validation_noise"] == noise
    again = evaluate(folder.path)
    assert again["loss"] == pytest.approx(result["test_loss"], rel=1e-5)
    assert again["accuracy"] == result["test_accuracy"]
    assert (again["noise"], again["shots"]) == (noise, 20)
    assert evaluate(folder.path, part="validation")["loss"] == pytest.approx(epoch["validation_loss"], rel=1e-5)
    assert evaluate(folder.path, seed=1)["loss"] != again["loss"]
    clean = evaluate(folder.path, backend="exact")
    assert clean["accuracy"] == pytest.approx(result["clean_test_accuracy"])
    assert clean["loss"] < again["loss"]
    assert "noise" not in clean
    predictions = SavedRun.open(folder.path).predict()
    assert predictions.losses.mean() == pytest.approx(result["test_loss"], rel=1e-5)
    _, line, _ = run("evaluate", folder.path)
    assert f"with the noise of its training: {noise}" in line
    _, line, _ = run("runs", "show", folder.path)
    assert f"with {noise}, {result['clean_test_accuracy']:.2%} without noise" in line


def test_a_normalizing_model_is_evaluated_on_every_backend(small_experiment, quiet):
    Path("backends.yaml").write_text(REGISTRY)
    folder, result = train(load_experiment(small_experiment, NOISE), "small", quiet)
    assert result["clean_test_accuracy"] > 0.9
    exact, aer = (evaluate(folder.path, backend=name) for name in ("exact", "aer"))
    assert aer["loss"] == pytest.approx(exact["loss"], rel=1e-4)  # with statistics of the test samples, both
    drawn = evaluate(folder.path, backend="aer_shots")
    assert drawn["loss"] == pytest.approx(aer["loss"], rel=0.2)
    device = evaluate(folder.path, backend="device", limit=60)
    assert device["accuracy"] > 0.8
    assert evaluate_submission(folder.path, device["submission"])["loss"] == device["loss"]
    assert evaluate_submission(folder.path, device["submission"], mitigate=True)["loss"] != device["loss"]
    assert evaluate(folder.path, limit=1)["samples"] == 1
    for backend in ("aer", "device"):
        with pytest.raises(ConfigurationError, match="at least 16 of them, not 15"):
            evaluate(folder.path, backend=backend, limit=15)
    with Ledger() as ledger:
        assert len(show(ledger)) == 1


def test_errors_on_too_many_qubits_leave_no_run_behind(small_experiment, quiet):
    experiment = load_experiment(small_experiment, (*NOISE, "model.circuit.qubits=7"))
    with pytest.raises(QlamError, match="at most 6 qubits, not 7"):
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


def test_ranks_do_not_draw_readouts():
    drawing = make_spec("drawn", {"kind": "exact", "noise": "FakeManilaV2", "shots": 10}, "test")
    with pytest.raises(ConfigurationError, match="backend 'drawn' draws at random, which 2 ranks cannot do"):
        _divided(drawing, Ranks(size=2))
    silent = make_spec("noisy", {"kind": "exact", "noise": "FakeManilaV2"}, "test")
    assert _divided(silent, Ranks(size=2))[0].noise == "FakeManilaV2"
