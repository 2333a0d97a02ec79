"""Rotations of a qubit as unit quaternions, for all samples at once: composing them is a few real products.

A rotation w - i (x X + y Y + z Z) is an array (w, x, y, z) of shape (4, samples), or (4, 1) where all are alike.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

IDENTITY: Floats = np.array([[1.0], [0.0], [0.0], [0.0]])
_HALF = math.sqrt(0.5)
_FIXED = {"h": (0, _HALF, 0, _HALF), "x": (0, 1, 0, 0), "z": (0, 0, 0, 1)}
_AXES = {"rx": 1, "ry": 2, "rz": 3}


def rotation(name: str, angle: Floats | float | None = None) -> Floats:
    """Return the rotation of a gate: rx, ry, rz by ``angle`` (radians; one, or one for each sample), or h, x, z."""
    if angle is None:
        return np.array(_FIXED[name], dtype=float)[:, None]
    half = np.atleast_1d(np.asarray(angle, dtype=float)) / 2
    quaternion = np.zeros((4, len(half)))
    quaternion[0] = np.cos(half)
    quaternion[_AXES[name]] = np.sin(half)
    return quaternion


def compose(after: Floats, before: Floats) -> Floats:
    """Return the rotation that ``before`` and then ``after`` make."""
    a, b, c, d = after
    w, x, y, z = before
    return np.stack(
        (
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        )
    )


def euler_angles(total: Floats) -> tuple[Floats, Floats, Floats]:
    """Return lam, theta, phi (radians) such that RZ(phi) RY(theta) RZ(lam) is the rotation, up to its sign."""
    w, x, y, z = total
    # Half the sum and half the difference of phi and lam are two arguments. Where one of them is undefined, at theta
    # = 0 or pi, any value of it is right.
    half_sum, half_difference = np.arctan2(z, w), np.arctan2(-x, y)
    theta = 2 * np.arctan2(np.hypot(x, y), np.hypot(w, z))
    return half_sum - half_difference, theta, half_sum + half_difference


def matrix_of(total: Floats) -> NDArray[np.complex128]:
    """Return the 2 x 2 matrix of the first sample's rotation."""
    w, x, y, z = total[:, 0]
    return np.array([[w - 1j * z, -y - 1j * x], [y - 1j * x, w + 1j * z]])
