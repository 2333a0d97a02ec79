"""The compiled loops for x -> a x, y -> b y, z -> c z + d of one qubit: damping, dephasing, depolarizing, relaxation.

They read one state and write another, or the same. The four coefficients follow one another from ``first`` on. A turn
of z towards x or y before it takes the same pass: that letter is number ``letter`` of the qubit's, X being 1, Y 3.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.open.arrays import TILE
from qlam_qiskit.engine.open.turns import add_part, part_of
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
def undamp(adjoint, source, size, step, coefficients, first):
    """Apply the transpose of the channel to lambda, in place."""
    a, b = constant(adjoint, at(coefficients, first)), constant(adjoint, at(coefficients, first + 1))
    c, d = constant(adjoint, at(coefficients, first + 2)), constant(adjoint, at(coefficients, first + 3))
    for start in range(0, size, 4 * step):
        for j in range(start, start + step):
            i = source + j
            z = load(adjoint, i + 2 * step)
            store(adjoint, i, load(adjoint, i) + d * z)
            store(adjoint, i + step, a * load(adjoint, i + step))
            store(adjoint, i + 2 * step, c * z)
            store(adjoint, i + 3 * step, b * load(adjoint, i + 3 * step))


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
def turn_and_damp(before, after, size, bases, first_base, step, letter, cosines, sines, coefficients, first):
    """Turn the qubit, then apply the channel; the angle's cos and sin are the first of the rows given."""
    parts, end, rows = registers_in_row(before), first_base + (size >> 2), registers(before)
    a = constant(rows, at(coefficients, first + (letter >> 1)))
    b = constant(rows, at(coefficients, first + 1 - (letter >> 1)))
    e, d = constant(rows, at(coefficients, first + 2)), constant(rows, at(coefficients, first + 3))
    for begin in range(first_base, end, TILE):
        for part in range(parts):
            c, s = load(registers(cosines), part), load(registers(sines), part)
            ca, sa, ce, se = a * c, a * s, e * c, e * s
            ones, ups = part_of(before, 0, part), part_of(before, 2 * step, part)
            sides, others = part_of(before, letter * step, part), part_of(before, (4 - letter) * step, part)
            new_ones, new_ups = part_of(after, 0, part), part_of(after, 2 * step, part)
            new_sides, new_others = part_of(after, letter * step, part), part_of(after, (4 - letter) * step, part)
            for k in range(begin, min(begin + TILE, end)):
                j = at(bases, k) * parts
                one, up, side = load(ones, j), load(ups, j), load(sides, j)
                store(new_ones, j, one)
                store(new_others, j, b * load(others, j))
                store(new_ups, j, ce * up - se * side + d * one)
                store(new_sides, j, ca * side + sa * up)


@compiled
def undo_damped_turn(
    states,
    adjoint,
    size,
    bases,
    first_base,
    step,
    letter,
    cosines,
    sines,
    coefficients,
    first,
    trained,
    sums,
    gradients,
):
    """Apply the transpose to lambda in place; ``states`` begin with the state before both.

    The gradient of the angle is added to the first row of its ``gradients``, those of a trained channel to ``sums``.
    """
    parts, end, rows = registers_in_row(states), first_base + (size >> 2), registers(states)
    turned, other = first + (letter >> 1), first + 1 - (letter >> 1)
    a, b = constant(rows, at(coefficients, turned)), constant(rows, at(coefficients, other))
    e, d = constant(rows, at(coefficients, first + 2)), constant(rows, at(coefficients, first + 3))
    for begin in range(first_base, end, TILE):
        for part in range(parts):
            c, s = load(registers(cosines), part), load(registers(sines), part)
            ca, sa, ce, se = a * c, a * s, e * c, e * s
            # Sums of lambda r over rows: up is the row of Z, side that of the letter it is turned towards.
            up_up, up_side, side_up, side_side, of_b, of_d = c - c, c - c, c - c, c - c, c - c, c - c
            ones, ups = part_of(states, 0, part), part_of(states, 2 * step, part)
            sides, others = part_of(states, letter * step, part), part_of(states, (4 - letter) * step, part)
            lambdas = part_of(adjoint, 0, part)
            up_row, side_row, other_row = 2 * step * parts, letter * step * parts, (4 - letter) * step * parts
            for k in range(begin, min(begin + TILE, end)):
                j = at(bases, k) * parts
                i, m, n = j + up_row, j + side_row, j + other_row
                w, u, v = load(lambdas, i), load(lambdas, m), load(lambdas, n)
                of_d = of_d + w * load(ones, j)
                store(lambdas, j, load(lambdas, j) + d * w)
                of_b = of_b + v * load(others, j)
                store(lambdas, n, b * v)
                up, side = load(ups, j), load(sides, j)
                up_up, up_side = up_up + w * up, up_side + w * side
                side_up, side_side = side_up + u * up, side_side + u * side
                store(lambdas, i, ce * w + sa * u)
                store(lambdas, m, ca * u - se * w)
            add_part(gradients, 0, part, ca * side_up - sa * side_side - ce * up_side - se * up_up)
            if trained:
                add_part(sums, turned, part, c * side_side + s * side_up)
                add_part(sums, other, part, of_b)
                add_part(sums, first + 2, part, c * up_up - s * up_side)
                add_part(sums, first + 3, part, of_d)
