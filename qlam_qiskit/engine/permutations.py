"""The compiled loops for a run of CX, SWAP, X, ... gates at once: amplitudes change places, cycle by cycle."""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import load, store


@compiled
def permute(state, steps, permutation):
    """Move each amplitude to the place of the next one of its cycle."""
    for values in (state.re, state.im):
        for cycle in range(steps.cycle_starts.shape[1] - 1):
            begin, end = steps.cycle_starts[permutation, cycle], steps.cycle_starts[permutation, cycle + 1]
            if begin == end:
                break
            last = load(values, steps.cycles[end - 1])
            for k in range(end - 1, begin, -1):
                store(values, steps.cycles[k], load(values, steps.cycles[k - 1]))
            store(values, steps.cycles[begin], last)


@compiled
def unpermute(state, steps, permutation):
    """Move each amplitude to the place of the one before it in its cycle."""
    for values in (state.re, state.im):
        for cycle in range(steps.cycle_starts.shape[1] - 1):
            begin, end = steps.cycle_starts[permutation, cycle], steps.cycle_starts[permutation, cycle + 1]
            if begin == end:
                break
            first = load(values, steps.cycles[begin])
            for k in range(begin, end - 1):
                store(values, steps.cycles[k], load(values, steps.cycles[k + 1]))
            store(values, steps.cycles[end - 1], first)
