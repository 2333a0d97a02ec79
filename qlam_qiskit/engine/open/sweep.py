"""A block of samples through a whole sequence of an open memory: forward to the readings, backward to the gradients.

A channel cannot be undone. Forward keeps the state before every segment of steps; backward runs each segment once more,
the last one first, leaving on the tape the state before every map. With segments of about sqrt(T) steps, memory
grows with the square root of T.

A block stops after the last step that any of its samples is read after; a sample that was read for the last time goes
on through padding, where what it receives backward is zero.

Arrays: inputs (B, T, H, P) and queries (B, R, H, Q, A), or the angle rows evaluated from them; probabilities and their
cotangent (B, R, H, Q, 2^n); emissions and their cotangent (B, R, H, E).
"""

from qlam_qiskit.engine.angle_rows import add_gradients, fetch_steps, prepare_rows, return_gradients
from qlam_qiskit.engine.compiled import EntryPoint, compiled
from qlam_qiskit.engine.open.arrays import Moment
from qlam_qiskit.engine.open.steps import apply_step, unapply_step
from qlam_qiskit.engine.reading_times import clear_padding, next_slot, slot_after, steps_of_block
from qlam_qiskit.engine.simd import constant, get, load, put, store, total


@EntryPoint
def open_forward_block(
    inputs, queries, update, query, block, numbers, reading, work, kept, read, probabilities, emissions
):
    """Run a block from |0...0>, writing what is read, and the state before each segment to ``kept``.

    Mean states, if those are read, are left in ``read``.
    """
    # Cut here, not by the caller: an array's layout is part of its type, and each type compiles anew.
    inputs, queries, probabilities, emissions = (
        inputs[:, :, block.register],
        queries[:, :, block.register],
        probabilities[:, :, block.register],
        emissions[:, :, block.register],
    )
    size, width = 1 << 2 * block.qubits, len(update.sums.offsets)
    _clear(work.tape, 0, size)
    for k in range(len(reading.start_rows)):
        store(work.tape, reading.start_rows[k], constant(work.tape, 1.0))
    _clear(work.mean, 0, size)
    _clear(work.emitted, 0, emissions.shape[2])
    state, steps = 0, steps_of_block(reading.slots, block)
    for start in range(0, steps, reading.segment):
        count = min(reading.segment, steps - start)
        _copy(work.tape, state * size, kept, start // reading.segment * size, size)
        prepare_rows(inputs, block, start, count, update, numbers)
        fetch_steps(inputs, block, start + count, min(reading.segment, inputs.shape[1] - start - count))
        for t in range(count):
            state = apply_step(
                work.tape,
                state,
                False,
                size,
                update.steps,
                update.shared,
                update.rows,
                t * width,
                work.emitted,
                reading.emit,
                reading.emit,
            )
            if reading.mean:
                _add(work.tape, state * size, work.mean, 0, size)
            slot = next_slot(reading.slots, block, start + t, 0)
            while slot >= 0:
                moment = Moment(start + t, slot)
                if reading.emit:
                    _write_emissions(work.emitted, emissions[:, slot], block, reading, moment)
                if reading.mean:
                    _take_mean(work.mean, read, slot * size, size, block, reading, moment)
                    _copy(read, slot * size, work.asked, 0, size)
                else:
                    _copy(work.tape, state * size, work.asked, 0, size)
                _read(queries[:, slot], query, block, numbers, reading, work, probabilities[:, slot], moment)
                slot = next_slot(reading.slots, block, start + t, slot + 1)


@EntryPoint
def open_backward_block(
    inputs,
    queries,
    update,
    query,
    block,
    numbers,
    reading,
    work,
    kept,
    read,
    cotangent,
    emission_cotangent,
    input_gradient,
    query_gradient,
):
    """Walk a block back, given the gradients of what was read.

    Writes ``input_gradient`` (may be ``inputs`` itself: each segment is read before it is written), adds to
    ``query_gradient``, and adds what weights receive to the circuits' sums.
    """
    inputs, queries, cotangent, emission_cotangent = (
        inputs[:, :, block.register],
        queries[:, :, block.register],
        cotangent[:, :, block.register],
        emission_cotangent[:, :, block.register],
    )
    input_gradient, query_gradient = input_gradient[:, :, block.register], query_gradient[:, :, block.register]
    size, width, maps = 1 << 2 * block.qubits, len(update.sums.offsets), update.steps.maps_in_step
    read_size = len(reading.z_rows) ** 2  # rows of the memory, without ancillas
    steps = steps_of_block(reading.slots, block)
    clear_padding(input_gradient, block, steps)
    segments = (steps + reading.segment - 1) // reading.segment
    half = 0
    _clear(work.adjoint, 0, size)
    _clear(work.mean, 0, size)
    _clear(work.emitted, 0, emission_cotangent.shape[2])
    for segment in range(segments - 1, -1, -1):
        start = segment * reading.segment
        count = min(reading.segment, steps - start)
        prepare_rows(inputs, block, start, count, update, numbers)
        if segment:
            fetch_steps(inputs, block, start - reading.segment, reading.segment)
        fetch_steps(input_gradient, block, start, count)
        _clear(update.rows.gradients, 0, count * width)
        _copy(kept, segment * size, work.tape, 0, size)
        for t in range(count):
            apply_step(
                work.tape,
                t * maps,
                True,
                size,
                update.steps,
                update.shared,
                update.rows,
                t * width,
                work.emitted,
                reading.emit,
                False,
            )
        for t in range(count - 1, -1, -1):
            slot = next_slot(reading.slots, block, start + t, 0)
            while slot >= 0:
                moment = Moment(start + t, slot)
                if reading.emit:
                    _take_emissions(emission_cotangent[:, slot], work.emitted, block, reading, moment)
                if reading.mean:
                    _copy(read, slot * size, work.asked, 0, size)
                    _clear_others(work.asked, size, block, reading, moment)
                else:
                    _copy(work.tape, (t + 1) * maps * size, work.asked, 0, size)
                found = query_gradient[:, slot]
                _read_back(queries[:, slot], query, block, numbers, reading, work, cotangent[:, slot], found, moment)
                if reading.mean:
                    _take_mean(work.asked, work.mean, 0, read_size, block, reading, moment)
                else:
                    _add(work.asked, 0, work.adjoint, half * size, read_size)
                slot = next_slot(reading.slots, block, start + t, slot + 1)
            if reading.mean:
                _add(work.mean, 0, work.adjoint, half * size, size)
            half = unapply_step(
                work.tape,
                (t + 1) * maps,
                work.adjoint,
                half,
                size,
                update.steps,
                update.shared,
                update.rows,
                update.sums.shared_rows,
                update.sums.coefficient_rows,
                len(update.sums.coefficients),
                t * width,
                work.emitted,
                reading.emit,
            )
        return_gradients(input_gradient, block, start, count, update)
        _empty_running_sums(update.sums)
    _empty_running_sums(query.sums)


@compiled
def _rotate_to_query(queries, q, query, block, numbers, size, work):
    """Leave the state that is read, turned by V(alpha_q), on the query's tape; returns its number there."""
    prepare_rows(queries, block, q, 1, query, numbers)
    _copy(work.asked, 0, work.query_tape, 0, size)
    return apply_step(
        work.query_tape, 0, True, size, query.steps, query.shared, query.rows, 0, work.emitted, False, False
    )


@compiled
def _read(queries, query, block, numbers, reading, work, probabilities, moment):
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
def _read_back(queries, query, block, numbers, reading, work, cotangent, query_gradient, moment):
    """Put what a reading's cotangent gives the state in the place of that state; collect the gradients of V."""
    dimension = len(reading.z_rows)
    size = dimension * dimension
    scale = constant(work.values, 1.0 / dimension)
    _clear(work.read_adjoint, 0, size)
    for q in range(queries.shape[1]):
        state = _rotate_to_query(queries, q, query, block, numbers, size, work)
        for j in range(dimension):
            store(work.values, j, constant(work.values, 0.0))
        for lane in range(block.lanes):
            if slot_after(reading.slots, block, lane, moment.step) == moment.slot:
                for j in range(dimension):
                    put(work.values, j, lane, cotangent[block.first + lane, q, j])
        _hadamard(work.values, dimension)
        _clear(work.query_adjoint, 0, size)
        for j in range(dimension):
            store(work.query_adjoint, reading.z_rows[j], scale * load(work.values, j))
        _clear(query.rows.gradients, 0, len(query.sums.offsets))
        half = unapply_step(
            work.query_tape,
            state,
            work.query_adjoint,
            0,
            size,
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
        _add(work.query_adjoint, half * size, work.read_adjoint, 0, size)
    _copy(work.read_adjoint, 0, work.asked, 0, size)


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
def _write_emissions(emitted, emissions, block, reading, moment):
    """Write the mean of each emission since the last reading, (B, E), and begin anew, for the samples that are read."""
    for lane in range(block.lanes):
        if slot_after(reading.slots, block, lane, moment.step) != moment.slot:
            continue
        length = _length(reading, block, lane, moment.slot)
        for e in range(emissions.shape[1]):
            emissions[block.first + lane, e] = get(emitted, e, lane) / length
            put(emitted, e, lane, 0.0)


@compiled
def _take_emissions(cotangent, received, block, reading, moment):
    """Spread the gradient of each mean emission over the steps of its span, for the samples that are read."""
    for lane in range(block.lanes):
        if slot_after(reading.slots, block, lane, moment.step) != moment.slot:
            continue
        length = _length(reading, block, lane, moment.slot)
        for e in range(cotangent.shape[1]):
            put(received, e, lane, cotangent[block.first + lane, e] / length)


@compiled
def _take_mean(sums, target, base, size, block, reading, moment):
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
def _clear_others(asked, size, block, reading, moment):
    """Forget what the rows of samples that are not read hold, of whatever batch it is."""
    if len(reading.slots) > 1:
        for lane in range(block.lanes):
            if slot_after(reading.slots, block, lane, moment.step) != moment.slot:
                for j in range(size):
                    put(asked, j, lane, 0.0)


@compiled
def _length(reading, block, lane, slot):
    return reading.lengths[block.first + lane if len(reading.lengths) > 1 else 0, slot]


@compiled
def _copy(source, source_base, target, target_base, size):
    for j in range(size):
        store(target, target_base + j, load(source, source_base + j))


@compiled
def _add(source, source_base, target, target_base, size):
    for j in range(size):
        store(target, target_base + j, load(target, target_base + j) + load(source, source_base + j))


@compiled
def _clear(rows, first, count):
    for row in range(first, first + count):
        store(rows, row, constant(rows, 0.0))


@compiled
def _empty_running_sums(sums):
    """Move the running sums of a segment into float64, so that long sequences lose no digits."""
    zero = constant(sums.shared_rows, 0.0)
    for row in range(len(sums.shared)):
        sums.shared[row] += total(load(sums.shared_rows, row))
        store(sums.shared_rows, row, zero)
    for row in range(len(sums.coefficients)):
        sums.coefficients[row] += total(load(sums.coefficient_rows, row))
        store(sums.coefficient_rows, row, zero)
