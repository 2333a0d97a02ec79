"""How the exact engine grows with the sequence, and how long real work takes: ``python -m benchmarks.scaling``.

Times and memory are those of ``qlam bench`` in a process for each length; the epoch is a real one of sMNIST.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.machine import describe
from benchmarks.peers import RESULTS, rounded
from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.templates import load_template
from qlam_qiskit.workspace import write_atomically

LENGTHS = (98, 196, 392, 784, 1568, 3136, 7840)
QUBITS = 8


def lengths(steps: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Return time (s) and peak memory beyond inputs (MB) by length, and the exponent of the time with its error."""
    rows = []
    for count in steps:
        arguments = ("bench", "--qubits", QUBITS, "--steps", count, "--batch", 64, "--repeats", repeats)
        found = _qlam(*arguments)
        seconds = found["forward_s"] + found["backward_s"]
        beyond = found["peak_rss_mb"] - found["inputs_mb"]
        rows.append({"steps": count, "pass_s": seconds, "memory_beyond_inputs_mb": beyond})
        click.echo(f"T = {count}: {1e3 * seconds:.1f} ms, {beyond:.0f} MB beyond the inputs", err=True)
    logs = np.log([[row["steps"], row["pass_s"]] for row in rows])
    (slope, _), covariance = np.polyfit(logs[:, 0], logs[:, 1], 1, cov=True)
    return {"rows": rows, "exponent": float(slope), "exponent_error": float(np.sqrt(covariance[0, 0]))}


def precision(steps: int = 784, batch: int = 16) -> dict[str, float]:
    """Return how far float32 gradients are from float64 ones, in relative norm."""
    memory = load_template("ring", QUBITS)
    rng = np.random.default_rng(0)
    inputs, weights = rng.normal(size=(batch, steps, 1, memory.num_inputs)), rng.normal(size=(1, memory.num_weights))
    inputs = inputs.astype(np.float32)  # the same numbers for both
    queries = rng.normal(size=(1, 1, 1, 1, memory.num_query_angles)).astype(np.float32)
    cotangent = rng.normal(size=(batch, 1, 1, 1, 1 << QUBITS)).astype(np.float32)
    found = {}
    for name in ("float32", "float64"):
        engine = ExactEngine(memory, precision=name)
        found[name] = engine.backward(engine.forward(inputs, weights, queries)[1], cotangent)
    pairs = {part: [getattr(found[name], part) for name in found] for part in ("inputs", "weights", "queries")}
    return {part: float(np.linalg.norm(a - b) / np.linalg.norm(b)) for part, (a, b) in pairs.items()}


def epoch(data_dir: Path) -> dict[str, Any]:
    """Train one epoch of sMNIST (60,000 sequences of 784 steps), classify its 10,000 test images; seconds of each."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        data = ("--data-dir", data_dir.resolve())
        settings = ("--set", "training.epochs=1", "--set", f"model.circuit.qubits={QUBITS}")
        trained = _qlam("train", "smnist", *settings, *data, "--out", run)
        tested = _qlam("evaluate", run, *data)
    return {
        "epoch_s": trained["train_seconds"],
        "test_images": tested["samples"],
        "test_s": tested["seconds"],
        "test_accuracy": trained["test_accuracy"],
    }


def _qlam(*arguments: Any) -> dict[str, Any]:
    command = [sys.executable, "-m", "qlam_qiskit", *map(str, arguments), "--json"]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(finished.stdout)


@click.command()
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Holds mnist; else no epoch.")
@click.option("--repeats", type=click.IntRange(1), default=15, show_default=True, help="Passes of each length.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "scaling.json", help="JSON file.")
def main(data_dir: Path | None, repeats: int, out: Path) -> None:
    """Measure growth with T, float32's accuracy and, with data, an epoch of sMNIST.

    Example: python -m benchmarks.scaling --data-dir data
    """
    found = {
        "machine": describe(),
        "qubits": QUBITS,
        "batch": 64,
        "lengths": lengths(LENGTHS, repeats),
        "float32_gradient_errors": precision(),
        "smnist": epoch(data_dir) if data_dir else None,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, json.dumps(rounded(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
