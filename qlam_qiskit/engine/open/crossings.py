"""The compiled loops that end one step on a qubit and begin the next in a single pass over the state.

The end is a turn of the qubit's Z towards a letter and a channel that damps it (:mod:`.damping`), the beginning two
turns about different axes (:mod:`.turns`). Together they are a matrix M of each sample from the numbers of Z ("up"),
that letter ("side"), the third letter ("other") and I ("one") to those of p, q and r, the letters in the order of the
turns: p towards q, then q towards r. M is made once for all groups of four rows.

Backward, the state before is on the tape, so that nothing is undone: lambda becomes M^T lambda, and the sums of
lambda_i r_j over the groups hold the gradients of all three angles and of the channel.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.open.turns import add_part, part_of
from qlam_qiskit.engine.simd import at, constant, load, registers, registers_in_row, store

_TILE = 64  # groups of four rows that M is made for; of narrow blocks, they stay in the first level of cache


@compiled
def cross(before, after, size, bases, first_base, step, letter, p, q, r, angle, angle1, angle2, coefficients, first):
    """Read the state before the end of a step, write the one after the beginning of the next.

    ``angle`` are the rows of cos and sin of the turn at the end, then those of the two at the beginning.
    """
    parts, end, rows = registers_in_row(before), first_base + (size >> 2), registers(before)
    for begin in range(first_base, end, _TILE):
        for part in range(parts):
            pu, pv, pw, po, qu, qv, qw, qo, ru, rv, rw, ro = _matrix(
                rows, part, letter, p, q, r, angle, angle1, angle2, coefficients, first
            )
            ones, ups = part_of(before, 0, part), part_of(before, 2 * step, part)
            sides, others = part_of(before, letter * step, part), part_of(before, (4 - letter) * step, part)
            new_ones, new_ps = part_of(after, 0, part), part_of(after, p * step, part)
            new_qs, new_rs = part_of(after, q * step, part), part_of(after, r * step, part)
            for k in range(begin, min(begin + _TILE, end)):
                j = at(bases, k) * parts
                one, u, v, w = load(ones, j), load(ups, j), load(sides, j), load(others, j)
                store(new_ones, j, one)
                store(new_ps, j, pu * u + pv * v + pw * w + po * one)
                store(new_qs, j, qu * u + qv * v + qw * w + qo * one)
                store(new_rs, j, ru * u + rv * v + rw * w + ro * one)


@compiled
def uncross(
    before,
    adjoint,
    size,
    bases,
    first_base,
    step,
    letter,
    p,
    q,
    r,
    angle,
    angle1,
    angle2,
    coefficients,
    first,
    trained,
    sums,
    gradient,
    gradient1,
    gradient2,
):
    """Apply the transpose to lambda in place; ``before`` is the state that :func:`cross` read.

    The gradient of each angle is added to the first of its rows, those of a trained channel to ``sums``.
    """
    parts, end, rows = registers_in_row(before), first_base + (size >> 2), registers(before)
    turned, third = first + (letter >> 1), first + 1 - (letter >> 1)
    p_up, p_side, p_other = _is(rows, p, 2), _is(rows, p, letter), _is(rows, p, 4 - letter)
    q_up, q_side, q_other = _is(rows, q, 2), _is(rows, q, letter), _is(rows, q, 4 - letter)
    r_up, r_side, r_other = _is(rows, r, 2), _is(rows, r, letter), _is(rows, r, 4 - letter)
    for begin in range(first_base, end, _TILE):
        for part in range(parts):
            c, s = load(registers(angle[0]), part), load(registers(angle[1]), part)
            c1, s1 = load(registers(angle1[0]), part), load(registers(angle1[1]), part)
            c2, s2 = load(registers(angle2[0]), part), load(registers(angle2[1]), part)
            pu, pv, pw, po, qu, qv, qw, qo, ru, rv, rw, ro = _matrix(
                rows, part, letter, p, q, r, angle, angle1, angle2, coefficients, first
            )
            # Sums of lambda r over the groups: first the letter of lambda, then that of r.
            zero = c - c
            spu, spv, spw, spo = zero, zero, zero, zero
            squ, sqv, sqw, sqo = zero, zero, zero, zero
            sru, srv, srw, sro = zero, zero, zero, zero
            ones, ups = part_of(before, 0, part), part_of(before, 2 * step, part)
            sides, others = part_of(before, letter * step, part), part_of(before, (4 - letter) * step, part)
            of_ones, of_ups = part_of(adjoint, 0, part), part_of(adjoint, 2 * step, part)
            of_sides, of_others = part_of(adjoint, letter * step, part), part_of(adjoint, (4 - letter) * step, part)
            of_ps, of_qs = part_of(adjoint, p * step, part), part_of(adjoint, q * step, part)
            of_rs = part_of(adjoint, r * step, part)
            for k in range(begin, min(begin + _TILE, end)):
                j = at(bases, k) * parts
                x, y, z = load(of_ps, j), load(of_qs, j), load(of_rs, j)
                u = load(ups, j)
                spu, squ, sru = spu + x * u, squ + y * u, sru + z * u
                v = load(sides, j)
                spv, sqv, srv = spv + x * v, sqv + y * v, srv + z * v
                w = load(others, j)
                spw, sqw, srw = spw + x * w, sqw + y * w, srw + z * w
                one = load(ones, j)
                spo, sqo, sro = spo + x * one, sqo + y * one, sro + z * one
                store(of_ups, j, pu * x + qu * y + ru * z)
                store(of_sides, j, pv * x + qv * y + rv * z)
                store(of_others, j, pw * x + qw * y + rw * z)
                store(of_ones, j, load(of_ones, j) + po * x + qo * y + ro * z)
            add_part(gradient2, 0, part, _slope(squ, sqv, sqw, sqo, sru, srv, srw, sro, qu, qv, qw, qo, ru, rv, rw, ro))
            squ, sru, qu, ru = c2 * squ + s2 * sru, c2 * sru - s2 * squ, c2 * qu + s2 * ru, c2 * ru - s2 * qu
            sqv, srv, qv, rv = c2 * sqv + s2 * srv, c2 * srv - s2 * sqv, c2 * qv + s2 * rv, c2 * rv - s2 * qv
            sqw, srw, qw, rw = c2 * sqw + s2 * srw, c2 * srw - s2 * sqw, c2 * qw + s2 * rw, c2 * rw - s2 * qw
            sqo, sro, qo, ro = c2 * sqo + s2 * sro, c2 * sro - s2 * sqo, c2 * qo + s2 * ro, c2 * ro - s2 * qo
            add_part(gradient1, 0, part, _slope(spu, spv, spw, spo, squ, sqv, sqw, sqo, pu, pv, pw, po, qu, qv, qw, qo))
            spu, squ = c1 * spu + s1 * squ, c1 * squ - s1 * spu
            spv, sqv = c1 * spv + s1 * sqv, c1 * sqv - s1 * spv
            spw, sqw = c1 * spw + s1 * sqw, c1 * sqw - s1 * spw
            spo, sqo = c1 * spo + s1 * sqo, c1 * sqo - s1 * spo
            up_up = p_up * spu + q_up * squ + r_up * sru
            up_side = p_up * spv + q_up * sqv + r_up * srv
            side_up = p_side * spu + q_side * squ + r_side * sru
            side_side = p_side * spv + q_side * sqv + r_side * srv
            a, e = constant(rows, at(coefficients, turned)), constant(rows, at(coefficients, first + 2))
            add_part(gradient, 0, part, a * (c * side_up - s * side_side) - e * (c * up_side + s * up_up))
            if trained:
                add_part(sums, turned, part, c * side_side + s * side_up)
                add_part(sums, third, part, p_other * spw + q_other * sqw + r_other * srw)
                add_part(sums, first + 2, part, c * up_up - s * up_side)
                add_part(sums, first + 3, part, p_up * spo + q_up * sqo + r_up * sro)


@compiled
def _matrix(rows, part, letter, p, q, r, angle, angle1, angle2, coefficients, first):
    """Return the rows p, q and r of M, each in the order up, side, other, one, for one register of samples."""
    a = constant(rows, at(coefficients, first + (letter >> 1)))
    b = constant(rows, at(coefficients, first + 1 - (letter >> 1)))
    e, d = constant(rows, at(coefficients, first + 2)), constant(rows, at(coefficients, first + 3))
    p_up, p_side, p_other = _is(rows, p, 2), _is(rows, p, letter), _is(rows, p, 4 - letter)
    q_up, q_side, q_other = _is(rows, q, 2), _is(rows, q, letter), _is(rows, q, 4 - letter)
    r_up, r_side, r_other = _is(rows, r, 2), _is(rows, r, letter), _is(rows, r, 4 - letter)
    c, s = load(registers(angle[0]), part), load(registers(angle[1]), part)
    c1, s1 = load(registers(angle1[0]), part), load(registers(angle1[1]), part)
    c2, s2 = load(registers(angle2[0]), part), load(registers(angle2[1]), part)
    ca, sa, ce, se = a * c, a * s, e * c, e * s
    pu, pv, pw, po = p_up * ce + p_side * sa, p_side * ca - p_up * se, p_other * b, p_up * d
    qu, qv, qw, qo = q_up * ce + q_side * sa, q_side * ca - q_up * se, q_other * b, q_up * d
    ru, rv, rw, ro = r_up * ce + r_side * sa, r_side * ca - r_up * se, r_other * b, r_up * d
    pu, qu = c1 * pu - s1 * qu, c1 * qu + s1 * pu
    pv, qv = c1 * pv - s1 * qv, c1 * qv + s1 * pv
    pw, qw = c1 * pw - s1 * qw, c1 * qw + s1 * pw
    po, qo = c1 * po - s1 * qo, c1 * qo + s1 * po
    qu, ru = c2 * qu - s2 * ru, c2 * ru + s2 * qu
    qv, rv = c2 * qv - s2 * rv, c2 * rv + s2 * qv
    qw, rw = c2 * qw - s2 * rw, c2 * rw + s2 * qw
    qo, ro = c2 * qo - s2 * ro, c2 * ro + s2 * qo
    return pu, pv, pw, po, qu, qv, qw, qo, ru, rv, rw, ro


@compiled
def _is(rows, letter, other):
    """Return ones where two letters are the same, else zeros."""
    return constant(rows, 1.0 if letter == other else 0.0)


@compiled
def _slope(su, sv, sw, so, tu, tv, tw, to, u, v, w, o, x, y, z, i):
    """Return dL/da of a turn of rows (u, v, w, o) of M towards (x, y, z, i), which received s and t."""
    return tu * u + tv * v + tw * w + to * o - su * x - sv * y - sw * z - so * i
