"""The compiled loops for x -> a x, y -> b y, z -> c z + d of one qubit: damping, dephasing, depolarizing, relaxation.

As any map they read one state and write another. The four coefficients follow one another from ``first`` on.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import at, constant, load, store


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
