"""The compiled loops for a run of CX, SWAP, X, ... gates at once: amplitudes change places, cycle by cycle."""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import load, store


@compiled
def permute(values, plan, permutation):
    """Move each amplitude to the place of the next one of its cycle."""
    for cycle in range(plan.cycle_starts.shape[1] - 1):
        begin, end = plan.cycle_starts[permutation, cycle], plan.cycle_starts[permutation, cycle + 1]
        if begin == end:
            return
        last = load(values, plan.cycles[end - 1])
        for k in range(end - 1, begin, -1):
            store(values, plan.cycles[k], load(values, plan.cycles[k - 1]))
        store(values, plan.cycles[begin], last)


@compiled
def unpermute(values, plan, permutation):
    """Move each amplitude to the place of the one before it in its cycle."""
    for cycle in range(plan.cycle_starts.shape[1] - 1):
        begin, end = plan.cycle_starts[permutation, cycle], plan.cycle_starts[permutation, cycle + 1]
        if begin == end:
            return
        first = load(values, plan.cycles[begin])
        for k in range(begin, end - 1):
            store(values, plan.cycles[k], load(values, plan.cycles[k + 1]))
        store(values, plan.cycles[end - 1], first)
