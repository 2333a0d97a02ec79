"""Times the open engine beside the one for pure states: ``python -m benchmarks.open_engine``.

One thread each, in turns, forward and backward, float32: the ring, and the ring with every qubit damped. The processor
time of the thread is taken, the least of all turns, so that other work on the machine matters little.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import numpy as np

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.templates import load_template


def prepare(engine: ExactEngine | OpenEngine, memory: MemoryCircuit, batch: int, steps: int) -> Callable[[], float]:
    """Draw inputs of a usual size; returns a pass that tells its seconds."""
    rng = np.random.default_rng(0)
    inputs = 0.05 * rng.standard_normal((batch, steps, 1, memory.num_inputs), np.float32)
    weights = 0.1 * rng.standard_normal((1, memory.num_weights))
    queries = rng.standard_normal((1, 1, 1, 1, memory.num_query_angles), np.float32)

    def run() -> float:
        began = time.thread_time()
        values, tape = engine.forward(inputs, weights, queries)
        engine.backward(tape, values)
        return time.thread_time() - began

    return run


@click.command()
@click.option("--qubits", multiple=True, type=int, default=(2, 3, 4), show_default=True)
@click.option("--batch", type=int, default=64, show_default=True)
@click.option("--steps", type=int, default=784, show_default=True)
@click.option("--turns", type=int, default=15, show_default=True)
def main(qubits: tuple[int, ...], batch: int, steps: int, turns: int) -> None:
    """Print milliseconds a pass, and how much longer the open engine takes."""
    click.echo("qubits   pure states   every qubit damped   ratio")
    for n in qubits:
        ring, damped = load_template("ring", n), load_template("damped_ring", n)
        sides = [
            prepare(ExactEngine(ring, threads=1), ring, batch, steps),
            prepare(OpenEngine(damped, threads=1), damped, batch, steps),
        ]
        for run in sides:  # compiles, and makes room
            run()
        pure, mixed = np.min([[run() for run in sides] for _ in range(turns)], axis=0) * 1e3
        click.echo(f"{n:6d} {pure:10.2f} ms {mixed:17.2f} ms {mixed / pure:7.2f}")


if __name__ == "__main__":
    main()
