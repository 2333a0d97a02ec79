"""The compiled loops for a small matrix on one or two qubits, shared by all samples: gates, channels, whole gadgets.

The matrix is sparse. It reads one state and writes another, so that the state before it is still there backward, when
the gradient of each element is the sum of lambda_i r_j over all groups of rows.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import constant, load, store


@compiled
def apply_map(source, source_base, target, target_base, steps, index, transposed, coefficients):
    """Apply a map, or its transpose, to the state at ``source_base``; the result goes to ``target_base``."""
    bounds, elements, bases = steps.maps[index], steps.elements, steps.bases
    first_output, last_output = (bounds[4], bounds[5]) if transposed else (bounds[2], bounds[3])
    for output in range(first_output, last_output):
        row = target_base + steps.outputs[output, 0]
        first, end = steps.outputs[output, 1], steps.outputs[output, 2]
        if end == first:
            zero = constant(target, 0.0)
            for k in range(bounds[0], bounds[1]):
                store(target, row + bases[k], zero)
            continue
        i = source_base + elements[first, 0]
        x = constant(source, coefficients[elements[first, 1]])
        if end == first + 1:
            for k in range(bounds[0], bounds[1]):
                store(target, row + bases[k], x * load(source, i + bases[k]))
            continue
        j = source_base + elements[first + 1, 0]
        y = constant(source, coefficients[elements[first + 1, 1]])
        if end == first + 2:
            for k in range(bounds[0], bounds[1]):
                base = bases[k]
                store(target, row + base, x * load(source, i + base) + y * load(source, j + base))
            continue
        h = source_base + elements[first + 2, 0]
        z = constant(source, coefficients[elements[first + 2, 1]])
        for k in range(bounds[0], bounds[1]):
            base = bases[k]
            value = x * load(source, i + base) + y * load(source, j + base) + z * load(source, h + base)
            for element in range(first + 3, end):
                factor = constant(source, coefficients[elements[element, 1]])
                value = value + factor * load(source, source_base + elements[element, 0] + base)
            store(target, row + base, value)


@compiled
def add_map_gradient(states, base, adjoint, adjoint_base, steps, index, sums):
    """Add lambda_i r_j to the sum of each trained element, r before the map and lambda after it."""
    bounds, bases = steps.maps[index], steps.bases
    for k in range(bounds[6], bounds[7]):
        i, j = adjoint_base + steps.gradients[k, 0], base + steps.gradients[k, 1]
        total = load(sums, steps.gradients[k, 2])
        for group in range(bounds[0], bounds[1]):
            total = total + load(adjoint, i + bases[group]) * load(states, j + bases[group])
        store(sums, steps.gradients[k, 2], total)


@compiled
def emission(states, base, steps, first, end, coefficients):
    """Return the probability of an emission: a linear function of a few rows."""
    total = constant(states, 0.0)
    for element in range(first, end):
        factor = constant(states, coefficients[steps.elements[element, 1]])
        total = total + factor * load(states, base + steps.elements[element, 0])
    return total


@compiled
def add_emission_gradient(
    states, base, adjoint, adjoint_base, steps, first, end, coefficients, sums, trained, received
):
    """Carry dL/d(emission) back to the state and to the coefficients."""
    for element in range(first, end):
        row, coefficient = steps.elements[element, 0], steps.elements[element, 1]
        factor = constant(states, coefficients[coefficient])
        store(adjoint, adjoint_base + row, load(adjoint, adjoint_base + row) + factor * received)
        if coefficient < trained:
            store(sums, coefficient, load(sums, coefficient) + received * load(states, base + row))
