"""A memory that forgets on devices: planned, judged by its contrast, sent through the ledger, scored."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from qiskit_ibm_runtime.fake_provider import FakeTorino

from qlam_qiskit.backends import load_registry
from qlam_qiskit.cli import qlam
from qlam_qiskit.engine import make_engine
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.evaluation.evaluate import evaluate, evaluate_submission
from qlam_qiskit.evaluation.on_device import collect, prepare, send
from qlam_qiskit.jobs import Ledger, files, show
from qlam_qiskit.model.sampling import engine_arguments
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.planning.device_noise import noisy_memory
from qlam_qiskit.runs.saved_run import SavedRun
from qlam_qiskit.training import load_experiment, train

REGISTRY = """
default: exact
backends:
  exact: {kind: exact}
  exact_torino: {kind: exact, noise: FakeTorino}
  torino: {kind: fake, name: FakeTorino, shots: 2000}
  strict: {kind: fake, name: FakeTorino, shots: 2000, min_contrast: 1.5, min_fidelity: 1.0}
  service: {kind: ibm, name: ibm_boston, shots: 1000, min_contrast: 0.2}
"""


@pytest.fixture
def trained(small_experiment, quiet):
    """Give a function that trains a memory that forgets, read in some way."""
    Path("backends.yaml").write_text(REGISTRY)

    def trainer(**readout):
        experiment = load_experiment(small_experiment).model_dump(mode="json", exclude_none=True)
        experiment["model"]["circuit"] = {"template": "damped_line", "qubits": 2}
        experiment["model"]["readout"] = readout
        Path(small_experiment).write_text(dump_yaml(experiment))
        train(load_experiment(small_experiment), "small", quiet)
        return Path("runs/small")

    return trainer


@pytest.fixture
def run(trained):
    return trained(kind="probabilities", times=2)


def submissions():
    with Ledger() as ledger:
        return show(ledger)


def measured(run, submission):
    with Ledger() as ledger:
        return collect(run, submission, ledger)


def exact_readouts(run, samples, chain=None):
    """Return what the exact engine reads of the run's first test samples, with the errors of a chain of FakeTorino."""
    saved = SavedRun.open(run)
    tokens = torch.from_numpy(saved.part("test", samples).tokens(slice(None)))
    (layer,) = saved.qlam().layers
    network = layer.memory.neural_network
    memory, emissions = network.memory, network.readout.kind == "emissions"
    if chain is not None:
        memory = noisy_memory(memory, FakeTorino(), chain, emissions=emissions)
    options = {"emissions": True} if emissions else {}
    probabilities, tape = make_engine(memory, precision="float64").forward(
        *engine_arguments(layer, tokens), readout_steps=list(layer.readout_steps), **options
    )
    if emissions:
        return tape.emissions.reshape(samples, len(layer.readout_steps), -1)
    return network.readout.from_probabilities(probabilities).reshape(samples, len(layer.readout_steps), -1)


def scatter_of_emissions(expected):
    """Bound the standard deviation of means over steps of 2,000 shots, whatever bits of one shot have in common."""
    return np.sqrt(np.maximum(expected, 1e-3) / 2000)


def test_a_fake_device_runs_it_and_agrees_with_the_exact_engine_up_to_its_noise(run):
    result = evaluate(run, backend="torino", limit=12)
    assert result["samples"] == 12
    (submission,) = submissions()
    read = measured(run, submission.id).readouts.numpy()
    # 2,000 shots of probabilities p scatter 4 p - 1 by 4 sqrt(p (1 - p) / 2000) at most, which is 0.045.
    scatter = 4 * np.sqrt(0.25 / 2000)
    tiles = [tile for job in submission.details["placement"]["jobs"] for tiles in job for tile in tiles]
    for tile in tiles[:3]:
        rows = slice(tile["start"], tile["start"] + tile["rows"])
        expected = exact_readouts(run, 12, tile["chain"])[rows, tile["pub"]]
        assert np.abs(read[rows, tile["pub"]] - expected).max() < 5 * scatter
    assert np.abs(read - exact_readouts(run, 12)).max() > 5 * scatter
    mitigated = evaluate_submission(run, submission.id, mitigate=True)
    assert mitigated["loss"] != result["loss"]


def test_what_ancillas_emit_takes_one_circuit_and_agrees_with_the_exact_engine(trained):
    run = trained(kind="emissions", times=2)
    result = evaluate(run, backend="torino", limit=12)
    (submission,) = submissions()
    placement = submission.details["placement"]
    registers = SavedRun.open(run).qlam().layers[0].registers
    assert placement["shapes"] == [[12]] * registers
    read = measured(run, submission.id).readouts.numpy()
    assert read.shape == (12, 2, registers)
    tiles = [tile for job in placement["jobs"] for tiles in job for tile in tiles]
    for tile in tiles:
        rows = slice(tile["start"], tile["start"] + tile["rows"])
        expected = exact_readouts(run, 12, tile["chain"])[rows, :, tile["pub"]]
        assert np.abs((read[rows, :, tile["pub"]] - expected) / scatter_of_emissions(expected)).max() < 5
    ideal = exact_readouts(run, 12)
    assert np.abs((read - ideal) / scatter_of_emissions(ideal)).max() > 10
    assert submission.details["plan"]["contrast"]["mean"] > 0.3
    assert evaluate_submission(run, submission.id)["accuracy"] == result["accuracy"]
    for mitigate in (
        lambda: evaluate_submission(run, submission.id, mitigate=True),
        lambda: evaluate(run, backend="torino", limit=12, mitigate=True),
    ):
        with pytest.raises(ConfigurationError, match=r"--mitigate: .* this model reads emissions"):
            mitigate()
    assert len(submissions()) == 1


def test_means_over_the_memorys_own_qubits_take_a_circuit_for_each_step(trained):
    run = trained(kind="z_strings", pooling="mean", times=2)
    prepared = prepare(run, load_registry().spec("torino"), limit=3)
    layer = SavedRun.open(run).qlam().layers[0]
    steps = layer.readout_steps[-1] + 1
    assert prepared.circuits_per_sample == steps * layer.registers
    assert prepared.plan.contrast.mean > 0.3
    said = CliRunner().invoke(qlam, ["estimate", "runs/small", "--backend", "torino", "--limit", "3"])
    assert f"{steps * layer.registers} for each sample" in said.output
    assert f"a mean over steps takes one for each of {steps}" in said.output


def test_its_verdict_is_the_contrast_and_no_product_of_fidelities(run):
    prepared = prepare(run, load_registry().spec("torino"), limit=5)
    contrast = prepared.plan.contrast
    assert 0.6 < contrast.worst <= contrast.mean <= contrast.best < 1.05
    assert contrast.shots > 1
    assert "contrast" in str(prepared) and "fidelity" not in str(prepared)
    assert prepared.plan.to_json()["contrast"]["mean"] == contrast.mean
    refusal = r"not sent: the predicted contrast 0\.\d+ is under min_contrast 1.5 \(fewer gates .* more of it\); --yes"
    with pytest.raises(QlamError, match=refusal):
        evaluate(run, backend="strict", limit=5)
    assert submissions() == []
    strict = prepare(run, load_registry().spec("strict"), limit=5)
    assert not any("fidelity" in reason for reason in strict.plan.reasons)
    with Ledger() as ledger:
        assert send(strict, ledger, anyway=True).complete


def test_an_estimate_says_it_in_words_and_as_json(run):
    said = CliRunner().invoke(qlam, ["estimate", "runs/small", "--backend", "torino", "--limit", "5"])
    assert said.exit_code == 0, said.output
    lines = dict(line.split(maxsplit=1) for line in said.output.splitlines())
    assert "of what it is without errors" in lines["contrast"]
    assert "2,000 are asked for" in lines["shots"]
    assert lines["verdict"].startswith("fits")
    assert "fidelity" not in lines
    told = CliRunner().invoke(qlam, ["estimate", "runs/small", "--backend", "strict", "--limit", "5", "--json"])
    assert told.exit_code == 1
    plan = json.loads(told.output)
    assert plan["fits"] is False and plan["contrast"]["mean"] < 1.5 and "min_contrast" in plan["reasons"][0]


def test_the_service_measures_ancillas_in_the_devices_faster_forms(trained, server):
    run = trained(kind="emissions", times=2)
    server.state.devices = ("ibm_boston",)
    evaluate(run, backend="service", limit=6)
    (submission,) = submissions()
    pubs = files.read_inputs(Ledger().home, submission.id, 0)
    assert {"measure_2", "reset_2"} <= pubs[0].circuit.count_ops().keys()
    assert not {"measure", "reset"} & pubs[0].circuit.count_ops().keys()
    read, ideal = measured(run, submission.id).readouts.numpy(), exact_readouts(run, 6)
    assert np.abs((read - ideal) / scatter_of_emissions(ideal)).max() < 5 * np.sqrt(2)


def test_the_service_runs_it_in_the_devices_faster_forms(run, server):
    server.state.devices = ("ibm_boston",)
    result = evaluate(run, backend="service", limit=6)
    (submission,) = submissions()
    read = measured(run, submission.id).readouts.numpy()
    ideal = exact_readouts(run, 6)
    # Without noise there, 1,000 shots of probabilities p scatter 4 p - 1 by 4 sqrt(p (1 - p) / 1000).
    spread = 4 * np.sqrt(0.25 / 1000)
    assert np.abs(read - ideal).max() < 5 * spread
    assert result["samples"] == 6
