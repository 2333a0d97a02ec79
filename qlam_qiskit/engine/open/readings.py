"""The compiled loops for what is read of a block: bitstring probabilities, means, emissions, and the way back.

A reading may be of all samples of a block or of some: a :class:`~qlam_qiskit.engine.open.arrays.Moment` says which.
Arrays are of one register and reading: queries (B, Q, A), or the angle rows evaluated from them; probabilities and
their cotangent (B, Q, 2^n); emissions and their cotangent (B, E).
"""

from qlam_qiskit.engine.angle_rows import add_gradients, prepare_rows
from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.open.steps import apply_step, unapply_step
from qlam_qiskit.engine.reading_times import slot_after
from qlam_qiskit.engine.simd import constant, get, load, put, store


@compiled
def read_state(queries, query, block, numbers, reading, work, probabilities, moment):
    """Write the bitstring probabilities (B, Q, 2^n) of the state, for the samples that are read."""
    dimension = len(reading.z_rows)
    size = dimension * dimension
    share = constant(work.values, 1.0 / dimension)
    for q in range(queries.shape[1]):
        state = _rotate_to_query(queries, q, query, block, numbers, size, work)
        for j in range(dimension):
            store(work.values, j, share * load(work.query_tape, state * size + reading.z_rows[j]))
        _hadamard(work.values, dimension)
        for lane in range(block.lanes):
            if slot_after(reading.slots, block, lane, moment.step) == moment.slot:
                for j in range(dimension):
                    probabilities[block.first + lane, q, j] = get(work.values, j, lane)


@compiled
def read_back(queries, query, block, numbers, reading, work, cotangent, query_gradient, moment):
    """Put what a reading's cotangent gives the state in the place of that state; collect the gradients of V."""
    dimension = len(reading.z_rows)
    size = dimension * dimension
    scale = constant(work.values, 1.0 / dimension)
    clear_rows(work.read_adjoint, 0, size)
    for q in range(queries.shape[1]):
        state = _rotate_to_query(queries, q, query, block, numbers, size, work)
        for j in range(dimension):
            store(work.values, j, constant(work.values, 0.0))
        for lane in range(block.lanes):
            if slot_after(reading.slots, block, lane, moment.step) == moment.slot:
                for j in range(dimension):
                    put(work.values, j, lane, cotangent[block.first + lane, q, j])
        _hadamard(work.values, dimension)
        clear_rows(work.query_adjoint, 0, size)
        for j in range(dimension):
            store(work.query_adjoint, reading.z_rows[j], scale * load(work.values, j))
        clear_rows(query.rows.gradients, 0, len(query.sums.offsets))
        half = unapply_step(
            work.query_tape,
            state,
            work.query_adjoint,
            0,
            size,
            query.steps.plain.operations,
            query.steps.plain.length,
            query.steps,
            query.shared,
            query.rows,
            query.sums.shared_rows,
            query.sums.coefficient_rows,
            len(query.sums.coefficients),
            0,
            work.emitted,
            False,
        )
        add_gradients(query_gradient, block, q, 1, query)
        add_rows(work.query_adjoint, half * size, work.read_adjoint, 0, size)
    copy_rows(work.read_adjoint, 0, work.asked, 0, size)


@compiled
def end_step(size, program, update, work):
    """Apply to the state that is read what ends its step, where that is joined with the next step."""
    if program.last_length == 0:
        return
    copy_rows(work.asked, 0, work.last, 0, size)
    state = apply_step(
        work.last,
        0,
        True,
        size,
        program.last,
        program.last_length,
        update.steps,
        update.shared,
        update.rows,
        0,
        work.emitted,
        False,
    )
    copy_rows(work.last, state * size, work.asked, 0, size)


@compiled
def end_step_back(size, read_size, program, update, work):
    """Undo :func:`end_step` on what that state received, which is in its first ``read_size`` rows."""
    if program.last_length == 0:
        return
    copy_rows(work.asked, 0, work.last_adjoint, 0, read_size)
    clear_rows(work.last_adjoint, read_size, size - read_size)
    half = unapply_step(
        work.last,
        program.last_maps,
        work.last_adjoint,
        0,
        size,
        program.last,
        program.last_length,
        update.steps,
        update.shared,
        update.rows,
        update.sums.shared_rows,
        update.sums.coefficient_rows,
        len(update.sums.coefficients),
        0,
        work.emitted,
        False,
    )
    copy_rows(work.last_adjoint, half * size, work.asked, 0, read_size)


@compiled
def write_emissions(emitted, emissions, block, reading, moment):
    """Write the mean of each emission since the last reading, (B, E), and begin anew, for the samples that are read."""
    for lane in range(block.lanes):
        if slot_after(reading.slots, block, lane, moment.step) != moment.slot:
            continue
        length = _length(reading, block, lane, moment.slot)
        for e in range(emissions.shape[1]):
            emissions[block.first + lane, e] = get(emitted, e, lane) / length
            put(emitted, e, lane, 0.0)


@compiled
def take_emissions(cotangent, received, block, reading, moment):
    """Spread the gradient of each mean emission over the steps of its span, for the samples that are read."""
    for lane in range(block.lanes):
        if slot_after(reading.slots, block, lane, moment.step) != moment.slot:
            continue
        length = _length(reading, block, lane, moment.slot)
        for e in range(cotangent.shape[1]):
            put(received, e, lane, cotangent[block.first + lane, e] / length)


@compiled
def take_mean(sums, target, base, size, block, reading, moment):
    """Write sums over the length of the span to ``target``, and begin anew, for the samples that are read."""
    if len(reading.slots) == 1:
        zero, factor = constant(sums, 0.0), constant(sums, 1.0 / reading.lengths[0, moment.slot])
        for j in range(size):
            store(target, base + j, factor * load(sums, j))
            store(sums, j, zero)
        return
    for lane in range(block.lanes):
        if slot_after(reading.slots, block, lane, moment.step) == moment.slot:
            share = 1.0 / _length(reading, block, lane, moment.slot)
            for j in range(size):
                put(target, base + j, lane, share * get(sums, j, lane))
                put(sums, j, lane, 0.0)


@compiled
def clear_others(asked, size, block, reading, moment):
    """Forget what the rows of samples that are not read hold, of whatever batch it is."""
    if len(reading.slots) > 1:
        for lane in range(block.lanes):
            if slot_after(reading.slots, block, lane, moment.step) != moment.slot:
                for j in range(size):
                    put(asked, j, lane, 0.0)


@compiled
def _rotate_to_query(queries, q, query, block, numbers, size, work):
    """Leave the state that is read, turned by V(alpha_q), on the query's tape; returns its number there."""
    prepare_rows(queries, block, q, 1, query, numbers)
    copy_rows(work.asked, 0, work.query_tape, 0, size)
    program = query.steps.plain
    return apply_step(
        work.query_tape,
        0,
        True,
        size,
        program.operations,
        program.length,
        query.steps,
        query.shared,
        query.rows,
        0,
        work.emitted,
        False,
    )


@compiled
def _hadamard(values, dimension):
    """Add up 2^n rows with the signs of all Z strings: strings to bitstrings, and back."""
    step = 1
    while step < dimension:
        for start in range(0, dimension, 2 * step):
            for j in range(start, start + step):
                a, b = load(values, j), load(values, j + step)
                store(values, j, a + b)
                store(values, j + step, a - b)
        step *= 2


@compiled
def _length(reading, block, lane, slot):
    return reading.lengths[block.first + lane if len(reading.lengths) > 1 else 0, slot]


@compiled
def copy_rows(source, source_base, target, target_base, size):
    """Copy neighbouring rows."""
    for j in range(size):
        store(target, target_base + j, load(source, source_base + j))


@compiled
def add_rows(source, source_base, target, target_base, size):
    """Add neighbouring rows to others."""
    for j in range(size):
        store(target, target_base + j, load(target, target_base + j) + load(source, source_base + j))


@compiled
def clear_rows(rows, first, count):
    """Fill rows with zeros."""
    for row in range(first, first + count):
        store(rows, row, constant(rows, 0.0))
