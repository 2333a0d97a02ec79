"""The compiled loops that turn inputs into rows of angles, angles into cos and sin, and gradients of rows back.

They run chunk by chunk, so that the angles of a sequence are never held in the layout of the state.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import constant, get, load, nearest, put, store


@compiled
def prepare_rows(inputs, block, step, count, circuit, numbers):
    """Leave the angles of ``count`` steps from ``step`` on, and cos and sin of half of each, in the circuit's rows.

    inputs (B, T, P) of the block's head. Row r of a step is offset_r plus the sum of factor * input over its terms.
    """
    steps, offsets, rows = circuit.steps, circuit.shared.offsets, circuit.rows
    width = len(offsets)
    for t in range(count):
        for lane in range(block.lanes):
            for r in range(width):
                angle = offsets[r]
                for term in range(steps.row_starts[r], steps.row_starts[r + 1]):
                    value = inputs[block.first + lane, step + t, steps.row_inputs[term]]
                    angle += steps.row_factors[term] * value
                put(rows.angles, t * width + r, lane, angle)
    _cos_sin(rows, count * width, numbers)


@compiled
def return_gradients(gradient, block, step, count, circuit):
    """Undo :func:`prepare_rows` on gradients: write them for each input, and add up what the offsets receive."""
    steps, totals, rows = circuit.steps, circuit.sums.offsets, circuit.rows
    width = len(totals)
    for t in range(count):
        for lane in range(block.lanes):
            for p in range(gradient.shape[2]):
                gradient[block.first + lane, step + t, p] = 0
            for r in range(width):
                value = get(rows.gradients, t * width + r, lane)
                totals[r] += value
                for term in range(steps.row_starts[r], steps.row_starts[r + 1]):
                    p = steps.row_inputs[term]
                    gradient[block.first + lane, step + t, p] += steps.row_factors[term] * value


@compiled
def _cos_sin(rows, count, numbers):
    """Turn ``count`` rows of angles into cos and sin of half of each.

    The half angle is reduced to [-pi/2, pi/2] by a multiple k of pi, held in three parts so that nothing cancels;
    cos and sin then change sign with k, and their Taylor polynomials on that interval are exact to rounding.
    """
    half, inverse_pi = constant(rows.angles, 0.5), constant(rows.angles, 1 / 3.141592653589793)
    one = constant(rows.angles, 1.0)
    for row in range(count):
        angle = load(rows.angles, row) * half
        k = nearest(angle * inverse_pi)
        r = angle - k * constant(rows.angles, numbers.pi[0])
        r = r - k * constant(rows.angles, numbers.pi[1])
        r = r - k * constant(rows.angles, numbers.pi[2])
        even = nearest(k * half)
        odd = k - even - even  # -1, 0 or 1
        sign = one - odd * odd - odd * odd
        square = r * r
        sine = constant(rows.angles, numbers.sin_terms[0])
        for term in range(1, len(numbers.sin_terms)):
            sine = sine * square + constant(rows.angles, numbers.sin_terms[term])
        cosine = constant(rows.angles, numbers.cos_terms[0])
        for term in range(1, len(numbers.cos_terms)):
            cosine = cosine * square + constant(rows.angles, numbers.cos_terms[term])
        store(rows.sines, row, sine * r * sign)
        store(rows.cosines, row, cosine * sign)
