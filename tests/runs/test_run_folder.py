"""A run's folder through kills, full disks, damage, and two processes at once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from qlam_qiskit.errors import ConfigurationError, QlamError, RunError
from qlam_qiskit.runs import run_folder
from qlam_qiskit.runs.checkpoint import load_checkpoint
from qlam_qiskit.training import Interrupted, RunFolder, load_experiment, train

OVERRIDES = ("training.epochs=3", "data.train_limit=60", "data.test_limit=20")


def begin(small_experiment, quiet, out=None, **options):
    return train(load_experiment(small_experiment, OVERRIDES), "small", quiet, out=out and Path(out), **options)


def stop_after(steps):
    taken = 0

    def enough():
        nonlocal taken
        taken += 1
        return taken == steps

    return enough


def interrupted(small_experiment, quiet, out, steps):
    """Begin a run of 3 epochs of 3 steps, of which the last checkpoints are those of the epochs and of the stop."""
    with pytest.raises(Interrupted):
        begin(small_experiment, quiet, out, should_stop=stop_after(steps))
    return RunFolder(Path(out))


def assert_same(one, other):
    a, b = load_checkpoint(one.best), load_checkpoint(other.best)
    assert all(torch.equal(a.tensors[key], b.tensors[key]) for key in a.tensors)
    losses = [[(row["epoch"], row["train_loss"]) for row in folder.metrics()] for folder in (one, other)]
    assert losses[0] == losses[1]
    assert one.result()["test_loss"] == other.result()["test_loss"]


@pytest.mark.parametrize("left", [[], ["checkpoints/"], ["checkpoints/", ".lock", ".experiment.yaml.x7f"]])
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("out", ["out", None])
def test_a_run_killed_while_its_folder_was_made_begins_again(small_experiment, quiet, left, resume, out):
    path = Path(out or "runs/small")
    path.mkdir(parents=True)
    for name in left:
        (path / name).mkdir() if name.endswith("/") else (path / name).touch()
    folder, result = begin(small_experiment, quiet, out, resume=resume)
    assert folder.path == path
    assert result["epochs"] == len(folder.metrics()) == 3
    assert not list(path.rglob(".experiment*"))


def test_a_full_disk_while_the_folder_is_made_is_one_line_and_begins_again(small_experiment, quiet, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(run_folder, "write_atomically", full)
        with pytest.raises(QlamError, match="cannot be written: No space left on device"):
            begin(small_experiment, quiet, "out")
    assert begin(small_experiment, quiet, "out", resume=True)[1]["epochs"] == 3


def test_a_disk_that_fills_up_later_is_one_line_and_continues(small_experiment, quiet, monkeypatch):
    whole, _ = begin(small_experiment, quiet, "whole")
    written, real = [], os.fsync

    def fill(descriptor):
        written.append(descriptor)
        if len(written) > 6:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fill)
        with pytest.raises(QlamError, match="cannot be written: No space left on device"):
            begin(small_experiment, quiet, "out")
    folder, _ = begin(small_experiment, quiet, "out", resume=True)
    assert_same(whole, folder)


def test_a_folder_with_anything_else_in_it_is_not_touched(small_experiment, quiet):
    for name in ("thesis.txt", "checkpoints/best.safetensors"):
        path = Path("taken", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        with pytest.raises(ConfigurationError, match="already exists"):
            begin(small_experiment, quiet, "taken")
        with pytest.raises(RunError, match="not a run folder"):
            begin(small_experiment, quiet, "taken", resume=True)
        assert path.read_text() == "mine"
        path.unlink()
    with pytest.raises(RunError, match="absent: no such run"):
        begin(small_experiment, quiet, "absent", resume=True)
    Path("file").touch()
    with pytest.raises(ConfigurationError, match="file: already exists"):
        begin(small_experiment, quiet, "file")


def test_two_processes_do_not_train_one_run_and_a_dead_one_does_not_count(small_experiment, quiet, run):
    settings = ["training.epochs=5000", "training.checkpoint_seconds=0.01"]
    arguments = ["train", small_experiment, "--out", "out", *(part for text in settings for part in ("--set", text))]
    process = subprocess.Popen([sys.executable, "-m", "qlam_qiskit", *arguments], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 900
        while not Path("out/checkpoints/best.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        status, out, err = run(*arguments, "--resume")
        assert (status, out) == (1, "")
        assert err == "Error: out: another process is training this run; wait for it, or stop it\n"
        status, _, err = run(*arguments)
        assert (status, "already exists" in err) == (2, True)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    folder = RunFolder(Path("out"))
    # It may have died between two checkpoints, when the last one had just become the one before.
    newest = folder.last if folder.last.exists() else folder.previous
    progress = load_checkpoint(newest).state["progress"]
    # Or between the last step of an epoch (96 samples, 16 a batch) and its end: resuming then ends that epoch.
    epochs = progress["epoch"] + (progress["batch"] == 6)
    with pytest.raises(Interrupted):
        experiment = load_experiment(small_experiment, tuple(settings))
        train(experiment, "small", quiet, out=Path("out"), resume=True, should_stop=lambda: True)
    assert [row["epoch"] for row in RunFolder(Path("out")).metrics()] == list(range(1, epochs + 1))


def test_what_a_killed_process_was_writing_is_swept(small_experiment, quiet):
    folder = interrupted(small_experiment, quiet, "out", 5)
    strays = [".experiment.yaml.a1", ".run.json.b2", ".metrics.jsonl.c3", ".circuits.qpy.d4", ".result.json.e5"]
    strays += [f"checkpoints/.{name}.safetensors.f6" for name in ("last", "previous", "best")]
    for name in strays:
        (folder.path / name).write_bytes(b"half")
    (folder.path / ".notes").touch()
    begin(small_experiment, quiet, "out", resume=True)
    left = sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file())
    assert left == [
        ".lock", ".notes", "checkpoints/best.safetensors", "checkpoints/last.safetensors", "circuits.qpy",
        "experiment.yaml", "metrics.jsonl", "result.json", "run.json",
    ]  # fmt: skip


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("steps", [1, 4, 7])
@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(small_experiment, quiet, damage, steps):
    whole, _ = begin(small_experiment, quiet, "whole")
    folder = interrupted(small_experiment, quiet, "out", steps)
    damage(folder.last)
    said = []
    begin(small_experiment, quiet, "out", resume=True, say=said.append)
    assert_same(whole, folder)
    if damage is cut:
        (line,) = said
        expected = "continued from the checkpoint before it" if steps > 1 else "training starts from the beginning"
        assert line.startswith("out/checkpoints/last.safetensors: the checkpoint is damaged")
        assert expected in line


def test_where_only_the_best_weights_are_sound_they_are_continued_and_it_is_said(small_experiment, quiet):
    folder = interrupted(small_experiment, quiet, "out", 8)
    cut(folder.last)
    cut(folder.previous)
    best = load_checkpoint(folder.best)
    said = []
    _, result = begin(small_experiment, quiet, "out", resume=True, say=said.append)
    assert [row["epoch"] for row in folder.metrics()] == [1, 2, 3]
    assert best.state["epoch"] < 3
    assert "other numbers come out than unbroken" in said[0]
    assert result["validation_accuracy"] >= best.state["validation_accuracy"]


def test_a_record_that_was_cut_hides_no_other(tmp_path):
    folder = RunFolder(tmp_path)
    evaluation = {"accuracy": 0.5, "backend": "exact", "shots": None}
    for name, read, key, rest in (
        ("evaluations.jsonl", folder.evaluations, "samples", evaluation),
        ("metrics.jsonl", folder.metrics, "epoch", {"train_loss": 0.1, "train_accuracy": 0.5}),
    ):
        rows = [json.dumps({key: number, **rest}).encode() for number in range(1, 4)]
        (tmp_path / name).write_bytes(rows[0] + b"\n" + rows[1][:15])
        folder.append(name, {key: 3, **rest})
        folder.append(name, {key: 4, **rest})
        assert [row[key] for row in read()] == [1, 3, 4]
        (tmp_path / name).write_bytes(rows[0] + b"\n\xff\xfe\x00{\n" + rows[2])
        assert [row[key] for row in read()] == [1, 3]


REGISTRY = (
    "default: {default}\nbackends:\n  exact: {{kind: exact, precision: {precision}}}\n  here: {{kind: aer, {aer}}}\n"
)


def registry(default="here", precision="float32", aer="shots: 64, noise: FakeManilaV2"):
    Path("backends.yaml").write_text(REGISTRY.format(default=default, precision=precision, aer=aer))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ({}, {"default": "exact"}, "started on backend 'here' with name = here, not exact"),
        ({}, {"aer": "shots: 65, noise: FakeManilaV2"}, "with shots = 64, not 65"),
        ({}, {"aer": "shots: 64, noise: FakeLimaV2"}, "with noise = FakeManilaV2, not FakeLimaV2"),
        ({}, {"aer": "shots: 64"}, "with noise = FakeManilaV2, not None"),
        ({"default": "exact"}, {"default": "exact", "precision": "float64"}, "with precision = float32, not float64"),
    ],
)
def test_a_run_is_not_continued_on_another_backend(small_experiment, quiet, before, after, message):
    registry(**before)
    experiment = load_experiment(small_experiment, ("data.train_limit=12", "data.test_limit=4"))
    with pytest.raises(Interrupted):
        train(experiment, "small", quiet, should_stop=lambda: True)
    registry(**after)
    with pytest.raises(ConfigurationError) as caught:
        train(experiment, "small", quiet, resume=True)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_goes_on_with_another_number_of_threads(small_experiment, quiet):
    Path("backends.yaml").write_text("default: exact\nbackends:\n  exact: {kind: exact, threads: 1}\n")
    interrupted(small_experiment, quiet, "out", 2)
    Path("backends.yaml").write_text("default: exact\nbackends:\n  exact: {kind: exact, threads: 2}\n")
    assert begin(small_experiment, quiet, "out", resume=True)[1]["epochs"] == 3


def test_the_whole_backend_is_described(small_experiment, quiet):
    folder, _ = begin(small_experiment, quiet)
    described = json.loads((folder.path / "run.json").read_text())
    assert described["backend"] == "exact"
    expected = {"kind": "exact", "precision": "float32", "device": "cpu", "gradient": "adjoint", "seed": None}
    expected |= {"noise": None, "shots": None}
    assert described["backend_settings"] == expected
