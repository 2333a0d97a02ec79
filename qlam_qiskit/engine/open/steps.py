"""One step of a compiled open circuit, forward and backward.

Forward, turns happen in place and every map writes the next state of the tape. Backward, turns are undone, and before a
map its input is found on the tape. With lambda_T = dL/dr_T, the angle of a turn that takes r to r cos + G r sin has
dL/da = lambda^T G r, and the element M_ij of a map lambda_i r_j.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.open.arrays import EMIT, MAP
from qlam_qiskit.engine.open.maps import add_emission_gradient, add_map_gradient, apply_map, emission
from qlam_qiskit.engine.open.turns import turn, unturn
from qlam_qiskit.engine.simd import load, store


@compiled
def apply_step(tape, state, states, size, circuit, base, emitted, emit):
    """Apply a step, whose angle rows begin at ``base``, to state number ``state`` of a tape of ``states``.

    Returns the number of the state that holds the result; a tape that is too short is used in a circle.
    """
    steps, shared, rows = circuit.steps, circuit.shared, circuit.rows
    for index in range(len(steps.operations)):
        operation = steps.operations[index]
        kind, where = operation[0], operation[1]
        if kind == MAP:
            following = state + 1 if state + 1 < states else 0
            apply_map(tape, state * size, tape, following * size, steps, where, False, shared.coefficients)
            state = following
        elif kind == EMIT:
            if emit:
                value = emission(tape, state * size, steps, operation[2], operation[3], shared.coefficients)
                store(emitted, where, load(emitted, where) + value)
        else:
            row = operation[3]
            if operation[2]:
                c, s = load(shared.cosines, row), load(shared.sines, row)
            else:
                c, s = load(rows.cosines, base + row), load(rows.sines, base + row)
            turn(tape, state * size, steps.pairs[where], c, s)
    return state


@compiled
def unapply_step(tape, state, adjoint, half, size, circuit, base, received, emit):
    """Undo a step that ended in ``state``, with lambda in one ``half`` of ``adjoint``; returns lambda's half after it."""
    steps, shared, rows, sums = circuit.steps, circuit.shared, circuit.rows, circuit.sums
    trained = len(sums.coefficients)
    for index in range(len(steps.operations) - 1, -1, -1):
        operation = steps.operations[index]
        kind, where = operation[0], operation[1]
        if kind == MAP:
            state -= 1
            add_map_gradient(tape, state * size, adjoint, half * size, steps, where, sums.coefficient_rows)
            apply_map(adjoint, half * size, adjoint, (1 - half) * size, steps, where, True, shared.coefficients)
            half = 1 - half
        elif kind == EMIT:
            if emit:
                add_emission_gradient(
                    tape,
                    state * size,
                    adjoint,
                    half * size,
                    steps,
                    operation[2],
                    operation[3],
                    shared.coefficients,
                    sums.coefficient_rows,
                    trained,
                    load(received, where),
                )
        else:
            row = operation[3]
            if operation[2]:
                c, s = load(shared.cosines, row), load(shared.sines, row)
            else:
                c, s = load(rows.cosines, base + row), load(rows.sines, base + row)
            g = unturn(tape, state * size, adjoint, half * size, steps.pairs[where], c, s)
            if operation[2]:
                store(sums.shared_rows, row, load(sums.shared_rows, row) + g)
            else:
                store(rows.gradients, base + row, load(rows.gradients, base + row) + g)
    return half
