"""Compiles what a training needs of the exact engine before its first step, where Ctrl-C is still answered at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qlam_qiskit.backends import BackendSpec
from qlam_qiskit.engine import Compilation, Loop
from qlam_qiskit.errors import Interrupted
from qlam_qiskit.model import QLAM
from qlam_qiskit.training.trainer import Reporter


def compile_loops(
    model: Any,
    spec: BackendSpec,
    trained: int,
    tested: Sequence[int],
    batch_size: int,
    reporter: Reporter,
    should_stop: Callable[[], bool],
) -> None:
    """Compile the loops for training on ``trained`` samples and testing on so many; those that are kept take no time.

    Raises Interrupted when ``should_stop`` said so meanwhile.
    """
    if not isinstance(model, QLAM) or spec.kind != "exact" or spec.device != "cpu":
        return
    memory = model.layers[0].memory
    network = memory.neural_network
    backward = _batches(trained, batch_size)
    forward = [size for count in tested for size in _batches(count, batch_size)]
    in_training = memory.in_training or network  # under errors, and validated and tested so too
    loops = Loop.needed(in_training.execution.engine, forward, backward, network.registers)
    loops |= Loop.needed(network.execution.engine, forward, (), network.registers)
    compilation = Compilation(loops, spec.precision)
    if not compilation.total:
        return
    reporter.compiling(0, compilation.total, compilation.seconds)
    with compilation:
        report = lambda done: reporter.compiling(done, compilation.total, compilation.seconds)  # noqa: E731
        if not compilation.wait(report, should_stop):
            raise Interrupted("interrupted before the first step; start again, or continue with --resume")


def _batches(samples: int, batch_size: int) -> list[int]:
    """List the sizes that batches of so many samples have."""
    return [min(samples, batch_size), samples % batch_size]
