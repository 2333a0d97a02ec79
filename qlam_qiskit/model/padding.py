"""Sequences that are shorter than others end in padding: tokens of NaN, as time series archives have it."""

from __future__ import annotations

import numpy as np
import torch

from qlam_qiskit.errors import ConfigurationError


def without_padding(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Find the length of each sample of tokens (B, T, c), and put zeros in the place of padding.

    Returns the tokens and the lengths, int64 (B,), or None where all are T. Raises ConfigurationError where a token is
    NaN and a later one is not, in a part, or where no token is left.
    """
    if torch._C._are_functorch_transforms_active():  # whose tensors have no values to look at
        return tokens, None
    missing = tokens.isnan()
    if not missing.any():
        return tokens, None
    padding = missing.all(-1)
    lengths = (~padding).sum(1)
    after_end = torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None]
    if not torch.equal(padding, after_end) or bool((missing.any(-1) != padding).any()) or int(lengths.min()) == 0:
        raise ConfigurationError(
            "tokens may be NaN as padding only: whole tokens that follow the last of a sample, which has one at least"
        )
    return torch.where(missing, torch.zeros_like(tokens), tokens), lengths


def reversed_within(of_steps: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Reverse (B, T, ...) in time, each sample within its own length; padding stays where it is."""
    if lengths is None:
        return of_steps.flip(1)
    steps = torch.arange(of_steps.shape[1], device=of_steps.device)
    last = lengths[:, None] - 1
    return at_steps(of_steps, torch.where(steps <= last, last - steps, steps))


def at_steps(of_steps: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Take other steps of each sample: (B, T, ...) at ``chosen`` (B, R) becomes (B, R, ...); -1 takes the first."""
    rows = torch.arange(len(of_steps), device=of_steps.device)[:, None]
    return of_steps[rows, chosen.clamp(min=0)]


def reading_times(readings: int, lengths: torch.Tensor | None, *, every_step: bool) -> np.ndarray | None:
    """Say after which of its own steps each sample is read, (B, R): evenly spaced up to its last.

    With ``every_step``, R = T, a sample is not read after steps of padding, -1. Returns None where all samples have T
    steps. Raises ConfigurationError for a sample with fewer steps than readings.
    """
    if lengths is None:
        return None
    own = lengths.cpu().numpy()[:, None]
    if every_step:
        every = np.arange(readings)[None]
        return np.where(every < own, every, -1)
    if own.min() < readings:
        raise ConfigurationError(
            f"model.readout.times: at most the {own.min()} steps of the shortest sequence (got {readings})"
        )
    return np.round(own * np.arange(1, readings + 1) / readings).astype(np.int64) - 1
