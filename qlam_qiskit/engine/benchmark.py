"""Times the exact engine on random inputs, and measures the memory that it takes."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from qlam_qiskit.engine.torch import make_engine
from qlam_qiskit.templates import load_template


def bench(
    template: str,
    qubits: int,
    steps: int,
    batch: int,
    precision: str = "float32",
    repeats: int = 5,
    device: str = "cpu",
) -> dict[str, Any]:
    """Run forward and backward passes; times in seconds (median of ``repeats``), memory in MB of 10^6 bytes.

    On the CPU the gradients of the inputs take the inputs' place, as nothing needs these afterwards: what the process
    holds beyond the inputs does not depend on the number of steps. With ``device`` "cuda" the times include the copies
    to the GPU and back, and ``peak_device_mb`` is what torch held there. Raises ConfigurationError where there is none.
    """
    memory = load_template(template, qubits)
    engine = make_engine(memory, device=device, precision=precision)
    clock = _clock(device)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((batch, steps, 1, memory.num_inputs), dtype=engine.dtype)
    weights = rng.normal(size=(1, memory.num_weights))
    queries = rng.standard_normal((1, 1, 1, 1, memory.num_query_angles), dtype=engine.dtype)
    cotangent = rng.standard_normal((batch, 1, 1, 1, engine.dimension), dtype=engine.dtype)
    few = inputs[:, :1].copy()
    engine.backward(engine.forward(few, weights, queries)[1], cotangent)  # compiled, or loaded, before the clock starts
    forward, backward = [], []
    for _ in range(repeats):
        began = clock()
        _, tape = engine.forward(inputs, weights, queries)
        between = clock()
        engine.backward(tape, cotangent, overwrite_inputs=True)
        forward.append(between - began)
        backward.append(clock() - between)
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
        "device": device,
        **(_gpu() if device == "cuda" else {"threads": engine.threads}),
        "repeats": repeats,
    }


def _clock(device: str) -> Callable[[], float]:
    """Return a clock in seconds that waits for the GPU, whose work is only queued when a call returns."""
    if device == "cpu":
        return time.perf_counter
    import torch

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return clock


def _gpu() -> dict[str, Any]:
    import torch

    return {"gpu": torch.cuda.get_device_name(), "peak_device_mb": torch.cuda.max_memory_allocated() / 1e6}
