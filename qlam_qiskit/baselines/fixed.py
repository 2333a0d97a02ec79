"""Memories that nothing trains but their head: a window of past tokens, and an echo state network."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad

from qlam_qiskit.baselines.settings import DelaySettings, EchoStateSettings
from qlam_qiskit.baselines.steps import Steps, take


class DelayMemory(nn.Module):
    """The last ``width`` tokens, zeros before the first: what a linear autoregression sees."""

    def __init__(self, settings: DelaySettings, token_size: int) -> None:
        super().__init__()
        self._taps, self.size = settings.width, settings.width * token_size

    def forward(
        self, tokens: torch.Tensor, at: Steps | None = None, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return windows (B, T, width * c), the newest token last; all of them, or those of the steps ``at``."""
        windows = pad(tokens, (0, 0, self._taps - 1, 0)).unfold(1, self._taps, 1)
        outputs = windows.transpose(2, 3).flatten(2)
        return outputs if at is None else take(outputs, at)


class EchoStateMemory(nn.Module):
    """An echo state network: x_t = (1 - a) x_{t-1} + a tanh(W x_{t-1} + V u_t + b), all of it random.

    W has about ten entries a row, its largest eigenvalue scaled to ``spectral_radius``; V and b are even draws from
    -``input_scale`` to ``input_scale``. Source: Jaeger 2001.
    """

    def __init__(self, settings: EchoStateSettings, token_size: int) -> None:
        super().__init__()
        self.size, self._leak = settings.width, settings.leak
        weights = torch.randn(self.size, self.size) * (torch.rand(self.size, self.size) < min(1, 10 / self.size))
        radius = torch.linalg.eigvals(weights).abs().max().clamp_min(1e-6)
        self.recurrent = nn.Parameter(weights * (settings.spectral_radius / radius), requires_grad=False)
        scale = settings.input_scale
        self.input = nn.Parameter((2 * torch.rand(self.size, token_size) - 1) * scale, requires_grad=False)
        self.bias = nn.Parameter((2 * torch.rand(self.size) - 1) * scale, requires_grad=False)

    def forward(
        self, tokens: torch.Tensor, at: Steps | None = None, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return states (B, T, width); all of them, or those of the steps ``at``."""
        drives = tokens @ self.input.T + self.bias
        state, states = torch.zeros_like(drives[:, 0]), []
        for drive in drives.unbind(1):
            state = (1 - self._leak) * state + self._leak * torch.tanh(state @ self.recurrent.T + drive)
            states.append(state)
        outputs = torch.stack(states, dim=1)
        return outputs if at is None else take(outputs, at)
