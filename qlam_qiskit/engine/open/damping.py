"""The compiled loops for x -> a x, y -> b y, z -> c z + d of one qubit: damping, dephasing, depolarizing, relaxation.

As any map they read one state and write another. The four coefficients follow one another from ``first`` on. A turn of
z towards x or y before it takes the same pass: that letter is number ``letter`` of the qubit's, X being 1 and Y 3.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import at, constant, load, registers, registers_in_row, store


@compiled
def damp(tape, source, target, size, step, coefficients, first):
    """Apply the channel to the qubit whose letters lie ``step`` rows apart."""
    a, b = constant(tape, at(coefficients, first)), constant(tape, at(coefficients, first + 1))
    c, d = constant(tape, at(coefficients, first + 2)), constant(tape, at(coefficients, first + 3))
    for start in range(0, size, 4 * step):
        for j in range(start, start + step):
            i, o = source + j, target + j
            one = load(tape, i)
            store(tape, o, one)
            store(tape, o + step, a * load(tape, i + step))
            store(tape, o + 2 * step, c * load(tape, i + 2 * step) + d * one)
            store(tape, o + 3 * step, b * load(tape, i + 3 * step))


@compiled
def undamp(adjoint, source, target, size, step, coefficients, first):
    """Apply the transpose of the channel to lambda."""
    a, b = constant(adjoint, at(coefficients, first)), constant(adjoint, at(coefficients, first + 1))
    c, d = constant(adjoint, at(coefficients, first + 2)), constant(adjoint, at(coefficients, first + 3))
    for start in range(0, size, 4 * step):
        for j in range(start, start + step):
            i, o = source + j, target + j
            z = load(adjoint, i + 2 * step)
            store(adjoint, o, load(adjoint, i) + d * z)
            store(adjoint, o + step, a * load(adjoint, i + step))
            store(adjoint, o + 2 * step, c * z)
            store(adjoint, o + 3 * step, b * load(adjoint, i + 3 * step))


@compiled
def add_damping_gradient(tape, state, adjoint, source, size, step, sums, first):
    """Add up lambda_x x, lambda_y y, lambda_z z and lambda_z, r before the channel and lambda after it."""
    a, b, c, d = load(sums, first), load(sums, first + 1), load(sums, first + 2), load(sums, first + 3)
    for start in range(0, size, 4 * step):
        for j in range(start, start + step):
            i, o = source + j, state + j
            z = load(adjoint, i + 2 * step)
            a = a + load(adjoint, i + step) * load(tape, o + step)
            b = b + load(adjoint, i + 3 * step) * load(tape, o + 3 * step)
            c = c + z * load(tape, o + 2 * step)
            d = d + z * load(tape, o)
    store(sums, first, a)
    store(sums, first + 1, b)
    store(sums, first + 2, c)
    store(sums, first + 3, d)


@compiled
def turn_and_damp(
    tape, source, target, size, bases, first_base, step, letter, cosines, sines, row, coefficients, first
):
    """Turn the qubit, then apply the channel."""
    parts, rows, shift = registers_in_row(tape), registers(tape), target - source
    z_row, q_row, t_row = source + 2 * step, source + letter * step, source + (4 - letter) * step
    a = constant(rows, at(coefficients, first + (letter >> 1)))
    b = constant(rows, at(coefficients, first + 1 - (letter >> 1)))
    e, d = constant(rows, at(coefficients, first + 2)), constant(rows, at(coefficients, first + 3))
    for part in range(parts):
        c, s = load(registers(cosines), row * parts + part), load(registers(sines), row * parts + part)
        for k in range(first_base, first_base + (size >> 2)):
            j = at(bases, k)
            i, z, q, t = source + j, z_row + j, q_row + j, t_row + j
            one, up, side = load(rows, i * parts + part), load(rows, z * parts + part), load(rows, q * parts + part)
            store(rows, (shift + i) * parts + part, one)
            store(rows, (shift + z) * parts + part, e * (c * up - s * side) + d * one)
            store(rows, (shift + q) * parts + part, a * (c * side + s * up))
            store(rows, (shift + t) * parts + part, b * load(rows, t * parts + part))


@compiled
def undo_damped_turn(
    tape,
    state,
    adjoint,
    source,
    target,
    size,
    bases,
    first_base,
    step,
    letter,
    cosines,
    sines,
    row,
    coefficients,
    first,
    trained,
    sums,
    gradients,
):
    """Apply the transpose to lambda, and add up the gradients of the angle and, where it is trained, of the channel.

    The state before both is on the tape.
    """
    parts, states, adjoints = registers_in_row(tape), registers(tape), registers(adjoint)
    z_row, q_row, t_row = 2 * step, letter * step, (4 - letter) * step
    turned, other = first + (letter >> 1), first + 1 - (letter >> 1)
    a, b = constant(states, at(coefficients, turned)), constant(states, at(coefficients, other))
    e, d = constant(states, at(coefficients, first + 2)), constant(states, at(coefficients, first + 3))
    for part in range(parts):
        place = row * parts + part
        c, s = load(registers(cosines), place), load(registers(sines), place)
        angle, of_a, of_b, of_e, of_d = c - c, c - c, c - c, c - c, c - c
        for k in range(first_base, first_base + (size >> 2)):
            j = at(bases, k)
            i, o, r = source + j, target + j, state + j
            w = load(adjoints, (i + z_row) * parts + part)
            up, side = load(states, (r + z_row) * parts + part), load(states, (r + q_row) * parts + part)
            of_d = of_d + w * load(states, r * parts + part)
            store(adjoints, o * parts + part, load(adjoints, i * parts + part) + d * w)
            v = load(adjoints, (i + t_row) * parts + part)
            of_b = of_b + v * load(states, (r + t_row) * parts + part)
            store(adjoints, (o + t_row) * parts + part, b * v)
            side, up = c * side + s * up, c * up - s * side
            u = load(adjoints, (i + q_row) * parts + part)
            of_e = of_e + w * up
            of_a = of_a + u * side
            w, u = e * w, a * u
            angle = angle + u * up - w * side
            store(adjoints, (o + z_row) * parts + part, c * w + s * u)
            store(adjoints, (o + q_row) * parts + part, c * u - s * w)
        _add(gradients, row, part, angle)
        if trained:
            _add(sums, turned, part, of_a)
            _add(sums, other, part, of_b)
            _add(sums, first + 2, part, of_e)
            _add(sums, first + 3, part, of_d)


@compiled
def _add(rows, row, part, value):
    place = row * registers_in_row(rows) + part
    store(registers(rows), place, load(registers(rows), place) + value)
