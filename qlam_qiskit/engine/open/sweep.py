"""Blocks of samples through a whole sequence of an open memory: forward to the readings, backward to the gradients.

A channel cannot be undone. Forward keeps the state before every segment of steps; backward runs each segment once more,
the last one first, leaving on the tape the state before every map. With segments of about sqrt(T) steps, memory
grows with the square root of T.

A block stops after the last step that any of its samples is read after; a sample that was read for the last time goes
on through padding, where what it receives backward is zero.

Arrays: inputs (B, T, H, P) and queries (B, R, H, Q, A), or the angle rows evaluated from them; probabilities and their
cotangent (B, R, H, Q, 2^n); emissions and their cotangent (B, R, H, E).
"""

import math

from qlam_qiskit.engine.angle_rows import fetch_steps, prepare_rows, return_gradients
from qlam_qiskit.engine.arrays import Block
from qlam_qiskit.engine.compiled import EntryPoint, compiled
from qlam_qiskit.engine.open.arrays import Moment
from qlam_qiskit.engine.open.readings import (
    add_rows,
    clear_others,
    clear_rows,
    copy_rows,
    end_step,
    end_step_back,
    read_back,
    read_state,
    take_emissions,
    take_mean,
    write_emissions,
)
from qlam_qiskit.engine.open.steps import apply_step, operations_of, program_of, unapply_step
from qlam_qiskit.engine.reading_times import clear_padding, next_slot, steps_of_block
from qlam_qiskit.engine.simd import constant, lanes_of, load, rows_from, store, total


@EntryPoint
def open_forward_blocks(
    inputs,
    queries,
    shared,
    query_shared,
    update,
    query,
    blocks,
    numbers,
    reading,
    work,
    kept,
    read,
    probabilities,
    emissions,
):
    """Run blocks from |0...0>, writing what is read, and the state before each segment to ``kept``.

    Mean states, if those are read, are left in ``read``.
    """
    # Cut here, not by the caller: an array's layout is part of its type, and each type compiles anew.
    register = blocks.register
    inputs, queries, probabilities, emissions = (
        inputs[:, :, register],
        queries[:, :, register],
        probabilities[:, :, register],
        emissions[:, :, register],
    )
    _fill_shared(shared[register], update)
    _fill_shared(query_shared[0], query)
    for index in range(blocks.first, blocks.end):
        block = _block(blocks, index, work)
        _clear_idle_lanes(inputs, queries, update, query, block, reading, work, emissions.shape[2])
        own_kept, own_read = _kept_rows(kept, read, blocks, index, reading, inputs.shape[1])
        _forward_block(
            inputs,
            queries,
            update,
            query,
            block,
            numbers,
            reading,
            work,
            own_kept,
            own_read,
            probabilities,
            emissions,
        )


@compiled
def _forward_block(inputs, queries, update, query, block, numbers, reading, work, kept, read, probabilities, emissions):
    size, width = 1 << 2 * block.qubits, len(update.sums.offsets)
    program = program_of(update.steps, reading)
    clear_rows(work.tape, 0, size)
    for k in range(len(reading.start_rows)):
        store(work.tape, reading.start_rows[k], constant(work.tape, 1.0))
    clear_rows(work.mean, 0, size)
    clear_rows(work.emitted, 0, emissions.shape[2])
    state, steps = 0, steps_of_block(reading.slots, block)
    for start in range(0, steps, reading.segment):
        count = min(reading.segment, steps - start)
        copy_rows(work.tape, state * size, kept, start // reading.segment * size, size)
        prepare_rows(inputs, block, start, count, update, numbers)
        fetch_steps(inputs, block, start + count, min(reading.segment, inputs.shape[1] - start - count))
        for t in range(count):
            operations, length = operations_of(program, start + t)
            state = apply_step(
                work.tape,
                state,
                False,
                size,
                operations,
                length,
                update.steps,
                update.shared,
                update.rows,
                t * width,
                work.emitted,
                reading.emit,
            )
            if reading.mean:
                add_rows(work.tape, state * size, work.mean, 0, size)
            slot = next_slot(reading.slots, block, start + t, 0)
            while slot >= 0:
                moment = Moment(start + t, slot)
                if reading.emit:
                    write_emissions(work.emitted, emissions[:, slot], block, reading, moment)
                if reading.mean:
                    take_mean(work.mean, read, slot * size, size, block, reading, moment)
                    copy_rows(read, slot * size, work.asked, 0, size)
                else:
                    copy_rows(work.tape, state * size, work.asked, 0, size)
                end_step(size, program, update, work)
                read_state(queries[:, slot], query, block, numbers, reading, work, probabilities[:, slot], moment)
                slot = next_slot(reading.slots, block, start + t, slot + 1)


@EntryPoint
def open_backward_blocks(
    inputs,
    queries,
    shared,
    query_shared,
    update,
    query,
    blocks,
    numbers,
    reading,
    work,
    kept,
    read,
    cotangent,
    emission_cotangent,
    input_gradient,
    query_gradient,
    totals,
):
    """Walk blocks back, given the gradients of what was read.

    Writes ``input_gradient`` (may be ``inputs`` itself: each segment is read before it is written), adds to
    ``query_gradient``, and leaves what weights receive from each block in ``totals`` (H, blocks, sums).
    """
    register = blocks.register
    inputs, queries, cotangent, emission_cotangent = (
        inputs[:, :, register],
        queries[:, :, register],
        cotangent[:, :, register],
        emission_cotangent[:, :, register],
    )
    input_gradient, query_gradient = input_gradient[:, :, register], query_gradient[:, :, register]
    _fill_shared(shared[register], update)
    _fill_shared(query_shared[0], query)
    for index in range(blocks.first, blocks.end):
        block = _block(blocks, index, work)
        _clear_idle_lanes(inputs, queries, update, query, block, reading, work, emission_cotangent.shape[2])
        own_kept, own_read = _kept_rows(kept, read, blocks, index, reading, inputs.shape[1])
        _backward_block(
            inputs,
            queries,
            update,
            query,
            block,
            numbers,
            reading,
            work,
            own_kept,
            own_read,
            cotangent,
            emission_cotangent,
            input_gradient,
            query_gradient,
        )
        _hand_over(update.sums, totals[register, index])


@compiled
def _backward_block(
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
    size, width, maps = 1 << 2 * block.qubits, len(update.sums.offsets), update.steps.maps_in_step
    read_size = len(reading.z_rows) ** 2  # rows of the memory, without ancillas
    program = program_of(update.steps, reading)
    steps = steps_of_block(reading.slots, block)
    clear_padding(input_gradient, block, steps)
    segments = (steps + reading.segment - 1) // reading.segment
    half = 0
    clear_rows(work.adjoint, 0, size)
    clear_rows(work.mean, 0, size)
    clear_rows(work.emitted, 0, emission_cotangent.shape[2])
    for segment in range(segments - 1, -1, -1):
        start = segment * reading.segment
        count = min(reading.segment, steps - start)
        prepare_rows(inputs, block, start, count, update, numbers)
        if segment:
            fetch_steps(inputs, block, start - reading.segment, reading.segment)
        fetch_steps(input_gradient, block, start, count)
        clear_rows(update.rows.gradients, 0, count * width)
        # The first step of all lacks some maps: its state is put where as many as in others lead to its end.
        missing = 0 if segment else program.last_maps
        copy_rows(kept, segment * size, work.tape, missing * size, size)
        for t in range(count):
            operations, length = operations_of(program, start + t)
            apply_step(
                work.tape,
                t * maps if t else missing,
                True,
                size,
                operations,
                length,
                update.steps,
                update.shared,
                update.rows,
                t * width,
                work.emitted,
                False,
            )
        for t in range(count - 1, -1, -1):
            slot = next_slot(reading.slots, block, start + t, 0)
            while slot >= 0:
                moment = Moment(start + t, slot)
                if reading.emit:
                    take_emissions(emission_cotangent[:, slot], work.emitted, block, reading, moment)
                if reading.mean:
                    copy_rows(read, slot * size, work.asked, 0, size)
                    clear_others(work.asked, size, block, reading, moment)
                else:
                    copy_rows(work.tape, (t + 1) * maps * size, work.asked, 0, size)
                end_step(size, program, update, work)
                found = query_gradient[:, slot]
                read_back(queries[:, slot], query, block, numbers, reading, work, cotangent[:, slot], found, moment)
                end_step_back(size, read_size, program, update, work)
                if reading.mean:
                    take_mean(work.asked, work.mean, 0, read_size, block, reading, moment)
                else:
                    add_rows(work.asked, 0, work.adjoint, half * size, read_size)
                slot = next_slot(reading.slots, block, start + t, slot + 1)
            if reading.mean:
                add_rows(work.mean, 0, work.adjoint, half * size, size)
            operations, length = operations_of(program, start + t)
            half = unapply_step(
                work.tape,
                (t + 1) * maps,
                work.adjoint,
                half,
                size,
                operations,
                length,
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
def _empty_running_sums(sums):
    """Move the running sums of a segment into float64, so that long sequences lose no digits."""
    zero = constant(sums.shared_rows, 0.0)
    for row in range(len(sums.shared)):
        sums.shared[row] += total(load(sums.shared_rows, row))
        store(sums.shared_rows, row, zero)
    for row in range(len(sums.coefficients)):
        sums.coefficients[row] += total(load(sums.coefficient_rows, row))
        store(sums.coefficient_rows, row, zero)


@compiled
def _hand_over(sums, totals):
    """Move a block's sums to ``totals``: those of coefficients, of shared angles and of offsets, in a row."""
    place = 0
    for part in (sums.coefficients, sums.shared, sums.offsets):
        for k in range(len(part)):
            totals[place] = part[k]
            part[k] = 0.0
            place += 1


@compiled
def _fill_shared(values, circuit):
    """Write what a register shares, ``values`` (coefficients, turns, offsets), as the loops take it."""
    shared, place = circuit.shared, len(circuit.shared.written_coefficients)
    for k in range(place):
        shared.written_coefficients[k] = values[k]
    for k in range(len(circuit.sums.shared)):
        store(shared.cosines, k, constant(shared.cosines, math.cos(values[place])))
        store(shared.sines, k, constant(shared.sines, math.sin(values[place])))
        place += 1
    for k in range(len(shared.written_offsets)):
        shared.written_offsets[k] = values[place]
        place += 1


@compiled
def _block(blocks, index, work):
    """Describe one of the blocks."""
    lanes = lanes_of(work.tape)
    first = index * lanes
    return Block(blocks.register, first, min(lanes, blocks.samples - first), blocks.qubits)


@compiled
def _kept_rows(kept, read, blocks, index, reading, steps):
    """Return where a block's states before each segment are, and the mean states that are read of it."""
    lanes, size = lanes_of(kept), 1 << 2 * blocks.qubits
    place = blocks.register * ((blocks.samples + lanes - 1) // lanes) + index
    segments = (steps + reading.segment - 1) // reading.segment
    means = reading.lengths.shape[1] if reading.mean else 0
    return rows_from(kept, place * segments * size), rows_from(read, place * means * size)


@compiled
def _clear_idle_lanes(inputs, queries, update, query, block, reading, work, emissions):
    """Leave no NaN of some earlier batch in lanes that have no sample."""
    if block.lanes < lanes_of(work.tape):
        clear_rows(update.rows.inputs, 0, reading.segment * inputs.shape[2])
        clear_rows(query.rows.inputs, 0, queries.shape[3])
        clear_rows(work.values, 0, len(reading.z_rows))
        clear_rows(work.emitted, 0, emissions)
