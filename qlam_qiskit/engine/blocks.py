"""Cuts a batch into blocks of samples, and runs them side by side."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from qlam_qiskit.engine.arrays import Block

WIDE, NARROW = 16, 8
_NARROW_COST = 0.55  # time of a narrow block relative to a wide one, measured from 4 to 10 qubits
_LARGE = 12  # qubits from which psi and lambda of a wide block leave the second level of cache
_LARGE_MIXED = 4  # qubits from which a density matrix and its lambda leave the first one


@dataclass(frozen=True)
class Cut:
    """A batch as blocks of up to ``lanes`` samples for each of its registers."""

    samples: int
    registers: int
    qubits: int
    lanes: int

    @property
    def blocks(self) -> int:
        """Blocks of one register."""
        return -(-self.samples // self.lanes)

    def block(self, register: int, index: int) -> Block:
        """Describe one block to the compiled loops."""
        first = index * self.lanes
        return Block(register, first, min(self.lanes, self.samples - first), self.qubits)


def cut_batch(samples: int, registers: int, qubits: int, threads: int) -> Cut:
    """Cut a batch into wide blocks, or into narrow ones where those finish sooner: few samples, or large registers."""
    wide, narrow = (Cut(samples, registers, qubits, lanes) for lanes in (WIDE, NARROW))
    rounds_wide, rounds_narrow = (-(-registers * cut.blocks // threads) for cut in (wide, narrow))
    return narrow if qubits >= _LARGE or rounds_narrow * _NARROW_COST < rounds_wide else wide


def cut_mixed_batch(samples: int, registers: int, qubits: int, threads: int) -> Cut:
    """Cut a batch of density matrices: one of n qubits takes as much room as a state vector of 2n - 1."""
    lanes = NARROW if qubits >= _LARGE_MIXED else cut_batch(samples, registers, 2 * qubits - 1, threads).lanes
    return Cut(samples, registers, qubits, lanes)


def map_blocks(run: Callable[[int, int], Any], cut: Cut, threads: int) -> list[list[Any]]:
    """Run every (register, block), several at a time; results keep their order, so sums do not depend on timing."""
    tasks = [(register, block) for register in range(cut.registers) for block in range(cut.blocks)]
    if threads == 1 or len(tasks) == 1:
        results = [run(*task) for task in tasks]
    else:
        results = list(_pool(threads).map(lambda task: run(*task), tasks))
    return [results[register * cut.blocks : (register + 1) * cut.blocks] for register in range(cut.registers)]


def map_runs(run: Callable[[int, int, int], None], cut: Cut, threads: int) -> None:
    """Run all blocks as (register, first, end): those of a register together on one thread, else several at a time."""
    length = cut.blocks if threads == 1 else 1
    tasks = [
        (register, first, min(first + length, cut.blocks))
        for register in range(cut.registers)
        for first in range(0, cut.blocks, length)
    ]
    if threads == 1 or len(tasks) == 1:
        for task in tasks:
            run(*task)
    else:
        list(_pool(threads).map(lambda task: run(*task), tasks))


def processors() -> int:
    """Count the processors that this process may use; not every system can say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="qlam-engine")


# A forked child inherits the pool but none of its threads: it starts a pool of its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
