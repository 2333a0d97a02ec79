"""Sizes a model to a parameter budget: the width whose count of trained parameters is nearest to it."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from qlam_qiskit.errors import ConfigurationError


def count_parameters(model: nn.Module) -> int:
    """Count the numbers that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def fit_size(count: Callable[[int], float], budget: int, *, step: int = 1) -> int:
    """Return the multiple of ``step`` whose ``count`` of parameters, which must grow with it, is nearest to ``budget``.

    ``count`` may be endless from some size on. Raises ConfigurationError when even the smallest has more than twice the
    budget.
    """
    low, high = 0, 1
    while count(high * step) < budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle * step) < budget else (low, middle)
    candidates = [size * step for size in (low, high) if size]
    best = min(candidates, key=lambda size: abs(count(size) - budget))
    if count(best) > 2 * budget:
        raise ConfigurationError(f"the smallest model has {count(best):,} parameters, the budget is {budget:,}")
    return best
