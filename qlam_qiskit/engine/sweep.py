"""A block of samples through a whole sequence: forward to the readouts, and backward to the gradients.

Only psi_T is kept in between: backward recomputes psi_t by undoing the updates, so that memory does not grow with the
length of the sequence. At each step that is read, every query rotates a copy of the state before the probabilities of
the 2^n bitstrings are taken; backward, O V psi is carried through V and added to lambda.
"""

from qlam_qiskit.engine.angle_rows import cos_sin_rows, gather_rows, scatter_rows
from qlam_qiskit.engine.arrays import CHUNK
from qlam_qiskit.engine.compiled import compiled, entry_point
from qlam_qiskit.engine.simd import LANES, broadcast, load, store
from qlam_qiskit.engine.steps import apply_step, unapply_step


@entry_point
def forward_block(
    inputs,
    queries,
    head,
    update,
    update_shared,
    query,
    query_shared,
    numbers,
    qubits,
    first,
    lanes,
    readout,
    work,
    rows,
    query_rows,
    re,
    im,
    probabilities,
):
    """Run samples [first, first + lanes) of a head from |0...0>, leaving psi_T in ``re`` and ``im``.

    inputs (B, T, H, P); queries (B, R, H, Q, A); readout (T,) holds which of the R readouts follows each step, or -1;
    probabilities (B, R, H, Q, D) is written.
    """
    # Cut here, not by the caller: an array's layout is part of its type, and each type compiles anew.
    inputs, queries, probabilities = inputs[:, :, head], queries[:, :, head], probabilities[:, :, head]
    one = broadcast(numbers.half[2])
    width = len(update_shared.offsets)
    for j in range(1 << qubits):
        store(re, j, one - one)
        store(im, j, one - one)
    store(re, 0, one)
    for start in range(0, inputs.shape[1], CHUNK):
        count = min(CHUNK, inputs.shape[1] - start)
        gather_rows(inputs, first, lanes, start, count, update, update_shared.offsets, rows.angles)
        cos_sin_rows(rows.angles, count * width, numbers, rows.cosines, rows.sines)
        for t in range(count):
            apply_step(re, im, qubits, update, update_shared, rows.cosines, rows.sines, t * width, work, one)
            slot = readout[start + t]
            if slot >= 0:
                for q in range(queries.shape[2]):
                    _rotate_to_query(
                        re,
                        im,
                        queries[:, slot],
                        q,
                        query,
                        query_shared,
                        numbers,
                        qubits,
                        first,
                        lanes,
                        work,
                        query_rows,
                    )
                    for j in range(1 << qubits):
                        for lane in range(lanes):
                            r, i = work.query_re[j * LANES + lane], work.query_im[j * LANES + lane]
                            probabilities[first + lane, slot, q, j] = r * r + i * i


@compiled
def _rotate_to_query(re, im, queries, q, query, shared, numbers, qubits, first, lanes, work, rows):
    """Leave V(alpha_q) psi in the work buffers, and the query's cos and sin in ``rows``; queries is (B, Q, A)."""
    gather_rows(queries, first, lanes, q, 1, query, shared.offsets, rows.angles)
    cos_sin_rows(rows.angles, len(shared.offsets), numbers, rows.cosines, rows.sines)
    for j in range(1 << qubits):
        store(work.query_re, j, load(re, j))
        store(work.query_im, j, load(im, j))
    one = broadcast(numbers.half[2])
    apply_step(work.query_re, work.query_im, qubits, query, shared, rows.cosines, rows.sines, 0, work, one)


@entry_point
def backward_block(
    inputs,
    queries,
    head,
    update,
    update_shared,
    query,
    query_shared,
    numbers,
    qubits,
    first,
    lanes,
    readout,
    work,
    rows,
    query_rows,
    final_re,
    final_im,
    cotangent,
    input_gradient,
    query_gradient,
    sums,
    query_sums,
):
    """Walk samples [first, first + lanes) of a head back from psi_T, given dL/dp in ``cotangent`` (B, R, H, Q, D).

    Writes ``input_gradient`` (B, T, H, P; may be ``inputs`` itself, each step is read before it is written) and
    ``query_gradient`` (B, R, H, Q, A), and adds what weights receive to ``sums`` and ``query_sums``.
    """
    inputs, queries, cotangent = inputs[:, :, head], queries[:, :, head], cotangent[:, :, head]
    input_gradient, query_gradient = input_gradient[:, :, head], query_gradient[:, :, head]
    one = broadcast(numbers.half[2])
    zero = one - one
    width = len(update_shared.offsets)
    for j in range(1 << qubits):
        store(work.re, j, load(final_re, j))
        store(work.im, j, load(final_im, j))
        store(work.lre, j, zero)
        store(work.lim, j, zero)
    chunks = (inputs.shape[1] + CHUNK - 1) // CHUNK
    for chunk in range(chunks - 1, -1, -1):
        start = chunk * CHUNK
        count = min(CHUNK, inputs.shape[1] - start)
        gather_rows(inputs, first, lanes, start, count, update, update_shared.offsets, rows.angles)
        cos_sin_rows(rows.angles, count * width, numbers, rows.cosines, rows.sines)
        for row in range(count * width):
            store(rows.gradients, row, zero)
        for t in range(count - 1, -1, -1):
            slot = readout[start + t]
            if slot >= 0:
                for q in range(queries.shape[2]):
                    _add_readout(
                        queries[:, slot],
                        q,
                        query,
                        query_shared,
                        numbers,
                        qubits,
                        first,
                        lanes,
                        work,
                        query_rows,
                        cotangent[:, slot],
                        query_gradient[:, slot],
                        query_sums,
                    )
            unapply_step(
                work.re,
                work.im,
                work.lre,
                work.lim,
                qubits,
                update,
                update_shared,
                rows.cosines,
                rows.sines,
                t * width,
                work,
                one,
                rows.gradients,
                sums.shared_rows,
                sums.table_rows,
            )
        scatter_rows(input_gradient, first, lanes, start, count, update, rows.gradients, sums.offsets)
        _empty_running_sums(sums)
    _empty_running_sums(query_sums)


@compiled
def _add_readout(queries, q, query, shared, numbers, qubits, first, lanes, work, rows, cotangent, query_gradient, sums):
    """Add V^dagger O V psi to lambda, and collect the gradients of V's angles."""
    one = broadcast(numbers.half[2])
    zero = one - one
    _rotate_to_query(work.re, work.im, queries, q, query, shared, numbers, qubits, first, lanes, work, rows)
    for j in range(1 << qubits):
        store(work.query_lre, j, zero)
        store(work.query_lim, j, zero)
        for lane in range(lanes):
            weight = cotangent[first + lane, q, j]
            work.query_lre[j * LANES + lane] = weight * work.query_re[j * LANES + lane]
            work.query_lim[j * LANES + lane] = weight * work.query_im[j * LANES + lane]
    for row in range(len(shared.offsets)):
        store(rows.gradients, row, zero)
    unapply_step(
        work.query_re,
        work.query_im,
        work.query_lre,
        work.query_lim,
        qubits,
        query,
        shared,
        rows.cosines,
        rows.sines,
        0,
        work,
        one,
        rows.gradients,
        sums.shared_rows,
        sums.table_rows,
    )
    scatter_rows(query_gradient, first, lanes, q, 1, query, rows.gradients, sums.offsets)
    for j in range(1 << qubits):
        store(work.lre, j, load(work.lre, j) + load(work.query_lre, j))
        store(work.lim, j, load(work.lim, j) + load(work.query_lim, j))


@compiled
def _empty_running_sums(sums):
    """Move the running sums of a chunk into float64, so that long sequences lose no digits."""
    for row in range(len(sums.shared)):
        for lane in range(LANES):
            sums.shared[row] += sums.shared_rows[row * LANES + lane]
            sums.shared_rows[row * LANES + lane] = 0
    dimension = sums.tables.shape[1]
    for table in range(sums.tables.shape[0]):
        for j in range(dimension):
            row = table * dimension + j
            for lane in range(LANES):
                sums.tables[table, j] += sums.table_rows[row * LANES + lane]
                sums.table_rows[row * LANES + lane] = 0
