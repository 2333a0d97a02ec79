"""The compiled loops for rotations about X and Y of one qubit: 8 fused multiply-adds a pair of amplitudes.

``c`` and ``s`` are cos and sin of half of each sample's angle. To undo a rotation backward costs the same for each of
psi and lambda, and 4 more for the gradient.
"""

from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.simd import load, store


@compiled
def rotate_x(state, dimension, qubit, c, s):
    """Apply exp(-i a X/2): x' = c x - i s y, y' = c y - i s x."""
    re, im, step = state.re, state.im, 1 << qubit
    for start in range(0, dimension, 2 * step):
        for j in range(start, start + step):
            xr, xi, yr, yi = load(re, j), load(im, j), load(re, j + step), load(im, j + step)
            store(re, j, c * xr + s * yi)
            store(im, j, c * xi - s * yr)
            store(re, j + step, c * yr + s * xi)
            store(im, j + step, c * yi - s * xr)


@compiled
def rotate_y(state, dimension, qubit, c, s):
    """Apply exp(-i a Y/2): x' = c x - s y, y' = c y + s x."""
    re, im, step = state.re, state.im, 1 << qubit
    for start in range(0, dimension, 2 * step):
        for j in range(start, start + step):
            xr, xi, yr, yi = load(re, j), load(im, j), load(re, j + step), load(im, j + step)
            store(re, j, c * xr - s * yr)
            store(im, j, c * xi - s * yi)
            store(re, j + step, c * yr + s * xr)
            store(im, j + step, c * yi + s * xi)


@compiled
def unrotate_x(psi, adjoint, dimension, qubit, c, s):
    """Undo exp(-i a X/2) on psi and lambda; returns Im <lambda|X|psi>."""
    re, im, lre, lim, step = psi.re, psi.im, adjoint.re, adjoint.im, 1 << qubit
    g = h = c - c
    for start in range(0, dimension, 2 * step):
        for j in range(start, start + step):
            xr, xi, yr, yi = load(re, j), load(im, j), load(re, j + step), load(im, j + step)
            ur, ui, vr, vi = load(lre, j), load(lim, j), load(lre, j + step), load(lim, j + step)
            g = g + ur * yi - ui * yr
            h = h + vr * xi - vi * xr
            store(re, j, c * xr - s * yi)
            store(im, j, c * xi + s * yr)
            store(re, j + step, c * yr - s * xi)
            store(im, j + step, c * yi + s * xr)
            store(lre, j, c * ur - s * vi)
            store(lim, j, c * ui + s * vr)
            store(lre, j + step, c * vr - s * ui)
            store(lim, j + step, c * vi + s * ur)
    return g + h


@compiled
def unrotate_y(psi, adjoint, dimension, qubit, c, s):
    """Undo exp(-i a Y/2) on psi and lambda; returns Im <lambda|Y|psi>."""
    re, im, lre, lim, step = psi.re, psi.im, adjoint.re, adjoint.im, 1 << qubit
    g = h = c - c
    for start in range(0, dimension, 2 * step):
        for j in range(start, start + step):
            xr, xi, yr, yi = load(re, j), load(im, j), load(re, j + step), load(im, j + step)
            ur, ui, vr, vi = load(lre, j), load(lim, j), load(lre, j + step), load(lim, j + step)
            g = g + vr * xr + vi * xi
            h = h + ur * yr + ui * yi
            store(re, j, c * xr + s * yr)
            store(im, j, c * xi + s * yi)
            store(re, j + step, c * yr - s * xr)
            store(im, j + step, c * yi - s * xi)
            store(lre, j, c * ur + s * vr)
            store(lim, j, c * ui + s * vi)
            store(lre, j + step, c * vr - s * ur)
            store(lim, j + step, c * vi - s * ui)
    return g - h
