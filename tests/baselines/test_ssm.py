"""S4D: the convolution is the recurrence, and eigenvalues start as published."""

import math

import pytest
import torch

from qlam_qiskit.baselines import StateSpaceSettings
from qlam_qiskit.baselines.ssm import DiagonalStateSpace


def build(initialization="lin", **options):
    torch.manual_seed(1)
    settings = StateSpaceSettings(kind="s4d", width=3, state=8, initialization=initialization, **options)
    return DiagonalStateSpace(settings).double()


@pytest.mark.parametrize("initialization", ["lin", "inv"])
@pytest.mark.parametrize("steps", [1, 7, 100])
def test_convolution_equals_recurrence(initialization, steps):
    layer = build(initialization)
    signals = torch.randn(2, 3, steps, dtype=torch.float64)
    # x' = A x + u held over a step of dt, written out: x <- exp(dt A) x + (exp(dt A) - 1)/A u.
    eigenvalues = torch.complex(-(0.1 * layer.log_decay).exp(), 0.1 * layer.frequency)
    factor = torch.exp((0.1 * layer.log_step).exp()[:, None] * eigenvalues)
    output = torch.view_as_complex(layer.output)
    state = torch.zeros(2, 3, 4, dtype=torch.complex128)
    expected = []
    for step in range(steps):
        state = factor * state + (factor - 1) / eigenvalues * signals[:, :, step, None]
        expected.append(2 * (output * state).sum(-1).real + layer.direct * signals[:, :, step])
    torch.testing.assert_close(
        layer(signals.transpose(1, 2)), torch.stack(expected, dim=-1).transpose(1, 2), rtol=1e-9, atol=1e-11
    )


def test_eigenvalues_start_as_published():
    for initialization, expected in (
        ("lin", [0.0, math.pi, 2 * math.pi, 3 * math.pi]),
        ("inv", [8 / math.pi * (8 / (2 * n + 1) - 1) for n in range(4)]),
    ):
        layer = build(initialization, dynamics_rate=0.5)
        torch.testing.assert_close(0.5 * layer.frequency[1], torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close((0.5 * layer.log_decay).exp(), torch.full((3, 4), 0.5, dtype=torch.float64))


def test_step_sizes_lie_in_their_range():
    layer = build(step_min=0.01, step_max=0.02)
    steps = (0.1 * layer.log_step).exp()
    assert steps.min() >= 0.01
    assert steps.max() <= 0.02


def test_the_rate_of_the_dynamics_changes_only_how_fast_adam_moves_them():
    moved = {}
    for rate in (1.0, 0.1):
        layer = build(dynamics_rate=rate)
        before = rate * layer.frequency.detach()
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
        layer(torch.randn(2, 20, 3, dtype=torch.float64)).square().sum().backward()
        optimizer.step()
        moved[rate] = (rate * layer.frequency.detach() - before).abs().max().item()
    assert moved[1.0] == pytest.approx(0.01, rel=1e-3)
    assert moved[0.1] == pytest.approx(0.001, rel=1e-3)
