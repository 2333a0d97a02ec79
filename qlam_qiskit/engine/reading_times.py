"""The compiled loops' view of when samples are read: alike for all of a batch, or each at times of its own.

``slots`` (1 or B, T) says which of the R readings follows each step, or -1: one row for all samples, or one for each. A
sample that is shorter than the others is read after its own last step; what follows that step is padding, which nothing
read depends on.
"""

from __future__ import annotations

import numpy as np

from qlam_qiskit.engine.compiled import compiled


def slots_of(times: np.ndarray, steps: int) -> np.ndarray:
    """Turn the steps after which samples are read, (1 or B, R) with -1 for never, into slots, int64 (1 or B, T)."""
    slots = np.full((len(times), steps), -1, np.int64)
    rows, readings = np.nonzero(times >= 0)
    slots[rows, times[rows, readings]] = readings
    return slots


def spans_of(times: np.ndarray) -> np.ndarray:
    """Count the steps since the reading before each, in the order of time, (1 or B, R) as float64; 1 for never."""
    order = np.argsort(times, axis=1)
    ordered = np.take_along_axis(times, order, axis=1)
    lengths = np.empty(times.shape)
    np.put_along_axis(lengths, order, np.diff(ordered, axis=1, prepend=-1).astype(float), axis=1)
    return np.where(times >= 0, lengths, 1.0)


@compiled
def slot_after(slots, block, lane, step):
    """Return which reading of a lane's sample follows a step, or -1."""
    return slots[block.first + lane if len(slots) > 1 else 0, step]


@compiled
def next_slot(slots, block, step, least):
    """Return the smallest reading from ``least`` on that follows a step in any lane, or -1."""
    found = -1
    for lane in range(block.lanes if len(slots) > 1 else 1):
        slot = slot_after(slots, block, lane, step)
        if slot >= least and (found < 0 or slot < found):
            found = slot
    return found


@compiled
def steps_of_block(slots, block):
    """Count the steps up to the last one that any sample of the block is read after."""
    for step in range(slots.shape[1] - 1, -1, -1):
        if next_slot(slots, block, step, 0) >= 0:
            return step + 1
    return 0


@compiled
def clear_padding(gradient, block, first):
    """Write zero as the gradient of what follows the last reading: ``gradient`` (B, T, P) from step ``first`` on."""
    for lane in range(block.lanes):
        for step in range(first, gradient.shape[1]):
            for p in range(gradient.shape[2]):
                gradient[block.first + lane, step, p] = 0.0
