"""A linear recurrence over time, h_t = a_t h_{t-1} + b_t, with its gradient as the recurrence run backwards."""

from __future__ import annotations

from typing import Any

import torch


def linear_recurrence(factors: torch.Tensor, drives: torch.Tensor) -> torch.Tensor:
    """Return the states h_t = a_t h_{t-1} + b_t from h_{-1} = 0, number by number.

    One multiplication and addition of whole slices a step, forward and backward: no powers of factors, so nothing
    overflows however fast a state decays.

    Parameters
    ----------
    factors
        a, shape (T, ...), real or complex.
    drives
        b, of the same shape and type.

    Returns
    -------
    torch.Tensor
        h, of the same shape; differentiable once.
    """
    return _Recurrence.apply(factors, drives)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, factors: torch.Tensor, drives: torch.Tensor) -> torch.Tensor:
        states = torch.empty_like(drives)
        state = torch.zeros_like(drives[0])
        for step in range(len(drives)):
            state = torch.addcmul(drives[step], factors[step], state, out=states[step])
        ctx.save_for_backward(factors, states)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        factors, states = ctx.saved_tensors
        conjugate = factors.conj().resolve_conj()
        adjoints = torch.empty_like(gradients)
        adjoints[-1] = gradients[-1]
        for step in range(len(gradients) - 2, -1, -1):
            torch.addcmul(gradients[step], conjugate[step + 1], adjoints[step + 1], out=adjoints[step])
        towards_factors = torch.empty_like(adjoints)
        towards_factors[0] = 0
        torch.mul(adjoints[1:], states[:-1].conj(), out=towards_factors[1:])
        return towards_factors, adjoints
