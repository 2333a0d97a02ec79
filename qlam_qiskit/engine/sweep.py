"""A block of samples through a whole sequence: forward to the readouts, and backward to the gradients.

Only psi_T is kept in between: backward recomputes psi_t by undoing the updates, so that memory does not grow with the
length of the sequence. At each step that is read, every query rotates a copy of the state before the probabilities of
the 2^n bitstrings are taken; backward, O V psi is carried through V and added to lambda.

A block stops after the last step that any of its samples is read after. A sample that was read for the last time goes
on, with the others of its block, through padding; backward its lambda is zero there, and so are all gradients.

Arrays: inputs (B, T, H, P) and queries (B, R, H, Q, A), or the angle rows evaluated from them; slots (1 or B, T) says
which of the R readouts follows each step, or -1; probabilities and their cotangent (B, R, H, Q, D).
"""

from qlam_qiskit.engine.angle_rows import add_gradients, prepare_rows, return_gradients
from qlam_qiskit.engine.arrays import CHUNK
from qlam_qiskit.engine.compiled import EntryPoint, compiled
from qlam_qiskit.engine.reading_times import clear_padding, next_slot, slot_after, steps_of_block
from qlam_qiskit.engine.simd import constant, get, load, put, store, total
from qlam_qiskit.engine.steps import apply_step, unapply_step


@EntryPoint
def forward_block(inputs, queries, update, query, block, numbers, slots, work, psi, probabilities):
    """Run a block from |0...0>, writing its probabilities and leaving psi_T in ``psi``."""
    # Cut here, not by the caller: an array's layout is part of its type, and each type compiles anew.
    inputs, queries, probabilities = (
        inputs[:, :, block.register],
        queries[:, :, block.register],
        probabilities[:, :, block.register],
    )
    dimension, width = 1 << block.qubits, len(update.shared.offsets)
    for j in range(dimension):
        store(psi.re, j, constant(psi.re, 0.0))
        store(psi.im, j, constant(psi.im, 0.0))
    store(psi.re, 0, constant(psi.re, 1.0))
    steps = steps_of_block(slots, block)
    for start in range(0, steps, CHUNK):
        count = min(CHUNK, steps - start)
        prepare_rows(inputs, block, start, count, update, numbers)
        for t in range(count):
            apply_step(psi, block.qubits, update, t * width, work)
            slot = next_slot(slots, block, start + t, 0)
            while slot >= 0:
                for q in range(queries.shape[2]):
                    _rotate_to_query(psi, queries[:, slot], q, query, block, numbers, work)
                    for lane in range(block.lanes):
                        if slot_after(slots, block, lane, start + t) != slot:
                            continue
                        for j in range(dimension):
                            r, i = get(work.query_psi.re, j, lane), get(work.query_psi.im, j, lane)
                            probabilities[block.first + lane, slot, q, j] = r * r + i * i
                slot = next_slot(slots, block, start + t, slot + 1)


@EntryPoint
def backward_block(
    inputs, queries, update, query, block, numbers, slots, work, psi, cotangent, input_gradient, query_gradient
):
    """Walk a block back from ``psi``, which stays, given dL/dp in ``cotangent``.

    Writes ``input_gradient`` (may be ``inputs`` itself: each step is read before it is written), adds to
    ``query_gradient``, and adds what weights receive to the circuits' sums.
    """
    inputs, queries, cotangent = (
        inputs[:, :, block.register],
        queries[:, :, block.register],
        cotangent[:, :, block.register],
    )
    input_gradient, query_gradient = input_gradient[:, :, block.register], query_gradient[:, :, block.register]
    dimension, width = 1 << block.qubits, len(update.shared.offsets)
    _copy(psi, work.psi, dimension)
    for j in range(dimension):
        store(work.adjoint.re, j, constant(work.adjoint.re, 0.0))
        store(work.adjoint.im, j, constant(work.adjoint.im, 0.0))
    steps = steps_of_block(slots, block)
    clear_padding(input_gradient, block, steps)
    chunks = (steps + CHUNK - 1) // CHUNK
    for chunk in range(chunks - 1, -1, -1):
        start = chunk * CHUNK
        count = min(CHUNK, steps - start)
        prepare_rows(inputs, block, start, count, update, numbers)
        _clear(update.rows.gradients, count * width)
        for t in range(count - 1, -1, -1):
            slot = next_slot(slots, block, start + t, 0)
            while slot >= 0:
                for q in range(queries.shape[2]):
                    _copy_cotangent(cotangent[:, slot], q, slots, slot, start + t, block, work)
                    _add_readout(queries[:, slot], q, query, block, numbers, work, query_gradient[:, slot])
                slot = next_slot(slots, block, start + t, slot + 1)
            unapply_step(work.psi, work.adjoint, block.qubits, update, t * width, work)
        return_gradients(input_gradient, block, start, count, update)
        _empty_running_sums(update.sums)
    _empty_running_sums(query.sums)


@compiled
def _rotate_to_query(psi, queries, q, query, block, numbers, work):
    """Leave V(alpha_q) psi in the query's buffer; ``queries`` (B, Q, A) are of one register and reading."""
    prepare_rows(queries, block, q, 1, query, numbers)
    _copy(psi, work.query_psi, 1 << block.qubits)
    apply_step(work.query_psi, block.qubits, query, 0, work)


@compiled
def _copy_cotangent(cotangent, q, slots, slot, step, block, work):
    """Leave dL/dp (B, Q, D) of those samples whose reading ``slot`` follows ``step`` in the adjoint's real part."""
    adjoint = work.query_adjoint
    for j in range(1 << block.qubits):
        store(adjoint.re, j, constant(adjoint.re, 0.0))
    for lane in range(block.lanes):
        if slot_after(slots, block, lane, step) == slot:
            for j in range(1 << block.qubits):
                put(adjoint.re, j, lane, cotangent[block.first + lane, q, j])


@compiled
def _add_readout(queries, q, query, block, numbers, work, query_gradient):
    """Add V^dagger O V psi to lambda, O left in the adjoint, and collect the gradients of V's angles."""
    _rotate_to_query(work.psi, queries, q, query, block, numbers, work)
    psi, adjoint, dimension = work.query_psi, work.query_adjoint, 1 << block.qubits
    for j in range(dimension):
        weight = load(adjoint.re, j)
        store(adjoint.im, j, weight * load(psi.im, j))
        store(adjoint.re, j, weight * load(psi.re, j))
    _clear(query.rows.gradients, len(query.shared.offsets))
    unapply_step(psi, adjoint, block.qubits, query, 0, work)
    add_gradients(query_gradient, block, q, 1, query)
    for j in range(dimension):
        store(work.adjoint.re, j, load(work.adjoint.re, j) + load(adjoint.re, j))
        store(work.adjoint.im, j, load(work.adjoint.im, j) + load(adjoint.im, j))


@compiled
def _copy(source, target, dimension):
    for j in range(dimension):
        store(target.re, j, load(source.re, j))
        store(target.im, j, load(source.im, j))


@compiled
def _clear(rows, count):
    for row in range(count):
        store(rows, row, constant(rows, 0.0))


@compiled
def _empty_running_sums(sums):
    """Move the running sums of a chunk into float64, so that long sequences lose no digits."""
    zero = constant(sums.shared_rows, 0.0)
    for row in range(len(sums.shared)):
        sums.shared[row] += total(load(sums.shared_rows, row))
        store(sums.shared_rows, row, zero)
    dimension = sums.tables.shape[1]
    for table in range(sums.tables.shape[0]):
        for j in range(dimension):
            row = table * dimension + j
            sums.tables[table, j] += total(load(sums.table_rows, row))
            store(sums.table_rows, row, zero)
