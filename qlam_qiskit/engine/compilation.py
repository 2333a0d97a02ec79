"""Compiles the exact engines' loops before they are needed: several at a time, in processes that can be stopped.

A loop depends on the precision and on the samples of a block, not on the circuit. numba holds one lock while it
compiles and hears no signal, so each process of a :class:`Compilation` compiles some and leaves them in the cache.

``python -m qlam_qiskit.engine.compilation float32 pure:backward:16 open:forward:16`` compiles loops and names each that
is done.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import IO, Any, Self

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit

from qlam_qiskit.engine.blocks import processors
from qlam_qiskit.engine.compiled import EntryPoint
from qlam_qiskit.engine.exact import ExactEngine
from qlam_qiskit.engine.open.open_engine import OpenEngine
from qlam_qiskit.engine.open.sweep import open_backward_blocks, open_forward_blocks
from qlam_qiskit.engine.sweep import backward_block, forward_block
from qlam_qiskit.memory_circuit import MemoryCircuit

# By engine and direction, with about the seconds that it takes on one processor.
_LOOPS = {
    ("pure", "forward"): (forward_block, 7),
    ("pure", "backward"): (backward_block, 7),
    ("open", "forward"): (open_forward_blocks, 8),
    ("open", "backward"): (open_backward_blocks, 14),
}


@dataclass(frozen=True, order=True)
class Loop:
    """A loop of the pure or the open engine, forward or backward, compiled for blocks of ``lanes`` samples."""

    engine: str
    direction: str
    lanes: int

    @classmethod
    def needed(
        cls, engine: ExactEngine | OpenEngine, forward: Iterable[int], backward: Iterable[int], registers: int
    ) -> set[Self]:
        """List the loops for batches of these numbers of samples, forward alone or backward as well."""
        backward = tuple(backward)
        return {
            cls("open" if isinstance(engine, OpenEngine) else "pure", direction, engine.cut(samples, registers).lanes)
            for direction, sizes in (("forward", (*forward, *backward)), ("backward", backward))
            for samples in sizes
            if samples
        }

    @property
    def seconds(self) -> int:
        """About how long it takes to compile on one processor."""
        return _LOOPS[self.engine, self.direction][1]

    @property
    def entry(self) -> EntryPoint:
        """What is compiled."""
        return _LOOPS[self.engine, self.direction][0]

    def is_kept(self, precision: str) -> bool:
        """Say whether this loop need not be compiled."""
        return self.entry.is_kept(*self._arguments(precision))

    def compile(self, precision: str) -> None:
        """Compile this loop in this process, and keep it."""
        self.entry.resolve(*self._arguments(precision))

    @cache  # noqa: B019  # there are two engines, two directions and two widths
    def _arguments(self, precision: str) -> tuple[Any, ...]:
        """Make arguments of the types that every circuit has: those of a memory of one qubit."""
        angle, weight = Parameter("phi"), Parameter("theta")
        update = QuantumCircuit(1)
        update.rx(angle, 0)
        update.ry(weight, 0)
        memory = MemoryCircuit(update, [angle], [weight])
        engine = (OpenEngine if self.engine == "open" else ExactEngine)(memory, precision=precision, threads=1)
        lanes, weights = self.lanes, np.zeros((1, 1))
        inputs, queries = np.zeros((lanes, 1, 1, 1), engine.dtype), np.zeros((lanes, 1, 1, 1, 2), engine.dtype)
        probabilities = np.zeros((lanes, 1, 1, 1, 2), engine.dtype)
        backward, times = self.direction == "backward", np.zeros((1, 1), np.int64)
        if isinstance(engine, OpenEngine):
            emissions = np.zeros((lanes, 1, 1, 0), engine.dtype)
            tape = engine._tape(inputs, weights, queries, engine._reading(times, 1, mean=False, emit=False), None)
            gradients = (inputs, queries, np.zeros((1, 1, 1))) if backward else ()
            return engine._arguments(tape, 0, 0, 1, probabilities, emissions, *gradients)
        gradients = (inputs, queries) if backward else ()
        return engine._arguments(engine._tape(inputs, weights, queries, times), 0, 0, probabilities, *gradients)[0]


@dataclass
class Compilation:
    """Compiles those of some loops that are not kept yet, in processes of its own.

    To be used in a ``with`` block, which ends the processes that still run when it is left.
    """

    loops: Iterable[Loop]
    precision: str
    _processes: list[subprocess.Popen] = field(default_factory=list, init=False)
    _missing: list[Loop] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        wanted = [loop for loop in self.loops if loop.entry.can_be_kept and not loop.is_kept(self.precision)]
        self._missing = sorted(wanted, key=lambda loop: (-loop.seconds, -loop.lanes, loop.direction))

    @property
    def total(self) -> int:
        """Loops to be compiled."""
        return len(self._missing)

    @property
    def seconds(self) -> int:
        """About how long that takes, with a processor for each process."""
        return max((sum(loop.seconds for loop in loops) for loops in self._divided), default=0)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", __spec__.name, self.precision]
        for part in self._divided:
            loops = [f"{loop.engine}:{loop.direction}:{loop.lanes}" for loop in part]
            # In a session of its own: Ctrl-C in the terminal is this process's to answer.
            self._processes.append(
                subprocess.Popen(
                    [*command, *loops], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def wait(self, report: Callable[[int], None], should_stop: Callable[[], bool]) -> bool:
        """Wait until all is compiled, reporting how many loops are; returns False when ``should_stop`` said so first.

        A process that fails is no error: its loops are compiled where they are used.
        """
        while any(process.poll() is None for process in self._processes):
            if should_stop():
                return False
            report(sum(loop.is_kept(self.precision) for loop in self._missing))
            time.sleep(0.2)
        report(self.total)
        return True

    @property
    def _divided(self) -> list[list[Loop]]:
        """What each process compiles."""
        workers = min(self.total, processors())
        return [self._missing[worker::workers] for worker in range(workers)]


def main(arguments: list[str], out: IO[str]) -> None:
    """Compile the loops that the command line names."""
    precision, *loops = arguments
    for text in loops:
        engine, direction, lanes = text.split(":")
        Loop(engine, direction, int(lanes)).compile(precision)
        print(text, file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout)
