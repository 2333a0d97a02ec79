"""The compiled loops' view of when samples are read: alike for all of a batch, or each at times of its own.

``slots`` (1 or B, T) says which of the R readings follows each step, or -1: one row for all samples, or one for each. A
sample that is shorter than the others is read after its own last step; what follows that step is padding, which nothing
read depends on.
"""

from qlam_qiskit.engine.compiled import compiled


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
