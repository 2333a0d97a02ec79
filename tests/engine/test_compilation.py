"""Loops are compiled beforehand, in processes that can be stopped, and found by the engine afterwards."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from qlam_qiskit.engine import ExactEngine, OpenEngine
from qlam_qiskit.engine.compilation import Compilation, Loop
from qlam_qiskit.templates import load_template


def _engine(template, qubits, **options):
    memory = load_template(template, qubits)
    return (OpenEngine if memory.is_open else ExactEngine)(memory, **options)


def test_the_loops_needed_are_those_that_batches_are_cut_for():
    engine = _engine("ising", 6, threads=2)
    both = Loop.needed(engine, [], [64, 13, 0], 1)
    assert both == {Loop("pure", direction, lanes) for direction in ("forward", "backward") for lanes in (16, 8)}
    assert Loop.needed(engine, [64], [], 1) == {Loop("pure", "forward", 16)}
    assert {loop.lanes for loop in Loop.needed(_engine("ising", 13, threads=2), [], [64], 1)} == {8}
    assert Loop.needed(_engine("damped_line", 2, threads=2), [64], [], 1) == {Loop("open", "forward", 16)}


@pytest.mark.parametrize(("engine", "template"), [("pure", "ising"), ("open", "damped_line")])
def test_what_is_compiled_beforehand_is_what_the_engine_asks_for(engine, template, monkeypatch):
    """The engine resolves its loops for types that are kept already, whatever its circuit."""
    asked = []
    for loop in (Loop(engine, "forward", 16), Loop(engine, "backward", 16)):
        loop.compile("float32")
        assert loop.is_kept("float32")
        kept = loop.entry.is_kept
        monkeypatch.setattr(
            loop.entry,
            "resolve",
            lambda *given, kept=kept, entry=loop.entry: asked.append(kept(*given)) or _run(entry, given),
        )
    runner = _engine(template, 3, precision="float32", threads=1)
    memory = runner.memory
    shapes = (16, 4, 1, memory.num_inputs), (1, memory.num_weights), (1, 1, 1, 2, memory.num_query_angles)
    probabilities, tape = runner.forward(*map(np.ones, shapes))
    runner.backward(tape, probabilities)
    if engine == "open":  # what is read may differ
        probabilities, tape = runner.forward(*map(np.ones, shapes), readout_steps=[1, 3], mean=True, emissions=True)
        runner.backward(tape, probabilities, emissions=tape.emissions)
    assert asked == [True, True]


def _run(entry, given):
    return type(entry).resolve(entry, *given)


def test_nothing_is_started_for_what_is_kept(monkeypatch):
    Loop("pure", "forward", 16).compile("float32")
    monkeypatch.setattr(subprocess, "Popen", None)
    with Compilation([Loop("pure", "forward", 16)], "float32") as compilation:
        assert compilation.total == 0
        assert compilation.wait(lambda done: None, lambda: False)


@pytest.mark.parametrize("template", ["line", "damped_line"])
def test_the_first_run_says_that_it_compiles_and_answers_ctrl_c(template, tmp_path, small_experiment):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "empty")}
    command = [
        sys.executable,
        "-m",
        "qlam_qiskit",
        "train",
        small_experiment,
        "--set",
        f"model.circuit.template={template}",
    ]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert "compiling the exact engine for this machine: once, about" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        rest = process.stderr.read()
        assert process.wait() == 1
    assert "before the first step" in rest
    assert "nan" not in rest
    assert "Traceback" not in rest
    assert time.monotonic() - began < 60  # far less, but for a machine under load
    assert not list((tmp_path / "runs").glob("*/result.json"))
    resumed = subprocess.run([*command, "--resume", "--json"], capture_output=True, text=True, check=True)
    assert "test_accuracy" in resumed.stdout
