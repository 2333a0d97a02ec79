"""Two processes train as one: the same curve, one set of files, one voice, and nothing lost when one is killed."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch
from torch.distributed import HashStore

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.runs.checkpoint import load_checkpoint
from qlam_qiskit.training import RunFolder, load_experiment, train
from qlam_qiskit.training.distributed import Ranks

# 47 training samples in batches of 23, 23 and 1: shares of 12 and 11, and a batch of fewer samples than ranks.
OVERRIDES = ("data.train_limit=59", "data.test_limit=41", "training.batch_size=23", "training.epochs=40")
TOLERANCE = 2e-6  # between one process and two, absolute and relative; neighbouring float32 numbers differ by 1e-7
SCRIPT = Path(__file__).parent.parent / "support" / "disagreeing_ranks.py"


@contextmanager
def torchrun(*command, restarts=0):
    """Start two processes; whatever happens, none of them outlives the block."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
    with subprocess.Popen(
        [sys.executable, *launch, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def train_by_two(*options, restarts=0):
    settings = [part for text in OVERRIDES for part in ("--set", text)]
    return torchrun("-m", "qlam_qiskit", "train", "small.yaml", *settings, *options, restarts=restarts)


def train_alone(quiet, out, **options):
    return train(load_experiment("small.yaml", OVERRIDES), "small", quiet, out=Path(out), **options)[0]


def wait_until(condition, process):
    deadline = time.monotonic() + 900
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def lines(path):
    return len(path.read_text().splitlines()) if path.exists() else 0


def assert_same(one, other, tolerance):
    for name in ("last", "best"):
        a, b = (load_checkpoint(getattr(folder, name)) for folder in (one, other))
        assert a.tensors.keys() == b.tensors.keys()
        for key, tensor in a.group("model").items():
            torch.testing.assert_close(tensor, b.group("model")[key], rtol=tolerance, atol=tolerance)
    rows, twins = ([*folder.metrics(), folder.result()] for folder in (one, other))
    for row, twin in zip(rows, twins, strict=True):
        assert row.keys() == twin.keys()
        for key in row.keys() - {"seconds", "train_seconds"}:
            same = row[key] if isinstance(row[key], str) else pytest.approx(row[key], rel=tolerance, abs=tolerance)
            assert twin[key] == same, key


def test_two_ranks_train_like_one_and_killing_them_changes_nothing(small_experiment, quiet):
    alone = train_alone(quiet, "alone")
    with train_by_two("--json") as process:
        stdout, stderr = process.communicate(timeout=900)
    assert process.returncode == 0, stderr
    two = RunFolder.open(Path("runs/small"))
    assert json.loads(stdout) == {"run": "runs/small", **two.result()}
    assert [line[:12] for line in stderr.splitlines() if "/40" in line] == [f"epoch {n:>3}/40" for n in range(1, 41)]
    assert "Warning" not in stderr
    assert_same(alone, two, TOLERANCE)
    names = [{str(path.relative_to(run.path)) for path in run.path.rglob("*")} for run in (alone, two)]
    assert names[0] == names[1]
    assert [path.name for path in Path("runs").iterdir()] == ["small"]

    killed = Path("runs/small-2")
    with train_by_two("--set", "training.checkpoint_seconds=0.01", restarts=1) as process:
        wait_until(lambda: lines(killed / "metrics.jsonl") >= 3, process)
        for worker in psutil.Process(process.pid).children():
            if worker.environ()["RANK"] == "1":
                worker.kill()
        _, stderr = process.communicate(timeout=900)
    assert process.returncode == 0, stderr
    assert "exitcode: -9) local_rank: 1" in stderr
    assert stderr.count("Error: rank 0 lost the connection") == stderr.count("Error: ") <= 1
    assert_same(two, RunFolder.open(killed), 0)
    assert sorted(path.name for path in Path("runs").iterdir()) == ["small", "small-2"]


def test_two_ranks_normalize_readouts_by_the_whole_batch(small_experiment, quiet):
    normalized = ("model.readout.normalize=batch", "model.readout.spread=0.5", "training.epochs=10")
    alone = train(load_experiment("small.yaml", (*OVERRIDES, *normalized)), "small", quiet, out=Path("alone"))[0]
    with train_by_two(*(part for text in normalized for part in ("--set", text))) as process:
        _, stderr = process.communicate(timeout=900)
    assert process.returncode == 0, stderr
    assert_same(alone, RunFolder.open(Path("runs/small")), TOLERANCE)


def test_ctrl_c_stops_both_ranks_with_one_line_and_one_process_goes_on(small_experiment, quiet):
    with train_by_two("--out", "stopped") as process:
        wait_until(lambda: lines(Path("stopped/metrics.jsonl")) >= 2, process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=900)
    assert process.returncode == 1
    assert "qlam_qiskit/" not in stderr  # the only traceback is torchrun's own
    (line,) = (line for line in stderr.splitlines() if line.startswith("Error: "))
    assert line.startswith("Error: interrupted in epoch")
    assert "continue with --resume" in line
    stopped = RunFolder.open(Path("stopped"))
    assert stopped.result() is None
    assert 0 < load_checkpoint(stopped.last).state["progress"]["epoch"] < 40
    assert_same(train_alone(quiet, "alone"), train_alone(quiet, "stopped", resume=True), TOLERANCE)


def test_a_restart_takes_up_its_own_run_even_when_that_had_no_checkpoint(small_experiment, quiet):
    class Dies:
        def step(self, *_):
            raise ZeroDivisionError

    experiment = load_experiment(small_experiment)
    finished, _ = train(experiment, "small", quiet)
    ranks = Ranks(store=HashStore())
    with pytest.raises(ZeroDivisionError):
        train(experiment, "small", Dies(), ranks=ranks)
    begun, _ = train(experiment, "small", quiet, ranks=ranks)
    assert begun.path == Path("runs/small-2")
    assert_same(finished, begun, 0)
    _, result = train(experiment, "small", Dies(), ranks=ranks)
    assert result == begun.result()


def test_a_restart_takes_up_a_folder_that_was_being_made_and_no_other(small_experiment, quiet):
    experiment = load_experiment(small_experiment)
    out = Path("out")
    ranks = Ranks(store=HashStore())
    ranks.remember_folder(out)
    (out / "checkpoints").mkdir(parents=True)
    (out / ".experiment.yaml.x7").touch()
    folder, _ = train(experiment, "small", quiet, out=out, ranks=ranks)
    assert not (out / ".experiment.yaml.x7").exists()
    result = folder.result()
    ranks = Ranks(store=HashStore())
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="already exists; continue it with --resume"):
            train(experiment, "small", quiet, out=out, ranks=ranks)
    assert folder.result() == result


def test_what_one_rank_learns_all_know(small_experiment):
    with torchrun(SCRIPT) as process:
        _, stderr = process.communicate(timeout=900)
    assert process.returncode == 0, stderr
    first, second = (json.loads(Path(f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert [*zip(first.pop("shares"), second.pop("shares"), strict=True)] == [(1, 0), (3, 2), (3, 3)]
    one, other = first.pop("drawn"), second.pop("drawn")
    assert one != other
    assert first == second
    assert first.pop("sum_of_draws") == pytest.approx(one + other)
    assert 0 <= first.pop("next_draw") < 1
    assert first.pop("shots").startswith("2 backend 'aer_shots' draws at random, which 2 ranks cannot do as one would")
    assert not Path("runs").exists()
    assert first.pop("threads") == [first_threads := max(1, processors() // 2), first_threads]
    assert first == {
        "sum": [0.2, 1.0],
        "from_first": "made by 0",
        "found_download": True,
        "step": [3.0, 0.5, False],
        "gradients": [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], [1.0, 1.0]],
        "stop": [3.0, 0.5, True],
        "loss_is_nan": [True, False, False],
        "loss_is_infinite": True,
        "step_failed": "1 rank 1: out of qubits",
        "normalized_step_failed": "1 rank 1: out of qubits",
        "second_failed": "2 rank 1: no such data",
        "first_failed": "2 no such thing",
        "differ": "2 rank 1: its first weights is 1, that of rank 0 0",
        "group_is_gone": True,  # and with it threads that have crashed a process as it ended
    }


def processors():
    return len(psutil.Process().cpu_affinity())
