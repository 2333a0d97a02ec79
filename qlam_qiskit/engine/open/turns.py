"""The compiled loops for a turn about a Pauli string: a plane rotation of half of the numbers, in pairs.

``c`` and ``s`` are cos and sin of each sample's angle. The pairs of a turn are those from ``first`` to ``end`` in the
table of all turns, two entries each.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import at, load, store


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
