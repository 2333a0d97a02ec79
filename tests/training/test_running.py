"""Training from data to result: reproducible, resumable to the same bits, and leaving nothing half done."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_data import write_small_data

from qlam_qiskit.errors import ConfigurationError, DataError, QlamError, RunError
from qlam_qiskit.runs.checkpoint import load_checkpoint
from qlam_qiskit.training import Interrupted, RunFolder, load_experiment, train


def without_seconds(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def assert_same_run(one: RunFolder, other: RunFolder):
    for name in ("last", "best"):
        a, b = load_checkpoint(getattr(one, name)), load_checkpoint(getattr(other, name))
        assert a.tensors.keys() == b.tensors.keys()
        assert all(torch.equal(a.tensors[key], b.tensors[key]) for key in a.tensors)
    assert without_seconds(one.metrics()) == without_seconds(other.metrics())
    ignored = ("train_seconds",)
    results = [{k: v for k, v in folder.result().items() if k not in ignored} for folder in (one, other)]
    assert results[0] == results[1]


def test_a_run_leaves_its_records(small_experiment, quiet):
    folder, result = train(load_experiment(small_experiment), "small", quiet)
    assert folder.path == Path("runs/small")
    assert result["test_accuracy"] > 0.9
    assert [row["epoch"] for row in folder.metrics()] == [1, 2, 3] == [row["epoch"] for row in quiet.epochs]
    assert folder.result() == result
    assert folder.description()["task"] == result["task"]
    files = {path.suffix for path in folder.path.rglob("*") if path.is_file() and path.name != ".lock"}
    assert files == {".yaml", ".json", ".jsonl", ".qpy", ".safetensors"}


def test_the_seed_fixes_the_result_and_another_changes_it(small_experiment, quiet):
    runs = [train(load_experiment(small_experiment, seed=seed), "small", quiet)[0] for seed in (1, 1, 2)]
    assert [run.path.name for run in runs] == ["small", "small-2", "small-3"]
    assert_same_run(runs[0], runs[1])
    assert without_seconds(runs[0].metrics()) != without_seconds(runs[2].metrics())


@pytest.mark.parametrize("backend", ["exact", "aer_shots"])
def test_stopping_at_any_step_and_resuming_gives_the_same_bits(small_experiment, quiet, backend):
    overrides = ("training.epochs=2", "data.train_limit=40", "data.test_limit=20")
    experiment = load_experiment(small_experiment, overrides, backend=backend)
    whole, _ = train(experiment, "small", quiet, out=Path("whole"))
    steps = quiet.steps
    for stop_after in (1, steps // 2, steps - 1):
        taken = 0

        def enough(stop_after=stop_after):
            nonlocal taken
            taken += 1
            return taken == stop_after

        out = Path(f"stopped-{stop_after}")
        with pytest.raises(Interrupted, match="continue with --resume"):
            train(experiment, "small", quiet, out=out, should_stop=enough)
        assert RunFolder.open(out).result() is None
        resumed, _ = train(experiment, "small", quiet, out=out, resume=True)
        assert_same_run(whole, resumed)


def test_resuming_after_sigkill_gives_the_same_bits(small_experiment, quiet):
    arguments = ["training.epochs=40", "training.checkpoint_seconds=0.01"]
    command = [sys.executable, "-m", "qlam_qiskit", "train", small_experiment, "--out", "killed"]
    command += [part for text in arguments for part in ("--set", text)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = Path("killed/metrics.jsonl")
    deadline = time.monotonic() + 900
    while not (metrics.exists() and len(metrics.read_text().splitlines()) >= 2) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    killed = RunFolder.open(Path("killed"))
    assert killed.result() is None
    experiment = load_experiment(small_experiment, tuple(arguments))
    resumed, _ = train(experiment, "small", quiet, out=Path("killed"), resume=True)
    whole, _ = train(experiment, "small", quiet, out=Path("whole"))
    assert_same_run(whole, resumed)


def test_a_run_killed_before_its_first_checkpoint_is_taken_up(small_experiment, quiet):
    experiment = load_experiment(small_experiment)
    whole, _ = train(experiment, "small", quiet, out=Path("whole"))
    RunFolder.create(experiment, "small", Path("early"))
    early, _ = train(experiment, "small", quiet, out=Path("early"), resume=True)
    assert_same_run(whole, early)


def test_ctrl_c_saves_and_exits_with_one_line(small_experiment):
    command = [sys.executable, "-m", "qlam_qiskit", "train", small_experiment, "--out", "stopped"]
    process = subprocess.Popen([*command, "--set", "training.epochs=5000"], stderr=subprocess.PIPE, text=True)
    while not Path("stopped/metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("Error: interrupted in epoch")
    load_checkpoint(RunFolder.open(Path("stopped")).last)


def test_a_finished_run_is_not_trained_again(small_experiment, quiet):
    _, result = train(load_experiment(small_experiment), "small", quiet)
    steps = quiet.steps
    folder, again = train(load_experiment(small_experiment), "small", quiet, resume=True)
    assert (again, quiet.steps, folder.path.name) == (result, steps, "small")


def test_without_validation_the_last_epoch_is_kept(small_experiment, quiet):
    folder, result = train(load_experiment(small_experiment, ("training.validation_fraction=0.0",)), "small", quiet)
    assert result["best_epoch"] == 3
    assert "validation_accuracy" not in folder.metrics()[0]


def test_a_folder_in_use_is_not_written_to(small_experiment, quiet):
    train(load_experiment(small_experiment), "small", quiet, out=Path("run"))
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    with pytest.raises(ConfigurationError, match="already exists; continue it with --resume"):
        train(load_experiment(small_experiment), "small", quiet, out=Path("run"))
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


def test_resuming_as_another_experiment_is_refused(small_experiment, quiet):
    train(load_experiment(small_experiment), "small", quiet)
    changed = load_experiment(small_experiment, ("model.registers=2",))
    with pytest.raises(ConfigurationError, match=r"started with model\.registers = 1, not 2"):
        train(changed, "small", quiet, resume=True)


def test_resuming_what_never_started_is_refused(small_experiment, quiet):
    with pytest.raises(RunError, match="no run of 'small' to resume"):
        train(load_experiment(small_experiment), "small", quiet, resume=True)


def test_a_loss_that_is_not_finite_stops_training_and_says_what_to_lower(small_experiment, quiet):
    experiment = load_experiment(small_experiment, ("training.head_rate=1e38", "training.circuit_rate=1e30"))
    with pytest.raises(QlamError, match=r"the loss is .* lower"):
        train(experiment, "small", quiet)


@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
def test_data_that_are_not_finite_leave_no_run_behind(small_experiment, quiet, spoil):
    write_small_data("small.npz", spoil=spoil)
    with pytest.raises(DataError, match="small"):
        train(load_experiment(small_experiment), "small", quiet)
    assert not Path("runs").exists()


def test_metrics_are_json_lines(small_experiment, quiet):
    folder, _ = train(load_experiment(small_experiment), "small", quiet)
    rows = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    assert set(rows[0]) == {
        "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds",
    }  # fmt: skip


@pytest.mark.parametrize("gradient", ["adjoint", "param_shift", "spsa"])
def test_every_gradient_trains_on_aer(small_experiment, quiet, gradient):
    Path("backends.yaml").write_text(f"default: here\nbackends:\n  here: {{kind: aer, gradient: {gradient}}}\n")
    overrides = (
        "training.epochs=3", "data.train_limit=60", "data.test_limit=60", "training.validation_fraction=0.0",
        "training.circuit_rate=0.05", "training.head_rate=0.05",
    )  # fmt: skip
    folder, result = train(load_experiment(small_experiment, overrides), "small", quiet)
    rows = folder.metrics()
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert result["test_accuracy"] > 0.8
