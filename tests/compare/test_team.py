"""A comparison in the processes of a cluster: the same records as in one process, stopped or killed on the way."""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from qlam_qiskit.cluster import cluster
from qlam_qiskit.compare import compare, load_comparison
from qlam_qiskit.errors import ConfigurationError, Interrupted, QlamError
from qlam_qiskit.plain_yaml import dump_yaml


def records(folder):
    """Read all records of a comparison, without the seconds."""
    found = {}
    for path in Path(folder).rglob("*.json"):
        if path.name != "table.json":
            values = json.loads(path.read_text())
            values.pop("train_seconds")
            for row in values.get("metrics", []):
                row.pop("seconds")
            found[str(path.relative_to(folder))] = values
    return found


def on(processes, say, should_stop=lambda: False):
    comparison = load_comparison("small.yaml")
    options = {"out": Path("results/small"), "say": say, "should_stop": should_stop, "cluster": processes}
    compare(comparison, "small", None, **options)


def holder(processes, name):
    """Return the worker that trains a run: whoever holds the lock of its folder."""
    (folder,) = Path("runs/compare/small").glob(f"{name}-*")
    lock = (folder / ".lock").stat().st_ino
    for pid in processes._client.run(os.getpid).values():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if link.stat().st_ino == lock:
                    return pid
    return None


def test_a_cluster_gives_the_records_of_one_process_stopped_and_killed_on_the_way(small, run):
    training = {**small["training"], "epochs": 60, "checkpoint_seconds": 0.01}
    Path("small.yaml").write_text(dump_yaml({**small, "training": training, "seeds": [0]}))
    run("whole")
    Path("runs/compare").rename("runs/whole")
    lines, killed = [], []

    def kill(line):
        lines.append(line)
        if line.startswith("gru-seed0: epoch") and not killed and (pid := holder(processes, "gru-seed0")):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    with cluster(2, None) as processes:
        with pytest.raises(Interrupted, match="the same command continues"):
            on(processes, lines.append, should_stop=lambda: any("x1: epoch" in line for line in lines))
        assert not Path("results/small/gru-seed0.json").exists()
        assert len(processes.workers) == 2
        on(processes, kill)
    assert killed
    assert records("results/small") == records("whole")
    assert any(line.startswith("training ") and line.endswith(" left") for line in lines)
    assert "a worker is gone; what it was training goes on from its checkpoint" in lines


def start(*arguments):
    with cluster(*arguments):
        pass


def test_a_cluster_that_cannot_be_had_is_one_line(monkeypatch):
    with pytest.raises(ConfigurationError, match="give one of them"):
        start(2, "tcp://127.0.0.1:1")
    monkeypatch.setattr("qlam_qiskit.cluster._CONNECT_SECONDS", 0.5)
    for address in ("tcp://127.0.0.1:1", "nowhere", "oops://127.0.0.1:1", "tcp://127.0.0.1:one"):
        with pytest.raises(QlamError, match=f"--dask {address}: no scheduler there") as caught:
            start(None, address)
        assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        ConfigurationError, match=r"--workers needs distributed, .*pip install 'qlam-qiskit\[cluster\]'"
    ):
        start(2, None)
