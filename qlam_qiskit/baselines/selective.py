"""The selective state-space baseline: Mamba's S6 in plain torch (Gu and Dao 2023, arXiv 2312.00752).

Channel h keeps N real numbers with x_t = exp(dt_t A) x_{t-1} + dt_t B_t u_t and y_t = C_t x_t + D u_t, where the step
size dt_t, B_t and C_t are functions of the token: the memory chooses what to keep.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import silu, softplus

from qlam_qiskit.baselines.recurrence import linear_recurrence
from qlam_qiskit.baselines.residual import ResidualLayers
from qlam_qiskit.baselines.settings import SelectiveSettings
from qlam_qiskit.baselines.steps import Steps, take

_EXPANSION = 2  # channels inside a layer for each of its width
_KERNEL = 4  # tokens that the convolution before the recurrence sees


class SelectiveMemory(ResidualLayers):
    """Layers of S6, each causal and around a residual: embeddings (B, T, E) to outputs (B, T, width)."""

    def __init__(self, settings: SelectiveSettings) -> None:
        layers = (_Block(settings) for _ in range(settings.layers))  # made after the encoder
        super().__init__(settings.embedding.width, settings.width, layers, nn.RMSNorm(settings.width))


class _Block(nn.Module):
    def __init__(self, settings: SelectiveSettings) -> None:
        super().__init__()
        channels = _EXPANSION * settings.width
        self.norm = nn.RMSNorm(settings.width)
        self.spread = nn.Linear(settings.width, 2 * channels, bias=False)
        self.convolution = nn.Conv1d(channels, channels, _KERNEL, groups=channels, padding=_KERNEL - 1)
        self.dynamics = SelectiveStateSpace(settings, channels)
        self.gather = nn.Linear(channels, settings.width, bias=False)

    def forward(self, tokens: torch.Tensor, at: Steps | None = None) -> torch.Tensor:
        signals, gate = self.spread(self.norm(tokens)).chunk(2, dim=-1)
        signals = self.convolution(signals.transpose(1, 2))[..., : tokens.shape[1]].transpose(1, 2)
        mixed = self.dynamics(silu(signals))
        if at is not None:
            tokens, mixed, gate = (take(part, at) for part in (tokens, mixed, gate))
        return tokens + self.gather(mixed * silu(gate))


class SelectiveStateSpace(nn.Module):
    """The recurrence S6: signals (B, T, channels) to signals of the same shape."""

    def __init__(self, settings: SelectiveSettings, channels: int) -> None:
        super().__init__()
        self._state, self._rank = settings.state, math.ceil(settings.width / 16)
        self.select = nn.Linear(channels, self._rank + 2 * self._state, bias=False)
        self.step = nn.Linear(self._rank, channels)
        nn.init.uniform_(self.step.weight, -(self._rank**-0.5), self._rank**-0.5)
        low, high = math.log(settings.step_min), math.log(settings.step_max)
        first = torch.exp(low + (high - low) * torch.rand(channels))
        with torch.no_grad():
            self.step.bias.copy_(first + torch.log(-torch.expm1(-first)))  # the inverse of softplus
        self.log_decay = nn.Parameter(torch.arange(1, self._state + 1).float().log().repeat(channels, 1))
        self.direct = nn.Parameter(torch.ones(channels))

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        """Run the recurrence over the signals."""
        signals = signals.transpose(0, 1)  # time first: a step of the recurrence is then one slice
        sizes = (self._rank, self._state, self._state)
        low_rank, into, out = self.select(signals).split(sizes, dim=-1)
        steps = softplus(self.step(low_rank))
        factors = torch.exp(steps[..., None] * -self.log_decay.exp())
        states = linear_recurrence(factors, (steps * signals)[..., None] * into[:, :, None])
        read = torch.einsum("tbhn,tbn->tbh", states, out)
        return (read + self.direct * signals).transpose(0, 1)
