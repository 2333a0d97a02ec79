"""The compiled loops for a run of diagonal gates, exp(-i/2 sum_k a_k Z_k) with each Z_k a Pauli-Z string.

The factor of amplitude j is a product of three: strings whose angles are shared by all samples, from one table computed
beforehand; strings within the register's lower or upper half of qubits, from two small tables that are rebuilt each
step; and the strings that cross the middle, one by one. Backward, Im(conj(lambda_j) psi_j) of each amplitude, which no
phase changes, serves every string: dL/da_k = sum_j Z_k(j) Im(conj(lambda_j) psi_j).
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import broadcast, load, negate, store


@compiled
def phase(re, im, qubits, plan, shared, operation, cosines, sines, base, work, one):
    """Apply a run of diagonal gates."""
    low, high, cross, end, table = operation[1], operation[2], operation[3], operation[4], operation[5]
    if table >= 0:
        _apply_table(re, im, 1 << qubits, shared.table_re[table], shared.table_im[table])
    for k in range(cross, end):
        row = base + plan.string_rows[k]
        _apply_string(re, im, 1 << qubits, plan.masks[k], load(cosines, row), load(sines, row))
    if low < cross:
        _tabulate_halves(qubits, plan, low, high, cross, cosines, sines, base, work, one)
        _apply_halves(re, im, qubits, work)


@compiled
def unphase(re, im, lre, lim, qubits, plan, shared, operation, cosines, sines, base, work, one, gradient, table_sum):
    """Undo a run of diagonal gates on psi and lambda.

    Adds the strings' gradients to the rows of ``gradient`` that belong to this step, and Im(conj(lambda) psi) of each
    amplitude to ``table_sum``, from which the shared angles' gradients are projected at the very end.
    """
    low, high, cross, end, table = operation[1], operation[2], operation[3], operation[4], operation[5]
    size = 1 << qubits
    if table >= 0:
        table_re, table_im = shared.table_re[table], shared.table_im[table]
        _undo_table(re, im, lre, lim, size, table_re, table_im, table_sum, table * size)
    for k in range(cross, end):
        row = base + plan.string_rows[k]
        g = _undo_string(re, im, lre, lim, size, plan.masks[k], load(cosines, row), load(sines, row))
        store(gradient, row, load(gradient, row) + g)
    if low < cross:
        _tabulate_halves(qubits, plan, low, high, cross, cosines, sines, base, work, one)
        _undo_halves(re, im, lre, lim, qubits, work, one - one)
        low_qubits = qubits // 2
        _project(work.low_sum, 1 << low_qubits, 0, plan, low, high, gradient, base)
        _project(work.high_sum, 1 << (qubits - low_qubits), low_qubits, plan, high, cross, gradient, base)


@compiled
def _apply_table(re, im, size, table_re, table_im):
    for j in range(size):
        c, s = broadcast(table_re[j]), broadcast(table_im[j])
        r, i = load(re, j), load(im, j)
        store(re, j, c * r - s * i)
        store(im, j, c * i + s * r)


@compiled
def _undo_table(re, im, lre, lim, size, table_re, table_im, table_sum, first):
    for j in range(size):
        c, s = broadcast(table_re[j]), broadcast(table_im[j])
        r, i, u, v = load(re, j), load(im, j), load(lre, j), load(lim, j)
        store(table_sum, first + j, load(table_sum, first + j) + (u * i - v * r))
        store(re, j, c * r + s * i)
        store(im, j, c * i - s * r)
        store(lre, j, c * u + s * v)
        store(lim, j, c * v - s * u)


@compiled
def _odd(bits):
    """Say whether a string's Z eigenvalue is -1: an odd number of its qubits are 1."""
    bits ^= bits >> 8
    bits ^= bits >> 4
    bits ^= bits >> 2
    bits ^= bits >> 1
    return bits & 1 == 1


@compiled
def _apply_string(re, im, size, mask, c, s):
    """Apply exp(-i a Z/2): amplitudes turn by -a/2 where the string is even, by a/2 where it is odd."""
    for j in range(size):
        q = negate(s) if _odd(j & mask) else s
        r, i = load(re, j), load(im, j)
        store(re, j, c * r + q * i)
        store(im, j, c * i - q * r)


@compiled
def _undo_string(re, im, lre, lim, size, mask, c, s):
    """Undo exp(-i a Z/2) on psi and lambda; returns Im <lambda|Z|psi>."""
    total = c - c
    for j in range(size):
        odd = _odd(j & mask)
        q = negate(s) if odd else s
        r, i, u, v = load(re, j), load(im, j), load(lre, j), load(lim, j)
        g = u * i - v * r
        total = total + (negate(g) if odd else g)
        store(re, j, c * r - q * i)
        store(im, j, c * i + q * r)
        store(lre, j, c * u - q * v)
        store(lim, j, c * v + q * u)
    return total


@compiled
def _tabulate_halves(qubits, plan, low, high, cross, cosines, sines, base, work, one):
    low_qubits = qubits // 2
    _half_table(work.low_re, work.low_im, 1 << low_qubits, 0, plan, low, high, cosines, sines, base, one)
    size = 1 << (qubits - low_qubits)
    _half_table(work.high_re, work.high_im, size, low_qubits, plan, high, cross, cosines, sines, base, one)


@compiled
def _half_table(tr, ti, size, shift, plan, begin, end, cosines, sines, base, one):
    """Tabulate the factor of the strings that lie within one half of the register, for each of its ``size`` values."""
    for j in range(size):
        store(tr, j, one)
        store(ti, j, one - one)
    for k in range(begin, end):
        c, s = load(cosines, base + plan.string_rows[k]), load(sines, base + plan.string_rows[k])
        for j in range(size):
            q = negate(s) if _odd((j << shift) & plan.masks[k]) else s
            r, i = load(tr, j), load(ti, j)
            store(tr, j, c * r + q * i)
            store(ti, j, c * i - q * r)


@compiled
def _apply_halves(re, im, qubits, work):
    low_size, high_size = 1 << qubits // 2, 1 << (qubits - qubits // 2)
    for upper in range(high_size):
        hr, hi = load(work.high_re, upper), load(work.high_im, upper)
        for lower in range(low_size):
            j = upper * low_size + lower
            lr, li = load(work.low_re, lower), load(work.low_im, lower)
            fr = hr * lr - hi * li
            fi = hr * li + hi * lr
            r, i = load(re, j), load(im, j)
            store(re, j, fr * r - fi * i)
            store(im, j, fr * i + fi * r)


@compiled
def _undo_halves(re, im, lre, lim, qubits, work, zero):
    """Undo both halves' phases; sum Im(conj(lambda) psi) over the upper half for each lower value, and vice versa."""
    low_size, high_size = 1 << qubits // 2, 1 << (qubits - qubits // 2)
    for lower in range(low_size):
        store(work.low_sum, lower, zero)
    for upper in range(high_size):
        hr, hi = load(work.high_re, upper), load(work.high_im, upper)
        high_sum = zero
        for lower in range(low_size):
            j = upper * low_size + lower
            lr, li = load(work.low_re, lower), load(work.low_im, lower)
            fr = hr * lr - hi * li
            fi = hr * li + hi * lr
            r, i, u, v = load(re, j), load(im, j), load(lre, j), load(lim, j)
            g = u * i - v * r
            store(re, j, fr * r + fi * i)
            store(im, j, fr * i - fi * r)
            store(lre, j, fr * u + fi * v)
            store(lim, j, fr * v - fi * u)
            high_sum = high_sum + g
            store(work.low_sum, lower, load(work.low_sum, lower) + g)
        store(work.high_sum, upper, high_sum)


@compiled
def _project(sums, size, shift, plan, begin, end, gradient, base):
    """Add sum_j Z_k(j) sums_j to the gradient of each string k of one half."""
    for k in range(begin, end):
        row = base + plan.string_rows[k]
        total = load(gradient, row)
        for j in range(size):
            g = load(sums, j)
            total = total + (negate(g) if _odd((j << shift) & plan.masks[k]) else g)
        store(gradient, row, total)
