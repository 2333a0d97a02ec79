"""The compiled loops for a turn about a Pauli string: a plane rotation of half of the numbers, in pairs.

``c`` and ``s`` are cos and sin of each sample's angle. The pairs of a turn are those from ``first`` to ``end`` in the
table of all turns, two entries each. Two turns on one qubit take one pass: the first turns its letter p towards q, the
second q towards r; p, q and r are given as rows from the first of each group of four, which ``bases`` lists from
``first`` on.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.open.arrays import TILE
from qlam_qiskit.engine.simd import at, load, registers, registers_in_row, rows_from, store


@compiled
def turn(states, pairs, first, end, c, s):
    """Turn a state."""
    for k in range(first, end):
        i, j = at(pairs, 2 * k), at(pairs, 2 * k + 1)
        a, b = load(states, i), load(states, j)
        store(states, i, c * a - s * b)
        store(states, j, c * b + s * a)


@compiled
def unturn(states, adjoint, pairs, first, end, c, s):
    """Undo a turn on a state and on its adjoint; returns dL/da, for which it does not matter where it is taken."""
    # Where a row is one register, two sums: each multiply-add waits for the one before it in its sum.
    gain, loss, alone = c - c, c - c, registers_in_row(states) == 1
    for k in range(first, end):
        i, j = at(pairs, 2 * k), at(pairs, 2 * k + 1)
        a, b = load(states, i), load(states, j)
        u, v = load(adjoint, i), load(adjoint, j)
        if alone:
            gain, loss = gain + v * a, loss + u * b
        else:
            gain = gain + v * a - u * b
        store(states, i, c * a + s * b)
        store(states, j, c * b - s * a)
        store(adjoint, i, c * u + s * v)
        store(adjoint, j, c * v - s * u)
    return gain - loss


@compiled
def unturn_adjoint(adjoint, pairs, first, end, c, s):
    """Undo a turn on an adjoint alone."""
    for k in range(first, end):
        i, j = at(pairs, 2 * k), at(pairs, 2 * k + 1)
        u, v = load(adjoint, i), load(adjoint, j)
        store(adjoint, i, c * u + s * v)
        store(adjoint, j, c * v - s * u)


@compiled
def turn_gradient(states, adjoint, pairs, first, end):
    """Return dL/da of a turn."""
    # Four sums, for the reason given above.
    zero = load(states, 0) - load(states, 0)
    gain, loss, gain2, loss2 = zero, zero, zero, zero
    for k in range(first, end - 1, 2):
        i, j = at(pairs, 2 * k), at(pairs, 2 * k + 1)
        gain = gain + load(adjoint, j) * load(states, i)
        loss = loss + load(adjoint, i) * load(states, j)
        i, j = at(pairs, 2 * k + 2), at(pairs, 2 * k + 3)
        gain2 = gain2 + load(adjoint, j) * load(states, i)
        loss2 = loss2 + load(adjoint, i) * load(states, j)
    if end - first == 1:  # the others are powers of 4
        i, j = at(pairs, 2 * first), at(pairs, 2 * first + 1)
        gain, loss = load(adjoint, j) * load(states, i), load(adjoint, i) * load(states, j)
    return gain + gain2 - (loss + loss2)


@compiled
def turn_twice(states, size, bases, first, p, q, r, cosines, sines, cosines2, sines2):
    """Turn a state by two angles, whose cos and sin are the first of the rows given."""
    parts, end = registers_in_row(states), first + (size >> 2)
    for begin in range(first, end, TILE):
        for part in range(parts):
            c, s = load(registers(cosines), part), load(registers(sines), part)
            c2, s2 = load(registers(cosines2), part), load(registers(sines2), part)
            xs, ys, zs = part_of(states, p, part), part_of(states, q, part), part_of(states, r, part)
            for k in range(begin, min(begin + TILE, end)):
                j = at(bases, k) * parts
                x, y, z = load(xs, j), load(ys, j), load(zs, j)
                store(xs, j, c * x - s * y)
                y = c * y + s * x
                store(ys, j, c2 * y - s2 * z)
                store(zs, j, c2 * z + s2 * y)


@compiled
def unturn_twice(states, adjoint, size, bases, first, p, q, r, cosines, sines, cosines2, sines2, gradients, gradients2):
    """Undo two turns on a state and on its adjoint, and add dL/da of each to the first row of its gradients."""
    parts, end = registers_in_row(states), first + (size >> 2)
    for begin in range(first, end, TILE):
        for part in range(parts):
            c, s = load(registers(cosines), part), load(registers(sines), part)
            c2, s2 = load(registers(cosines2), part), load(registers(sines2), part)
            xs, ys, zs = part_of(states, p, part), part_of(states, q, part), part_of(states, r, part)
            us, vs, ws = part_of(adjoint, p, part), part_of(adjoint, q, part), part_of(adjoint, r, part)
            total, total2 = c - c, c - c
            for k in range(begin, min(begin + TILE, end)):
                j = at(bases, k) * parts
                y, z, v, w = load(ys, j), load(zs, j), load(vs, j), load(ws, j)
                total2 = total2 + w * y - v * z
                store(zs, j, c2 * z - s2 * y)
                store(ws, j, c2 * w - s2 * v)
                y, v = c2 * y + s2 * z, c2 * v + s2 * w
                x, u = load(xs, j), load(us, j)
                total = total + v * x - u * y
                store(xs, j, c * x + s * y)
                store(ys, j, c * y - s * x)
                store(us, j, c * u + s * v)
                store(vs, j, c * v - s * u)
            add_part(gradients, 0, part, total)
            add_part(gradients2, 0, part, total2)


@compiled
def part_of(rows, row, part):
    """Return one register of each row, from ``row`` on: row j is then number j * registers_in_row."""
    return rows_from(registers(rows), row * registers_in_row(rows) + part)


@compiled
def add_part(rows, row, part, value):
    """Add to one register of a row."""
    place = part_of(rows, row, part)
    store(place, 0, load(place, 0) + value)
