"""Times the exact engine on random inputs, and measures the memory that it takes."""

from __future__ import annotations

import resource
import statistics
import time
from typing import Any

import numpy as np

from qlam_qiskit.discovery import load_template
from qlam_qiskit.engine import ExactEngine


def bench(
    template: str, qubits: int, steps: int, batch: int, precision: str = "float32", repeats: int = 5
) -> dict[str, Any]:
    """Run forward and backward passes; times in seconds (median of ``repeats``), memory in MB of 10^6 bytes.

    The gradients of the inputs take the inputs' place, as nothing needs these afterwards: what the process holds beyond
    the inputs does not depend on the number of steps.
    """
    memory = load_template(template, qubits)
    engine = ExactEngine(memory, precision=precision)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((batch, steps, 1, memory.num_inputs), dtype=engine.dtype)
    weights = rng.normal(size=(1, memory.num_weights))
    queries = rng.standard_normal((1, 1, 1, 1, memory.num_query_angles), dtype=engine.dtype)
    cotangent = rng.standard_normal((batch, 1, 1, 1, engine.dimension), dtype=engine.dtype)
    few = inputs[:, :1].copy()
    engine.backward(engine.forward(few, weights, queries)[1], cotangent)  # compiled, or loaded, before the clock starts
    forward, backward = [], []
    for _ in range(repeats):
        began = time.perf_counter()
        _, tape = engine.forward(inputs, weights, queries)
        between = time.perf_counter()
        engine.backward(tape, cotangent, overwrite_inputs=True)
        forward.append(between - began)
        backward.append(time.perf_counter() - between)
    return {
        "forward_s": statistics.median(forward),
        "backward_s": statistics.median(backward),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "inputs_mb": inputs.nbytes / 1e6,
        "template": template,
        "qubits": qubits,
        "steps": steps,
        "batch": batch,
        "precision": precision,
        "threads": engine.threads,
        "repeats": repeats,
    }
