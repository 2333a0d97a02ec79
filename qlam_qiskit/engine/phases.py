"""The compiled loops for a run of diagonal gates, exp(-i/2 sum_k a_k Z_k) with each Z_k a Pauli-Z string.

The factor of amplitude j is a product of three: strings whose angles are shared by all samples, from one table computed
beforehand; strings within the register's lower or upper half of qubits, from two small tables that are rebuilt each
step; and the strings that cross the middle, one by one. Backward, Im(conj(lambda_j) psi_j) of each amplitude, which no
phase changes, serves every string: dL/da_k = sum_j Z_k(j) Im(conj(lambda_j) psi_j).
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import constant, load, negate, store


@compiled
def phase(state, qubits, circuit, operation, base, work):
    """Apply a run of diagonal gates; the angle rows of this step begin at ``base``."""
    low, high, cross, end, table = operation[1], operation[2], operation[3], operation[4], operation[5]
    steps, rows = circuit.steps, circuit.rows
    if table >= 0:
        _apply_table(state, 1 << qubits, circuit.shared.table_re[table], circuit.shared.table_im[table])
    for k in range(cross, end):
        row = base + steps.string_rows[k]
        _apply_string(state, 1 << qubits, steps.masks[k], load(rows.cosines, row), load(rows.sines, row))
    if low < cross:
        _tabulate(work.low, 1 << qubits // 2, 0, circuit, low, high, base)
        _tabulate(work.high, 1 << (qubits - qubits // 2), qubits // 2, circuit, high, cross, base)
        _apply_halves(state, qubits, work.low, work.high)


@compiled
def unphase(psi, adjoint, qubits, circuit, operation, base, work):
    """Undo a run of diagonal gates on psi and lambda.

    Adds the strings' gradients to this step's rows of gradients, and Im(conj(lambda) psi) of each amplitude to the
    table's sums, from which the shared angles' gradients are projected at the very end.
    """
    low, high, cross, end, table = operation[1], operation[2], operation[3], operation[4], operation[5]
    steps, rows, size = circuit.steps, circuit.rows, 1 << qubits
    if table >= 0:
        table_re, table_im = circuit.shared.table_re[table], circuit.shared.table_im[table]
        _undo_table(psi, adjoint, size, table_re, table_im, circuit.sums.table_rows, table * size)
    for k in range(cross, end):
        row = base + steps.string_rows[k]
        g = _undo_string(psi, adjoint, size, steps.masks[k], load(rows.cosines, row), load(rows.sines, row))
        store(rows.gradients, row, load(rows.gradients, row) + g)
    if low < cross:
        low_size, high_size = 1 << qubits // 2, 1 << (qubits - qubits // 2)
        _tabulate(work.low, low_size, 0, circuit, low, high, base)
        _tabulate(work.high, high_size, qubits // 2, circuit, high, cross, base)
        _undo_halves(psi, adjoint, qubits, work.low, work.high)
        _project(work.low.sums, low_size, 0, circuit, low, high, base)
        _project(work.high.sums, high_size, qubits // 2, circuit, high, cross, base)


@compiled
def _odd(bits):
    """Say whether a string's Z eigenvalue is -1: an odd number of its qubits are 1."""
    bits ^= bits >> 8
    bits ^= bits >> 4
    bits ^= bits >> 2
    bits ^= bits >> 1
    return bits & 1 == 1


@compiled
def _apply_table(state, size, table_re, table_im):
    for j in range(size):
        c, s = constant(state.re, table_re[j]), constant(state.re, table_im[j])
        r, i = load(state.re, j), load(state.im, j)
        store(state.re, j, c * r - s * i)
        store(state.im, j, c * i + s * r)


@compiled
def _undo_table(psi, adjoint, size, table_re, table_im, sums, first):
    for j in range(size):
        c, s = constant(psi.re, table_re[j]), constant(psi.re, table_im[j])
        r, i, u, v = load(psi.re, j), load(psi.im, j), load(adjoint.re, j), load(adjoint.im, j)
        store(sums, first + j, load(sums, first + j) + (u * i - v * r))
        store(psi.re, j, c * r + s * i)
        store(psi.im, j, c * i - s * r)
        store(adjoint.re, j, c * u + s * v)
        store(adjoint.im, j, c * v - s * u)


@compiled
def _apply_string(state, size, mask, c, s):
    """Apply exp(-i a Z/2): amplitudes turn by -a/2 where the string is even, by a/2 where it is odd."""
    for j in range(size):
        q = negate(s) if _odd(j & mask) else s
        r, i = load(state.re, j), load(state.im, j)
        store(state.re, j, c * r + q * i)
        store(state.im, j, c * i - q * r)


@compiled
def _undo_string(psi, adjoint, size, mask, c, s):
    """Undo exp(-i a Z/2) on psi and lambda; returns Im <lambda|Z|psi>."""
    total = c - c
    for j in range(size):
        odd = _odd(j & mask)
        q = negate(s) if odd else s
        r, i, u, v = load(psi.re, j), load(psi.im, j), load(adjoint.re, j), load(adjoint.im, j)
        g = u * i - v * r
        total = total + (negate(g) if odd else g)
        store(psi.re, j, c * r - q * i)
        store(psi.im, j, c * i + q * r)
        store(adjoint.re, j, c * u - q * v)
        store(adjoint.im, j, c * v + q * u)
    return total


@compiled
def _tabulate(half, size, shift, circuit, begin, end, base):
    """Tabulate the factor of the strings that lie within one half of the register, for each of its ``size`` values."""
    steps, rows = circuit.steps, circuit.rows
    for j in range(size):
        store(half.re, j, constant(half.re, 1.0))
        store(half.im, j, constant(half.im, 0.0))
    for k in range(begin, end):
        row = base + steps.string_rows[k]
        c, s = load(rows.cosines, row), load(rows.sines, row)
        for j in range(size):
            q = negate(s) if _odd((j << shift) & steps.masks[k]) else s
            r, i = load(half.re, j), load(half.im, j)
            store(half.re, j, c * r + q * i)
            store(half.im, j, c * i - q * r)


@compiled
def _apply_halves(state, qubits, low, high):
    low_size, high_size = 1 << qubits // 2, 1 << (qubits - qubits // 2)
    for upper in range(high_size):
        hr, hi = load(high.re, upper), load(high.im, upper)
        for lower in range(low_size):
            j = upper * low_size + lower
            lr, li = load(low.re, lower), load(low.im, lower)
            fr = hr * lr - hi * li
            fi = hr * li + hi * lr
            r, i = load(state.re, j), load(state.im, j)
            store(state.re, j, fr * r - fi * i)
            store(state.im, j, fr * i + fi * r)


@compiled
def _undo_halves(psi, adjoint, qubits, low, high):
    """Undo both halves' phases, summing Im(conj(lambda) psi) over the upper half for each lower value, and back."""
    low_size, high_size = 1 << qubits // 2, 1 << (qubits - qubits // 2)
    for lower in range(low_size):
        store(low.sums, lower, constant(low.sums, 0.0))
    for upper in range(high_size):
        hr, hi = load(high.re, upper), load(high.im, upper)
        high_sum = constant(high.sums, 0.0)
        for lower in range(low_size):
            j = upper * low_size + lower
            lr, li = load(low.re, lower), load(low.im, lower)
            fr = hr * lr - hi * li
            fi = hr * li + hi * lr
            r, i, u, v = load(psi.re, j), load(psi.im, j), load(adjoint.re, j), load(adjoint.im, j)
            g = u * i - v * r
            store(psi.re, j, fr * r + fi * i)
            store(psi.im, j, fr * i - fi * r)
            store(adjoint.re, j, fr * u + fi * v)
            store(adjoint.im, j, fr * v - fi * u)
            high_sum = high_sum + g
            store(low.sums, lower, load(low.sums, lower) + g)
        store(high.sums, upper, high_sum)


@compiled
def _project(sums, size, shift, circuit, begin, end, base):
    """Add sum_j Z_k(j) sums_j to the gradient of each string k of one half."""
    steps, gradients = circuit.steps, circuit.rows.gradients
    for k in range(begin, end):
        row = base + steps.string_rows[k]
        total = load(gradients, row)
        for j in range(size):
            g = load(sums, j)
            total = total + (negate(g) if _odd((j << shift) & steps.masks[k]) else g)
        store(gradients, row, total)
