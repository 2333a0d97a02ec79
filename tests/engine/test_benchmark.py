"""The benchmark: what it reports, and that memory does not grow with the length of a sequence."""

import json
import subprocess
import sys


def peak(steps):
    command = [sys.executable, "-m", "qlam_qiskit", "bench", "--steps", str(steps), "--repeats", "1", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_memory_beyond_the_inputs_does_not_grow_with_the_steps():
    peak(1)  # a first start may compile the engine, which takes more memory than running it
    short, long = peak(784), peak(7840)
    assert set(short) >= {"forward_s", "backward_s", "peak_rss_mb", "inputs_mb", "qubits", "steps", "batch"}
    assert (short["qubits"], short["batch"], long["steps"]) == (8, 64, 7840)
    beyond = [result["peak_rss_mb"] - result["inputs_mb"] for result in (short, long)]
    assert abs(beyond[1] - beyond[0]) < 0.05 * beyond[0]
