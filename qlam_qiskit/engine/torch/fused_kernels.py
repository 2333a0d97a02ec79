"""Triton kernels that run all steps of a small open memory in one launch, forward and backward.

A program holds the states of a block of samples of one register, (S, N) with N = 4^n numbers each, from the first step
to the last. A step is a row of groups: turns by input angles, then one matrix that all samples share. A turn takes
r -> r + (cos(t) - 1) |sign| r + sin(t) sign r[partner]; its transpose is its inverse.
"""

# ruff: noqa: ANN001, ANN201, ANN202  (Triton compiles these functions, and takes no types but its own)

import triton
import triton.language as tl


@triton.jit
def _turned(states, partner, sign, cosine, sine, SAMPLES: tl.constexpr, N: tl.constexpr):
    """Turn states (S, N) by angles given as cosine and sine (S,)."""
    other = tl.gather(states, tl.broadcast_to(partner[None, :], (SAMPLES, N)), 1)
    return states + (cosine - 1)[:, None] * (sign * sign)[None, :] * states + sine[:, None] * sign[None, :] * other


@triton.jit
def walk(
    states, angles, matrices, partners, signs, group_ends, before, after,
    steps, registers, samples, num_angles,
    GROUPS: tl.constexpr, SHARED: tl.constexpr, SAMPLES: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """Run all steps from ``states`` (H, B, N); writes the states before each group's matrix and after each step.

    ``angles`` (T, H, B, A), ``matrices`` (G, H, N, N), ``before`` (T, G, H, B, N), ``after`` (T, H, B, N).
    """
    register = tl.program_id(0)
    sample = tl.program_id(1) * SAMPLES + tl.arange(0, SAMPLES)
    column = tl.arange(0, N)
    there = (sample < samples)[:, None]
    row = register * samples + sample
    place = row[:, None] * N + column[None, :]
    of_step = tl.full((), N, tl.int64) * registers * samples
    r = tl.load(states + place, mask=there, other=0.0)
    for step in range(steps):
        first = 0
        for group in tl.static_range(GROUPS):
            last = tl.load(group_ends + group)
            for turn in range(first, last):
                partner = tl.load(partners + turn * N + column)
                sign = tl.load(signs + turn * N + column)
                at = (step * of_step // N + row) * num_angles + turn
                angle = tl.load(angles + at, mask=sample < samples, other=0.0)
                r = _turned(r, partner, sign, tl.cos(angle), tl.sin(angle), SAMPLES, N)
            tl.store(before + (step * GROUPS + group) * of_step + place, r, mask=there)
            if group < SHARED:
                own = matrices + (group * registers + register) * N * N
                transposed = tl.load(own + column[None, :] * N + column[:, None])
                r = tl.dot(r, transposed, input_precision="tf32x3")
            first = last
        tl.store(after + step * of_step + place, r, mask=there)


@triton.jit
def walk_back(
    adjoint, angles, matrices, partners, signs, group_ends, before, slopes, gradient,
    received, end_slots, emitted, emitting, span_slots,
    steps, registers, samples, num_angles, readings,
    GROUPS: tl.constexpr, SHARED: tl.constexpr, SAMPLES: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """Carry ``adjoint`` (H, B, N) back through all steps, in place; writes the gradient of the angles (T, H, B, A).

    ``slopes`` (T, G, H, B, N) get lambda behind each group's matrix. ``received`` (R, H, B, N) enters at the end of
    steps by ``end_slots`` (T,), and ``emitted`` (E, R, H, B, N) before the matrix of the groups that ``emitting`` (G,)
    numbers, by ``span_slots`` (T,); -1 stands for none.
    """
    register = tl.program_id(0)
    sample = tl.program_id(1) * SAMPLES + tl.arange(0, SAMPLES)
    column = tl.arange(0, N)
    there = (sample < samples)[:, None]
    row = register * samples + sample
    place = row[:, None] * N + column[None, :]
    of_step = tl.full((), N, tl.int64) * registers * samples
    slope = tl.load(adjoint + place, mask=there, other=0.0)
    for back in range(steps):
        step = steps - 1 - back
        slot = tl.load(end_slots + step)
        if slot >= 0:
            slope += tl.load(received + slot * of_step + place, mask=there, other=0.0)
        span = tl.load(span_slots + step)
        for group in tl.static_range(GROUPS - 1, -1, -1):
            if group < SHARED:
                tl.store(slopes + (step * GROUPS + group) * of_step + place, slope, mask=there)
                own = matrices + (group * registers + register) * N * N
                matrix = tl.load(own + column[:, None] * N + column[None, :])
                slope = tl.dot(slope, matrix, input_precision="tf32x3")
            emission = tl.load(emitting + group)
            if (emission >= 0) & (span >= 0):
                at = (emission * readings + span) * of_step
                slope += tl.load(emitted + at + place, mask=there, other=0.0)
            r = tl.load(before + (step * GROUPS + group) * of_step + place, mask=there, other=0.0)
            first = 0
            if group > 0:
                first = tl.load(group_ends + group - 1)
            last = tl.load(group_ends + group)
            for turn_back in range(last - first):
                turn = last - 1 - turn_back
                partner = tl.load(partners + turn * N + column)
                sign = tl.load(signs + turn * N + column)
                at = (step * of_step // N + row) * num_angles + turn
                angle = tl.load(angles + at, mask=sample < samples, other=0.0)
                other = tl.gather(r, tl.broadcast_to(partner[None, :], (SAMPLES, N)), 1)
                found = tl.sum(slope * sign[None, :] * other, axis=1)
                tl.store(gradient + at, found, mask=sample < samples)
                cosine, sine = tl.cos(angle), -tl.sin(angle)
                moved = (cosine - 1)[:, None] * (sign * sign)[None, :]
                r = r + moved * r + sine[:, None] * sign[None, :] * other
                slope = _turned(slope, partner, sign, cosine, sine, SAMPLES, N)
    tl.store(adjoint + place, slope, mask=there)
