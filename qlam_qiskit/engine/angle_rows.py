"""The compiled loops that turn inputs into rows of angles, angles into cos and sin, and gradients of rows back.

States turn by half of an angle, density matrices by all of it: ``numbers.part`` says which cos and sin are wanted.

They run chunk by chunk, so that the angles of a sequence are never held in the layout of the state. Only the change of
layout goes number by number; sums over an angle's terms, cos and sin are taken for all samples of a block at once.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import (
    at,
    constant,
    fetch,
    gather,
    get,
    lanes_of,
    load,
    nearest,
    put,
    scatter,
    store,
    total,
)


@compiled
def prepare_rows(inputs, block, step, count, circuit, numbers):
    """Leave cos and sin of each angle, or of half of it, of ``count`` steps, from ``step`` on, in the circuit's rows.

    inputs (B, T, P) of the block's register. Row r of a step is offset_r plus the sum of factor * input over its terms.
    """
    steps, offsets, rows, size = circuit.steps, circuit.shared.offsets, circuit.rows, inputs.shape[2]
    full = block.lanes == lanes_of(rows.inputs)
    for t in range(count):
        for p in range(size):
            if full:
                store(rows.inputs, t * size + p, gather(rows.inputs, inputs, block.first, step + t, p))
            else:
                for lane in range(block.lanes):
                    put(rows.inputs, t * size + p, lane, inputs[block.first + lane, step + t, p])
    width = len(circuit.sums.offsets)
    for t in range(count):
        for r in range(width):
            angle = constant(rows.inputs, at(offsets, r))
            for term in range(at(steps.row_starts, r), at(steps.row_starts, r + 1)):
                value = load(rows.inputs, t * size + at(steps.row_inputs, term))
                angle = angle + constant(rows.inputs, at(steps.row_factors, term)) * value
            _cos_sin(angle, rows, t * width + r, numbers)


@compiled
def fetch_steps(inputs, block, step, count):
    """Ask for the inputs of ``count`` steps, from ``step`` on, so that they are near when their turn comes."""
    line = 64 // inputs.itemsize
    for lane in range(block.lanes):
        for number in range(0, count * inputs.shape[2], line):
            fetch(inputs, block.first + lane, step, number)


@compiled
def return_gradients(gradient, block, step, count, circuit):
    """Undo :func:`prepare_rows` on gradients: write them for each input, and add up what the offsets receive."""
    rows, size = circuit.rows, gradient.shape[2]
    _gather_gradients(count, size, circuit)
    full = block.lanes == lanes_of(rows.inputs)
    for t in range(count):
        for p in range(size):
            if full:
                scatter(gradient, block.first, step + t, p, load(rows.inputs, t * size + p))
            else:
                for lane in range(block.lanes):
                    gradient[block.first + lane, step + t, p] = get(rows.inputs, t * size + p, lane)


@compiled
def add_gradients(gradient, block, step, count, circuit):
    """Do the same, but add to what ``gradient`` holds: a sample that is not read receives zero."""
    rows, size = circuit.rows, gradient.shape[2]
    _gather_gradients(count, size, circuit)
    for lane in range(block.lanes):
        for t in range(count):
            for p in range(size):
                gradient[block.first + lane, step + t, p] += get(rows.inputs, t * size + p, lane)


@compiled
def _gather_gradients(count, size, circuit):
    """Add up the gradients of ``size`` inputs in their rows, and what the offsets receive."""
    steps, totals, rows = circuit.steps, circuit.sums.offsets, circuit.rows
    zero, width = constant(rows.inputs, 0.0), len(totals)
    for row in range(count * size):
        store(rows.inputs, row, zero)
    for r in range(width):
        received = zero
        for t in range(count):
            value = load(rows.gradients, t * width + r)
            received = received + value
            for term in range(at(steps.row_starts, r), at(steps.row_starts, r + 1)):
                row = t * size + at(steps.row_inputs, term)
                share = constant(rows.inputs, at(steps.row_factors, term)) * value
                store(rows.inputs, row, load(rows.inputs, row) + share)
        totals[r] += total(received)


@compiled
def _cos_sin(angle, rows, row, numbers):
    """Store cos and sin of the part of an angle that is wanted.

    That is reduced to [-pi/2, pi/2] by a multiple k of pi, held in three parts so that nothing cancels;
    cos and sin then change sign with k, and their Taylor polynomials on that interval are exact to rounding.
    """
    half, inverse_pi = constant(rows.cosines, 0.5), constant(rows.cosines, 1 / 3.141592653589793)
    one = constant(rows.cosines, 1.0)
    angle = angle * constant(rows.cosines, numbers.part)
    k = nearest(angle * inverse_pi)
    r = angle - k * constant(rows.cosines, numbers.pi[0])
    r = r - k * constant(rows.cosines, numbers.pi[1])
    r = r - k * constant(rows.cosines, numbers.pi[2])
    even = nearest(k * half)
    odd = k - even - even  # -1, 0 or 1
    sign = one - odd * odd - odd * odd
    square = r * r
    sine = constant(rows.cosines, numbers.sin_terms[0])
    for term in range(1, len(numbers.sin_terms)):
        sine = sine * square + constant(rows.cosines, numbers.sin_terms[term])
    cosine = constant(rows.cosines, numbers.cos_terms[0])
    for term in range(1, len(numbers.cos_terms)):
        cosine = cosine * square + constant(rows.cosines, numbers.cos_terms[term])
    store(rows.sines, row, sine * r * sign)
    store(rows.cosines, row, cosine * sign)
