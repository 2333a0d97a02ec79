"""The compiled loops for a turn about a Pauli string: a plane rotation of half of the numbers, in pairs.

``c`` and ``s`` are cos and sin of each sample's angle. The pairs of a turn are those from ``first`` to ``end`` in the
table of all turns, two entries each. Two turns on one qubit take one pass: the first turns its letter p towards q,
the second q towards r; p, q and r are given as rows from the first of each group of four, which ``bases`` lists from
``first`` on.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import at, load, registers, registers_in_row, store


@compiled
def turn(states, base, pairs, first, end, c, s):
    """Turn the state whose rows begin at ``base``."""
    for k in range(first, end):
        i, j = base + at(pairs, 2 * k), base + at(pairs, 2 * k + 1)
        a, b = load(states, i), load(states, j)
        store(states, i, c * a - s * b)
        store(states, j, c * b + s * a)


@compiled
def unturn(states, base, adjoint, adjoint_base, pairs, first, end, c, s):
    """Undo a turn on a state and on its adjoint; returns dL/da, for which it does not matter where it is taken."""
    total = c - c
    for k in range(first, end):
        i, j = at(pairs, 2 * k), at(pairs, 2 * k + 1)
        a, b = load(states, base + i), load(states, base + j)
        u, v = load(adjoint, adjoint_base + i), load(adjoint, adjoint_base + j)
        total = total + v * a - u * b
        store(states, base + i, c * a + s * b)
        store(states, base + j, c * b - s * a)
        store(adjoint, adjoint_base + i, c * u + s * v)
        store(adjoint, adjoint_base + j, c * v - s * u)
    return total


@compiled
def turn_twice(states, base, size, bases, first, p, q, r, cosines, sines, row, cosines2, sines2, row2):
    """Turn by two angles."""
    parts, rows, p, q, r = registers_in_row(states), registers(states), base + p, base + q, base + r
    for part in range(parts):
        c = load(registers(cosines), row * parts + part)
        s = load(registers(sines), row * parts + part)
        c2 = load(registers(cosines2), row2 * parts + part)
        s2 = load(registers(sines2), row2 * parts + part)
        for k in range(first, first + (size >> 2)):
            j = at(bases, k)
            i, m, n = (p + j) * parts + part, (q + j) * parts + part, (r + j) * parts + part
            x, y, z = load(rows, i), load(rows, m), load(rows, n)
            store(rows, i, c * x - s * y)
            y = c * y + s * x
            store(rows, m, c2 * y - s2 * z)
            store(rows, n, c2 * z + s2 * y)


@compiled
def unturn_twice(
    states,
    base,
    adjoint,
    adjoint_base,
    size,
    bases,
    first,
    p,
    q,
    r,
    cosines,
    sines,
    row,
    cosines2,
    sines2,
    row2,
    gradients,
    gradients2,
):
    """Undo two turns on a state and on its adjoint, and add dL/da of each to its row of gradients."""
    parts, rows, adjoints = registers_in_row(states), registers(states), registers(adjoint)
    shift = adjoint_base - base
    p, q, r = base + p, base + q, base + r
    for part in range(parts):
        place, place2 = row * parts + part, row2 * parts + part
        c, s = load(registers(cosines), place), load(registers(sines), place)
        c2, s2 = load(registers(cosines2), place2), load(registers(sines2), place2)
        total, total2 = c - c, c - c
        for k in range(first, first + (size >> 2)):
            j = at(bases, k)
            m, n = q + j, r + j
            y, z = load(rows, m * parts + part), load(rows, n * parts + part)
            v, w = load(adjoints, (shift + m) * parts + part), load(adjoints, (shift + n) * parts + part)
            total2 = total2 + w * y - v * z
            store(rows, n * parts + part, c2 * z - s2 * y)
            store(adjoints, (shift + n) * parts + part, c2 * w - s2 * v)
            y, v = c2 * y + s2 * z, c2 * v + s2 * w
            i = p + j
            x, u = load(rows, i * parts + part), load(adjoints, (shift + i) * parts + part)
            total = total + v * x - u * y
            store(rows, i * parts + part, c * x + s * y)
            store(rows, m * parts + part, c * y - s * x)
            store(adjoints, (shift + i) * parts + part, c * u + s * v)
            store(adjoints, (shift + m) * parts + part, c * v - s * u)
        sums, sums2 = registers(gradients), registers(gradients2)
        store(sums, place, load(sums, place) + total)
        store(sums2, place2, load(sums2, place2) + total2)
