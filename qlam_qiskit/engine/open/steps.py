"""One step of a compiled open circuit, forward and backward.

Forward, turns happen in place and every map writes the next state of the tape. Backward, turns are undone, and before a
map its input is found on the tape. With lambda_T = dL/dr_T, the angle of a turn that takes r to r cos + G r sin has
dL/da = lambda^T G r, and the element M_ij of a map lambda_i r_j.

An operation is eight integers, the first of them its kind:

TURN   first pair, end, shared?, angle row
DAMP   distance of the qubit's letters, first coefficient, trained?
MAP    bounds of its bases and outputs; the bounds of its transpose's outputs and of its gradients lie in ``transposes``
EMIT   emission, first element, end
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.open.arrays import DAMP, EMIT, TURN
from qlam_qiskit.engine.open.damping import add_damping_gradient, damp, undamp
from qlam_qiskit.engine.open.maps import add_emission_gradient, add_map_gradient, apply_map, emission
from qlam_qiskit.engine.open.turns import turn, unturn
from qlam_qiskit.engine.simd import at, load, store


@compiled
def apply_step(tape, state, states, size, circuit, base, emitted, emit):
    """Apply a step, whose angle rows begin at ``base``, to state number ``state`` of a tape of ``states``.

    Returns the number of the state that holds the result; a tape that is too short is used in a circle.
    """
    steps, shared, rows = circuit.steps, circuit.shared, circuit.rows
    operations, coefficients = steps.operations, shared.coefficients
    for index in range(0, len(operations), 8):
        kind, first, second = at(operations, index), at(operations, index + 1), at(operations, index + 2)
        third, fourth = at(operations, index + 3), at(operations, index + 4)
        if kind == TURN:
            if third:
                c, s = load(shared.cosines, fourth), load(shared.sines, fourth)
            else:
                c, s = load(rows.cosines, base + fourth), load(rows.sines, base + fourth)
            turn(tape, state * size, steps.pairs, first, second, c, s)
        elif kind == EMIT:
            if emit:
                value = emission(tape, state * size, steps, second, third, coefficients)
                store(emitted, first, load(emitted, first) + value)
        else:
            following = state + 1 if state + 1 < states else 0
            if kind == DAMP:
                damp(tape, state * size, following * size, size, first, coefficients, second)
            else:
                apply_map(tape, state * size, tape, following * size, steps, third, fourth, first, second, coefficients)
            state = following
    return state


@compiled
def unapply_step(tape, state, adjoint, half, size, circuit, base, received, emit):
    """Undo a step that ended in ``state``, with lambda in one ``half`` of ``adjoint``; returns lambda's half after it."""
    steps, shared, rows, sums = circuit.steps, circuit.shared, circuit.rows, circuit.sums
    operations, coefficients, trained = steps.operations, shared.coefficients, len(sums.coefficients)
    for index in range(len(operations) - 8, -8, -8):
        kind, first, second = at(operations, index), at(operations, index + 1), at(operations, index + 2)
        third, fourth = at(operations, index + 3), at(operations, index + 4)
        if kind == TURN:
            if third:
                c, s = load(shared.cosines, fourth), load(shared.sines, fourth)
            else:
                c, s = load(rows.cosines, base + fourth), load(rows.sines, base + fourth)
            g = unturn(tape, state * size, adjoint, half * size, steps.pairs, first, second, c, s)
            if third:
                store(sums.shared_rows, fourth, load(sums.shared_rows, fourth) + g)
            else:
                store(rows.gradients, base + fourth, load(rows.gradients, base + fourth) + g)
        elif kind == EMIT:
            if emit:
                add_emission_gradient(
                    tape,
                    state * size,
                    adjoint,
                    half * size,
                    steps,
                    second,
                    third,
                    coefficients,
                    sums.coefficient_rows,
                    trained,
                    load(received, first),
                )
        else:
            state -= 1
            source, target = half * size, (1 - half) * size
            if kind == DAMP:
                if third:
                    add_damping_gradient(
                        tape, state * size, adjoint, source, size, first, sums.coefficient_rows, second
                    )
                undamp(adjoint, source, target, size, first, coefficients, second)
            else:
                place = at(operations, index + 5)
                outputs, last = at(steps.transposes, place), at(steps.transposes, place + 1)
                gradients, end = at(steps.transposes, place + 2), at(steps.transposes, place + 3)
                add_map_gradient(
                    tape,
                    state * size,
                    adjoint,
                    source,
                    steps,
                    gradients,
                    end,
                    first,
                    second,
                    sums.coefficient_rows,
                )
                apply_map(adjoint, source, adjoint, target, steps, outputs, last, first, second, coefficients)
            half = 1 - half
    return half
