"""A trainable weight that is a rate of damping: which number is trained, which angle it is, and where it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qlam_qiskit.errors import CircuitError


@dataclass(frozen=True)
class Rate:
    """Says that a weight is the angle lambda = 2 asin(sqrt(gamma)) of a rate gamma in (0, 1).

    ``XXPlusYYGate(lambda)`` moves an excitation to an ancilla with probability gamma = sin^2(lambda / 2). In the
    circuit the weight is that angle, as any other; trained is the number g with gamma = 1 / (1 + exp(-g)), over which
    rates of all sizes lie evenly. At the start, gamma is drawn log-uniformly from ``low`` to ``high``: many time
    scales.
    """

    low: float = 0.002
    high: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < 1:
            raise CircuitError(f"rates lie between 0 and 1, the lower one first, not from {self.low} to {self.high}")

    def draw(self, uniform: np.ndarray) -> np.ndarray:
        """Turn numbers drawn uniformly from [0, 1) into g, of the same shape."""
        gamma = self.low * (self.high / self.low) ** np.asarray(uniform, np.float64)
        return np.log(gamma / (1 - gamma))


def rate_from_angle(angle: np.ndarray | float) -> np.ndarray | float:
    """Return gamma of an angle (radians)."""
    return np.sin(np.asarray(angle) / 2) ** 2


def angle_from_rate(gamma: float) -> float:
    """Return the angle (radians) of gamma."""
    return 2 * math.asin(math.sqrt(gamma))


def angles_and_slopes(trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the angles (radians) of numbers g that are trained, and their derivatives by g; float64."""
    # 2 asin(sqrt(gamma)) = 2 atan(exp(g / 2)), written so that neither it nor its slope overflows.
    tangent = np.tanh(np.asarray(trained, np.float64) / 4)
    square = tangent * tangent
    return np.pi / 2 + 2 * np.arctan(tangent), (1 - square) / (2 * (1 + square))
