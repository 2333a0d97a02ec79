"""Compiles the exact engine's loops before they are needed: several at a time, in processes that can be stopped.

A loop depends on the precision and on the samples of a block, not on the circuit. numba holds one lock while it
compiles and hears no signal, so each process of a :class:`Compilation` compiles some and leaves them in the cache.

``python -m qlam_qiskit.engine.compilation float32 backward:16 forward:16`` compiles loops and names each that is done.
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

from qlam_qiskit.engine.blocks import cut_batch, processors
from qlam_qiskit.engine.compiled import EntryPoint
from qlam_qiskit.engine.exact import ExactEngine
from qlam_qiskit.engine.sweep import backward_block, forward_block
from qlam_qiskit.memory_circuit import MemoryCircuit

SECONDS = 7  # about what one loop takes on one processor

_LOOPS = {"backward": backward_block, "forward": forward_block}  # the longest first


@dataclass(frozen=True, order=True)
class Loop:
    """One of the engine's loops, compiled for blocks of ``lanes`` samples."""

    direction: str
    lanes: int

    @classmethod
    def needed(
        cls, forward: Iterable[int], backward: Iterable[int], registers: int, qubits: int, threads: int
    ) -> set[Self]:
        """List the loops for batches of these numbers of samples, forward alone or backward as well."""
        backward = tuple(backward)
        return {
            cls(direction, cut_batch(samples, registers, qubits, threads).lanes)
            for direction, sizes in (("forward", (*forward, *backward)), ("backward", backward))
            for samples in sizes
            if samples
        }

    @property
    def entry(self) -> EntryPoint:
        """What is compiled."""
        return _LOOPS[self.direction]

    def is_kept(self, precision: str) -> bool:
        """Say whether this loop need not be compiled."""
        return self.entry.is_kept(*self._arguments(precision))

    def compile(self, precision: str) -> None:
        """Compile this loop in this process, and keep it."""
        self.entry.resolve(*self._arguments(precision))

    @cache  # noqa: B019  # there are two directions and two widths
    def _arguments(self, precision: str) -> tuple[Any, ...]:
        """Make arguments of the types that every circuit has: those of a memory of one qubit."""
        angle, weight = Parameter("phi"), Parameter("theta")
        update = QuantumCircuit(1)
        update.rx(angle, 0)
        update.ry(weight, 0)
        engine = ExactEngine(MemoryCircuit(update, [angle], [weight]), precision=precision, threads=1)
        inputs, queries = (
            np.zeros((self.lanes, 1, 1, 1), engine.dtype),
            np.zeros((self.lanes, 1, 1, 1, 2), engine.dtype),
        )
        probabilities = np.zeros((self.lanes, 1, 1, 1, 2), engine.dtype)
        tape = engine._tape(inputs, np.zeros((1, 1)), queries, np.zeros((1, 1), np.int64))
        gradients = (inputs, queries) if self.direction == "backward" else ()
        return engine._arguments(tape, 0, 0, probabilities, *gradients)[0]


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
        self._missing = sorted(wanted, key=lambda loop: (-loop.lanes, loop.direction))

    @property
    def total(self) -> int:
        """Loops to be compiled."""
        return len(self._missing)

    @property
    def seconds(self) -> int:
        """About how long that takes, with a processor for each process."""
        return SECONDS * -(-self.total // processors())

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", __spec__.name, self.precision]
        for worker in range(self._workers):
            loops = [f"{loop.direction}:{loop.lanes}" for loop in self._missing[worker :: self._workers]]
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
    def _workers(self) -> int:
        return min(self.total, processors())


def main(arguments: list[str], out: IO[str]) -> None:
    """Compile the loops that the command line names."""
    precision, *loops = arguments
    for text in loops:
        direction, _, lanes = text.partition(":")
        Loop(direction, int(lanes)).compile(precision)
        print(text, file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout)
