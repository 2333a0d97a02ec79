"""One step of a compiled open circuit, forward and backward.

Forward, turns happen in place and every map writes the next state of the tape. Backward, turns are undone, and before a
map its input is found on the tape. With lambda_T = dL/dr_T, the angle of a turn that takes r to r cos + G r sin has
dL/da = lambda^T G r, and the element M_ij of a map lambda_i r_j.

An operation is FIELDS integers, the first of them its kind:

TURN         first pair, end; shared?, angle row
TWO_TURNS    first of its bases; letters p, q, r, as rows; shared?, angle row, twice
DAMP         distance of the qubit's letters, first coefficient, trained?
DAMPED_TURN  as DAMP; letter; shared?, angle row; first of its bases
MAP          bounds of its bases and outputs; the bounds of its transpose's outputs and of its gradients lie in
             ``transposes``
EMIT         emission, first element, end
TURNS        bounds of a set of turns that commute, in ``sets``
CROSSING     as DAMPED_TURN; letters p, q, r; shared?, angle row, twice
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.open.arrays import CROSSING, DAMP, DAMPED_TURN, EMIT, FIELDS, MAP, TURN, TURNS, TWO_TURNS
from qlam_qiskit.engine.open.crossings import cross, uncross
from qlam_qiskit.engine.open.damping import add_damping_gradient, damp, turn_and_damp, undamp, undo_damped_turn
from qlam_qiskit.engine.open.maps import add_emission_gradient, add_map_gradient, apply_map, emission
from qlam_qiskit.engine.open.turns import (
    turn,
    turn_gradient,
    turn_twice,
    unturn,
    unturn_adjoint,
    unturn_twice,
)
from qlam_qiskit.engine.simd import at, load, rows_from, store


@compiled
def apply_step(tape, state, taped, size, operations, length, steps, shared, rows, base, emitted, emit):
    """Apply the operations of a step, whose angle rows begin at ``base``, to state number ``state`` of a tape.

    ``emit`` says whether emissions are added to ``emitted``. Returns the number of the state that holds the result.
    Where ``taped`` is false, nothing is kept: damping happens in place, and other maps take turns between two states.
    """
    coefficients = shared.coefficients
    for index in range(0, length, FIELDS):
        kind, first, second = at(operations, index), at(operations, index + 1), at(operations, index + 2)
        third, fourth = at(operations, index + 3), at(operations, index + 4)
        if kind == TURN:
            cosines, sines, row = _angle(shared, rows, base, third, fourth)
            turn(rows_from(tape, state * size), steps.pairs, first, second, load(cosines, row), load(sines, row))
        elif kind == TWO_TURNS:
            cosines, sines, row = _angle(shared, rows, base, at(operations, index + 5), at(operations, index + 6))
            cosines2, sines2, row2 = _angle(shared, rows, base, at(operations, index + 7), at(operations, index + 8))
            turn_twice(
                rows_from(tape, state * size),
                size,
                steps.bases,
                first,
                second,
                third,
                fourth,
                rows_from(cosines, row),
                rows_from(sines, row),
                rows_from(cosines2, row2),
                rows_from(sines2, row2),
            )
        elif kind == TURNS:
            for each in range(4 * first, 4 * second, 4):
                cosines, sines, row = _angle(shared, rows, base, at(steps.sets, each + 2), at(steps.sets, each + 3))
                begin, end = at(steps.sets, each), at(steps.sets, each + 1)
                turn(rows_from(tape, state * size), steps.pairs, begin, end, load(cosines, row), load(sines, row))
        elif kind == EMIT:
            if emit:
                value = emission(tape, state * size, steps, second, third, coefficients)
                store(emitted, first, load(emitted, first) + value)
        else:
            following = state + 1
            if not taped:
                following = 1 - state if kind == MAP else state
            source, target = state * size, following * size
            if kind == DAMPED_TURN:
                cosines, sines, row = _angle(shared, rows, base, at(operations, index + 5), at(operations, index + 6))
                turn_and_damp(
                    rows_from(tape, source),
                    rows_from(tape, target),
                    size,
                    steps.bases,
                    at(operations, index + 7),
                    first,
                    fourth,
                    rows_from(cosines, row),
                    rows_from(sines, row),
                    coefficients,
                    second,
                )
            elif kind == CROSSING:
                cosines, sines, row = _angle(shared, rows, base, at(operations, index + 5), at(operations, index + 6))
                cosines1, sines1, row1 = _angle(
                    shared, rows, base, at(operations, index + 11), at(operations, index + 12)
                )
                cosines2, sines2, row2 = _angle(
                    shared, rows, base, at(operations, index + 13), at(operations, index + 14)
                )
                cross(
                    rows_from(tape, source),
                    rows_from(tape, target),
                    size,
                    steps.bases,
                    at(operations, index + 7),
                    first,
                    fourth,
                    at(operations, index + 8),
                    at(operations, index + 9),
                    at(operations, index + 10),
                    (rows_from(cosines, row), rows_from(sines, row)),
                    (rows_from(cosines1, row1), rows_from(sines1, row1)),
                    (rows_from(cosines2, row2), rows_from(sines2, row2)),
                    coefficients,
                    second,
                )
            elif kind == DAMP:
                damp(tape, source, target, size, first, coefficients, second)
            else:
                apply_map(tape, source, tape, target, steps, third, fourth, first, second, coefficients)
            state = following
    return state


@compiled
def unapply_step(
    tape,
    state,
    adjoint,
    half,
    size,
    operations,
    length,
    steps,
    shared,
    rows,
    shared_sums,
    sums,
    trained,
    base,
    received,
    emit,
):
    """Undo a step that ended in ``state``, lambda being in one ``half`` of ``adjoint``; returns its half after that.

    ``sums`` are those of coefficients, the first ``trained`` of which have one.
    """
    coefficients = shared.coefficients
    for index in range(length - FIELDS, -FIELDS, -FIELDS):
        kind, first, second = at(operations, index), at(operations, index + 1), at(operations, index + 2)
        third, fourth = at(operations, index + 3), at(operations, index + 4)
        source, target = half * size, (1 - half) * size
        if kind == TURN:
            cosines, sines, row = _angle(shared, rows, base, third, fourth)
            c, s = load(cosines, row), load(sines, row)
            g = unturn(rows_from(tape, state * size), rows_from(adjoint, source), steps.pairs, first, second, c, s)
            gradients = _gradients(shared_sums, rows, third)
            store(gradients, row, load(gradients, row) + g)
        elif kind == TWO_TURNS:
            fifth, sixth = at(operations, index + 5), at(operations, index + 7)
            cosines, sines, row = _angle(shared, rows, base, fifth, at(operations, index + 6))
            cosines2, sines2, row2 = _angle(shared, rows, base, sixth, at(operations, index + 8))
            unturn_twice(
                rows_from(tape, state * size),
                rows_from(adjoint, source),
                size,
                steps.bases,
                first,
                second,
                third,
                fourth,
                rows_from(cosines, row),
                rows_from(sines, row),
                rows_from(cosines2, row2),
                rows_from(sines2, row2),
                rows_from(_gradients(shared_sums, rows, fifth), row),
                rows_from(_gradients(shared_sums, rows, sixth), row2),
            )
        elif kind == TURNS:
            # They commute: all gradients are taken after them, and the state is not needed before them.
            for each in range(4 * first, 4 * second, 4):
                is_shared, row = at(steps.sets, each + 2), at(steps.sets, each + 3)
                begin, end = at(steps.sets, each), at(steps.sets, each + 1)
                g = turn_gradient(rows_from(tape, state * size), rows_from(adjoint, source), steps.pairs, begin, end)
                place = row if is_shared else base + row
                gradients = _gradients(shared_sums, rows, is_shared)
                store(gradients, place, load(gradients, place) + g)
            for each in range(4 * first, 4 * second, 4):
                cosines, sines, row = _angle(shared, rows, base, at(steps.sets, each + 2), at(steps.sets, each + 3))
                begin, end = at(steps.sets, each), at(steps.sets, each + 1)
                c, s = load(cosines, row), load(sines, row)
                unturn_adjoint(rows_from(adjoint, source), steps.pairs, begin, end, c, s)
        elif kind == EMIT:
            if emit:
                value = load(received, first)
                add_emission_gradient(
                    tape, state * size, adjoint, source, steps, second, third, coefficients, sums, trained, value
                )
        else:
            state -= 1
            if kind == DAMPED_TURN:
                fifth = at(operations, index + 5)
                cosines, sines, row = _angle(shared, rows, base, fifth, at(operations, index + 6))
                undo_damped_turn(
                    rows_from(tape, state * size),
                    rows_from(adjoint, source),
                    size,
                    steps.bases,
                    at(operations, index + 7),
                    first,
                    fourth,
                    rows_from(cosines, row),
                    rows_from(sines, row),
                    coefficients,
                    second,
                    third,
                    sums,
                    rows_from(_gradients(shared_sums, rows, fifth), row),
                )
            elif kind == CROSSING:
                fifth, sixth, seventh = (
                    at(operations, index + 5),
                    at(operations, index + 11),
                    at(operations, index + 13),
                )
                cosines, sines, row = _angle(shared, rows, base, fifth, at(operations, index + 6))
                cosines1, sines1, row1 = _angle(shared, rows, base, sixth, at(operations, index + 12))
                cosines2, sines2, row2 = _angle(shared, rows, base, seventh, at(operations, index + 14))
                uncross(
                    rows_from(tape, state * size),
                    rows_from(adjoint, source),
                    size,
                    steps.bases,
                    at(operations, index + 7),
                    first,
                    fourth,
                    at(operations, index + 8),
                    at(operations, index + 9),
                    at(operations, index + 10),
                    (rows_from(cosines, row), rows_from(sines, row)),
                    (rows_from(cosines1, row1), rows_from(sines1, row1)),
                    (rows_from(cosines2, row2), rows_from(sines2, row2)),
                    coefficients,
                    second,
                    third,
                    sums,
                    rows_from(_gradients(shared_sums, rows, fifth), row),
                    rows_from(_gradients(shared_sums, rows, sixth), row1),
                    rows_from(_gradients(shared_sums, rows, seventh), row2),
                )
            elif kind == DAMP:
                if third:
                    add_damping_gradient(tape, state * size, adjoint, source, size, first, sums, second)
                undamp(adjoint, source, size, first, coefficients, second)
            else:
                place = at(operations, index + 5)
                outputs, last = at(steps.transposes, place), at(steps.transposes, place + 1)
                changing, end = at(steps.transposes, place + 2), at(steps.transposes, place + 3)
                add_map_gradient(tape, state * size, adjoint, source, steps, changing, end, first, second, sums)
                apply_map(adjoint, source, adjoint, target, steps, outputs, last, first, second, coefficients)
                half = 1 - half
    return half


@compiled
def program_of(steps, reading):
    """Choose what the steps do."""
    if reading.emit:
        return steps.emitting
    if reading.cross:
        return steps.crossing
    return steps.plain


@compiled
def operations_of(program, step):
    """Return the operations of a step, and their length."""
    if step == 0:
        return program.first, program.first_length
    return program.operations, program.length


@compiled
def _angle(shared, rows, base, is_shared, row):
    """Return where cos and sin of an angle are: the rows, and its place there, which its gradient has too."""
    if is_shared:
        return shared.cosines, shared.sines, row
    return rows.cosines, rows.sines, base + row


@compiled
def _gradients(shared_sums, rows, is_shared):
    """Return the rows that gradients of angles are added to."""
    return shared_sums if is_shared else rows.gradients
