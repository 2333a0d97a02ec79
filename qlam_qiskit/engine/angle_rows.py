"""The compiled loops that turn inputs into rows of angles, angles into cos and sin, and gradients of rows back.

They run chunk by chunk, so that the angles of a sequence are never held in the layout of the state.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import LANES, broadcast, load, nearest, store


@compiled
def cos_sin_rows(rows, count, numbers, cosines, sines):
    """Turn ``count`` rows of angles into cos and sin of half of each.

    The half angle is reduced to [-pi/2, pi/2] by a multiple k of pi, held in three parts so that nothing cancels;
    cos and sin then change sign with k, and their Taylor polynomials on that interval are exact to rounding.
    """
    half, inverse_pi, one = broadcast(numbers.half[0]), broadcast(numbers.half[1]), broadcast(numbers.half[2])
    for row in range(count):
        angle = load(rows, row) * half
        k = nearest(angle * inverse_pi)
        r = angle - k * broadcast(numbers.pi[0])
        r = r - k * broadcast(numbers.pi[1])
        r = r - k * broadcast(numbers.pi[2])
        even = nearest(k * half)
        odd = k - even - even  # -1, 0 or 1
        sign = one - odd * odd - odd * odd
        square = r * r
        sine = broadcast(numbers.sin_terms[0])
        for term in range(1, len(numbers.sin_terms)):
            sine = sine * square + broadcast(numbers.sin_terms[term])
        cosine = broadcast(numbers.cos_terms[0])
        for term in range(1, len(numbers.cos_terms)):
            cosine = cosine * square + broadcast(numbers.cos_terms[term])
        store(sines, row, sine * r * sign)
        store(cosines, row, cosine * sign)


@compiled
def gather_rows(inputs, first, lanes, step, count, plan, offsets, rows):
    """Compute the angles of ``count`` steps: row r is offset_r plus the sum of factor * input over its terms."""
    width = len(offsets)
    for t in range(count):
        for lane in range(lanes):
            for r in range(width):
                angle = offsets[r]
                for term in range(plan.row_starts[r], plan.row_starts[r + 1]):
                    angle += plan.row_factors[term] * inputs[first + lane, step + t, plan.row_inputs[term]]
                rows[(t * width + r) * LANES + lane] = angle


@compiled
def scatter_rows(gradient, first, lanes, step, count, plan, rows, totals):
    """Undo :func:`gather_rows` on gradients: write them per input, and add up what the offsets receive."""
    width = len(totals)
    for t in range(count):
        for lane in range(lanes):
            for p in range(gradient.shape[2]):
                gradient[first + lane, step + t, p] = 0
            for r in range(width):
                value = rows[(t * width + r) * LANES + lane]
                totals[r] += value
                for term in range(plan.row_starts[r], plan.row_starts[r + 1]):
                    gradient[first + lane, step + t, plan.row_inputs[term]] += plan.row_factors[term] * value
