"""Sizing: the nearest width to a budget, found without trying them all."""

import pytest

from qlam_qiskit.baselines import Baseline, RecurrentSettings, count_parameters, fit_size
from qlam_qiskit.errors import ConfigurationError


@pytest.mark.parametrize("budget", [300, 1_000, 3_303])
def test_no_other_width_is_nearer(budget):
    def count(width):
        model = Baseline(RecurrentSettings(kind="gru", width=width), steps=4, token_size=1, classes=3)
        return count_parameters(model)

    counts = {width: count(width) for width in range(1, 40)}
    nearest = min(counts, key=lambda width: abs(counts[width] - budget))
    if counts[1] > 2 * budget:
        with pytest.raises(ConfigurationError, match="the smallest model has"):
            fit_size(count, budget)
    else:
        assert abs(counts[fit_size(count, budget)] - budget) == abs(counts[nearest] - budget)


def test_sizes_come_in_steps():
    assert fit_size(lambda size: size**2, 100, step=4) == 8  # 64 is nearer than 144
    assert fit_size(lambda size: size, 31, step=8) == 32
