"""The compiled loops for a small matrix on one or two qubits, shared by all samples: gates, channels, whole gadgets.

The matrix is sparse. It reads one state and writes another, so that the state before it is still there backward, when
the gradient of each element is the sum of lambda_i r_j over all groups of rows. Most channels of one qubit are of the
form x, y -> a x, b y and z -> c z + d, and have loops of their own (:mod:`.damping`).
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import at, constant, load, store


@compiled
def apply_map(source, source_base, target, target_base, steps, outputs, last_output, first_base, end_base, coefficients):
    """Apply a map, given by its ``outputs``, to the state at ``source_base``; the result goes to ``target_base``."""
    elements, bases = steps.elements, steps.bases
    for output in range(outputs, last_output):
        row = target_base + at(steps.outputs, 3 * output)
        first, end = at(steps.outputs, 3 * output + 1), at(steps.outputs, 3 * output + 2)
        if end == first:
            zero = constant(target, 0.0)
            for k in range(first_base, end_base):
                store(target, row + at(bases, k), zero)
            continue
        i = source_base + at(elements, 2 * first)
        x = constant(source, at(coefficients, at(elements, 2 * first + 1)))
        if end == first + 1:
            for k in range(first_base, end_base):
                store(target, row + at(bases, k), x * load(source, i + at(bases, k)))
            continue
        j = source_base + at(elements, 2 * first + 2)
        y = constant(source, at(coefficients, at(elements, 2 * first + 3)))
        if end == first + 2:
            for k in range(first_base, end_base):
                base = at(bases, k)
                store(target, row + base, x * load(source, i + base) + y * load(source, j + base))
            continue
        h = source_base + at(elements, 2 * first + 4)
        z = constant(source, at(coefficients, at(elements, 2 * first + 5)))
        for k in range(first_base, end_base):
            base = at(bases, k)
            value = x * load(source, i + base) + y * load(source, j + base) + z * load(source, h + base)
            for element in range(first + 3, end):
                factor = constant(source, at(coefficients, at(elements, 2 * element + 1)))
                value = value + factor * load(source, source_base + at(elements, 2 * element) + base)
            store(target, row + base, value)


@compiled
def add_map_gradient(states, base, adjoint, adjoint_base, steps, first, end, first_base, end_base, sums):
    """Add lambda_i r_j to the sum of each trained element, r before the map and lambda after it."""
    bases = steps.bases
    for k in range(first, end):
        i, j = adjoint_base + at(steps.gradients, 3 * k), base + at(steps.gradients, 3 * k + 1)
        coefficient = at(steps.gradients, 3 * k + 2)
        total = load(sums, coefficient)
        for group in range(first_base, end_base):
            total = total + load(adjoint, i + at(bases, group)) * load(states, j + at(bases, group))
        store(sums, coefficient, total)


@compiled
def emission(states, base, steps, first, end, coefficients):
    """Return the probability of an emission: a linear function of a few rows."""
    total = constant(states, 0.0)
    for element in range(first, end):
        factor = constant(states, at(coefficients, at(steps.elements, 2 * element + 1)))
        total = total + factor * load(states, base + at(steps.elements, 2 * element))
    return total


@compiled
def add_emission_gradient(states, base, adjoint, adjoint_base, steps, first, end, coefficients, sums, trained, received):
    """Carry dL/d(emission) back to the state and to the coefficients."""
    for element in range(first, end):
        row, coefficient = at(steps.elements, 2 * element), at(steps.elements, 2 * element + 1)
        factor = constant(states, at(coefficients, coefficient))
        store(adjoint, adjoint_base + row, load(adjoint, adjoint_base + row) + factor * received)
        if coefficient < trained:
            store(sums, coefficient, load(sums, coefficient) + received * load(states, base + row))
