"""The linear recurrence is its loop, with exact gradients, and decays of any speed."""

import pytest
import torch

from qlam_qiskit.baselines.recurrence import linear_recurrence


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_states_and_gradients(dtype, steps):
    torch.manual_seed(steps)
    factors = torch.randn(steps, 2, 3, dtype=dtype, requires_grad=True)
    drives = torch.randn(steps, 2, 3, dtype=dtype, requires_grad=True)
    state, states = torch.zeros(2, 3, dtype=dtype), []
    for factor, drive in zip(factors, drives, strict=True):
        state = factor * state + drive
        states.append(state)
    torch.testing.assert_close(linear_recurrence(factors, drives), torch.stack(states))
    assert torch.autograd.gradcheck(linear_recurrence, (factors, drives))


def test_factors_that_vanish_or_grow_are_no_trouble():
    factors = torch.tensor([0.5, 0.0, 1e-30, 1e30]).requires_grad_()
    states = linear_recurrence(factors, torch.ones(4))
    assert states.tolist() == [1.0, 1.0, 1.0, pytest.approx(1e30)]
    states[2].backward()
    assert factors.grad.isfinite().all()
