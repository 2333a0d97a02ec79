"""JSON of run folders and results is checked where it is read: one line names the file and the key."""

import json
from pathlib import Path

import pytest

from qlam_qiskit.compare.records import Records, pack, unpack
from qlam_qiskit.errors import RunError
from qlam_qiskit.runs.records import ComparisonRecord, FinalRecord, append_record, read_json
from qlam_qiskit.runs.run_folder import RunFolder

DESCRIPTION = {
    "task": "digits", "steps": 64, "token_size": 1, "classes": 10, "answers": 1, "qubits": 4,
    "circuit_fingerprint": "ab", "parameters": 12, "backend": "exact", "versions": {"torch": "2"},
}  # fmt: skip
RESULT = {
    "task": "digits", "test_accuracy": 0.5, "test_loss": 1.5, "test_samples": 9, "best_epoch": 1, "epochs": 1,
    "parameters": 12, "train_seconds": 2, "backend": "exact", "seed": 0,
}  # fmt: skip
METRICS = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "seconds": 1}
EVALUATION = {"accuracy": 0.5, "samples": 9, "part": "test", "backend": "aer", "shots": None, "loss": 1.0}
FINAL = {
    "case": "", "model": "qlam", "seed": 0, "multiplier": 1.0, "fingerprint": "ab", "experiment": {}, "task": "digits",
    "parameters": 12, "train_samples": 9, "test_samples": 2, "test_accuracy": 0.5, "validation_accuracy": 0.5,
    "train_seconds": 1.0, "correct": {"shape": [9, 1], "bits": "/4A="},
}  # fmt: skip
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_json("run.json", DESCRIPTION)
    folder.write_json("result.json", RESULT)
    folder.append("metrics.jsonl", METRICS)
    folder.append("evaluations.jsonl", EVALUATION)
    return folder


def test_sound_records_are_handed_on_as_they_are(folder):
    assert folder.description() == DESCRIPTION
    assert folder.result() == RESULT
    assert folder.metrics() == [METRICS]
    assert folder.evaluations() == [EVALUATION]


READERS = {
    "run.json": (RunFolder.description, DESCRIPTION),
    "result.json": (RunFolder.result, RESULT),
    "metrics.jsonl": (RunFolder.metrics, METRICS),
    "evaluations.jsonl": (RunFolder.evaluations, EVALUATION),
}


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("run.json", "steps", "64"),
        ("run.json", "steps", 0),
        ("run.json", "classes", None),
        ("run.json", "task", 3),
        ("run.json", "versions", ["torch"]),
        ("run.json", "refit", "yes"),
        ("result.json", "test_accuracy", "0.5"),
        ("result.json", "test_accuracy", 10.0),
        ("result.json", "test_samples", 10**30),
        ("result.json", "train_seconds", float("nan")),
        ("result.json", "best_epoch", {}),
        ("metrics.jsonl", "epoch", 1.5),
        ("metrics.jsonl", "train_loss", [1]),
        ("metrics.jsonl", "validation_accuracy", "high"),
        ("evaluations.jsonl", "accuracy", True),
        ("evaluations.jsonl", "samples", 0),
        ("evaluations.jsonl", "shots", "many"),
        ("evaluations.jsonl", "part", "all"),
        ("evaluations.jsonl", "backend", None),
    ],
)
def test_a_wrong_value_is_one_line_that_names_file_and_key(folder, name, key, value):
    read, sound = READERS[name]
    (folder.path / name).write_text(json.dumps({**sound, key: value}) + "\n")
    with pytest.raises(RunError) as error:
        read(folder)
    where = f"{folder.path / name}{', line 1' if name.endswith('l') else ''}: damaged: {key}"
    assert str(error.value).startswith(where)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("content", ["[]", "3", "null", '"x"', "[" * 100_000, "{", "", "\0", "1" * 10_000])
@pytest.mark.parametrize("name", ["run.json", "result.json"])
def test_what_is_no_record_is_one_line(folder, name, content):
    (folder.path / name).write_text(content)
    with pytest.raises(RunError, match=f"{name}: damaged: not"):
        READERS[name][0](folder)


def test_bytes_that_are_no_text_and_a_missing_key_are_one_line(folder):
    (folder.path / "run.json").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(RunError, match=r"run\.json: damaged: not JSON"):
        folder.description()
    folder.write_json("run.json", {key: value for key, value in DESCRIPTION.items() if key != "task"})
    with pytest.raises(RunError, match=r"run\.json: damaged: missing key task"):
        folder.description()


def test_each_evaluation_stands_alone(folder):
    path = folder.path / "evaluations.jsonl"
    path.write_bytes(path.read_bytes() + b'{"accuracy": 0.25, "sam')  # a process that was killed while it wrote
    later = {**EVALUATION, "accuracy": 0.75}
    folder.append("evaluations.jsonl", later)
    folder.append("evaluations.jsonl", later)
    assert folder.evaluations() == [EVALUATION, later, later]
    append_record(folder.path / "new.jsonl", later)
    assert (folder.path / "new.jsonl").read_text() == json.dumps(later) + "\n"


def test_epochs_that_differ_in_what_was_measured_are_refused(folder):
    folder.append("metrics.jsonl", {**METRICS, "epoch": 2, "validation_loss": 1.0})
    with pytest.raises(RunError, match=r"metrics\.jsonl: damaged: its lines differ in their keys"):
        folder.metrics()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "0"),
        ("multiplier", 0),
        ("experiment", []),
        ("test_accuracy", None),
        ("correct", {"shape": [10**9, 10**9], "bits": "/4A="}),
        ("correct", {"shape": [9, 1], "bits": "!"}),
        ("correct", {"shape": [9], "bits": "/4A="}),
        ("metrics", {}),
    ],
)
def test_a_wrong_record_of_a_comparison_is_one_line(tmp_path, key, value):
    (tmp_path / "qlam-seed0.json").write_text(json.dumps({**FINAL, key: value}))
    with pytest.raises(RunError, match=rf"qlam-seed0\.json: damaged: {key}"):
        Records(tmp_path).runs()


def test_every_record_that_is_committed_is_sound():
    finals = [path for path in (ROOT / "results").glob("*/*.json") if path.name != "table.json"]
    searches = list((ROOT / "results").glob("*/search/*.json"))
    assert len(finals) > 50
    assert len(searches) > 50
    for path in finals:
        record = read_json(path, FinalRecord)
        assert ("correct" in record) != ("errors" in record)  # of classes the answers, of numbers the errors
        if "correct" in record:
            assert pack(unpack(record["correct"])) == record["correct"]
    for path in searches:
        read_json(path, ComparisonRecord)
