"""Evaluation: the same weights on other backends, and folders that are not what they should be."""

import json
import shutil
from pathlib import Path

import pytest

from qlam_qiskit.errors import ConfigurationError, RunError
from qlam_qiskit.evaluation.evaluate import evaluate
from qlam_qiskit.training import load_experiment, train


@pytest.fixture
def run(small_experiment, quiet):
    train(load_experiment(small_experiment), "small", quiet)
    return Path("runs/small")


def test_the_exact_engine_and_exact_aer_agree(run):
    exact, aer = evaluate(run), evaluate(run, backend="aer", limit=40)
    assert exact["accuracy"] == json.loads((run / "result.json").read_text())["test_accuracy"]
    assert (exact["samples"], exact["shots"], exact["backend"]) == (120, None, "exact")
    assert aer["loss"] == pytest.approx(evaluate(run, limit=40)["loss"], rel=1e-4)


def test_shots_agree_within_sampling_error_and_the_seed_fixes_them(run):
    one, same, other = (evaluate(run, backend="aer_shots", shots=2000, limit=60, seed=s) for s in (1, 1, 2))
    assert one["loss"] == same["loss"] != other["loss"]
    assert one["shots"] == 2000
    assert abs(one["accuracy"] - evaluate(run, limit=60)["accuracy"]) < 0.1


def test_evaluations_are_kept(run):
    evaluate(run, limit=10)
    rows = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    assert [row["samples"] for row in rows] == [10]


def test_an_outcome_that_cannot_be_kept_is_returned_all_the_same(run):
    (run / "evaluations.jsonl").mkdir()
    said = []
    assert evaluate(run, limit=10, report=said.append)["samples"] == 10
    assert said == ["not kept: runs/small/evaluations.jsonl: cannot be written: it is a folder"]


def test_a_run_is_found_by_its_name(run):
    assert evaluate(Path("small"), limit=5)["samples"] == 5


def test_shots_of_an_exact_backend_are_drawn_from_its_probabilities(run):
    first, again, other = (evaluate(run, shots=100, seed=seed) for seed in (1, 1, 2))
    assert first["shots"] == 100
    assert first["loss"] == again["loss"] != other["loss"]


def test_an_unknown_backend_lists_the_known_ones(run):
    with pytest.raises(ConfigurationError, match="aer_shots"):
        evaluate(run, backend="qpu")


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"not a run folder \(it has no experiment.yaml\)"):
        evaluate(tmp_path)


def test_a_run_folder_of_another_model_is_refused(run):
    text = (run / "experiment.yaml").read_text()
    (run / "experiment.yaml").write_text(text.replace("qubits: 3", "qubits: 2"))
    with pytest.raises(RunError, match="a run of another model: its qubits was 3, its experiment now gives 2"):
        evaluate(run)


def test_weights_of_another_model_are_refused(run, small_experiment, quiet):
    train(load_experiment(small_experiment, ("model.registers=2",)), "two", quiet)
    shutil.copy("runs/two/checkpoints/best.safetensors", run / "checkpoints" / "best.safetensors")
    with pytest.raises(RunError, match="the weights of another model"):
        evaluate(run)


@pytest.mark.parametrize("name", ["experiment.yaml", "run.json", "circuits.qpy", "checkpoints/best.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"{"])
def test_a_damaged_file_is_one_line(run, name, content):
    (run / name).write_bytes(content)
    with pytest.raises(RunError) as caught:
        evaluate(run)
    assert name.split("/")[-1] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_that_has_no_weights_yet_is_refused(run):
    (run / "checkpoints" / "best.safetensors").unlink()
    with pytest.raises(RunError, match="no such checkpoint"):
        evaluate(run)
