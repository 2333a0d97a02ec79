"""The state-space baseline: S4D, linear dynamics of independent complex modes (Gu et al. 2022, arXiv 2206.11893).

Channel h holds N/2 modes x' = A x + u, y = 2 Re(C x) + D u, discretized by a zero-order hold of step size dt:
x_t = exp(dt A) x_{t-1} + (exp(dt A) - 1)/A u_t. Over a whole sequence y is a convolution of u with
K_l = 2 Re(sum_n C_n (exp(dt A_n) - 1)/A_n exp(dt A_n l)), which is done by FFT.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import gelu, glu

from qlam_qiskit.baselines.lru import LinearRecurrentUnit
from qlam_qiskit.baselines.residual import ResidualLayers
from qlam_qiskit.baselines.settings import LinearRecurrentSettings, StateSpaceSettings
from qlam_qiskit.baselines.steps import Steps, take


class StateSpaceMemory(ResidualLayers):
    """Layers of S4D or LRU, causal, gated, around a residual: embeddings (B, T, E) to outputs (B, T, width)."""

    def __init__(self, settings: StateSpaceSettings | LinearRecurrentSettings) -> None:
        layers = (_Block(settings) for _ in range(settings.layers))  # made after the encoder
        super().__init__(settings.embedding.width, settings.width, layers, nn.LayerNorm(settings.width))


class _Block(nn.Module):
    def __init__(self, settings: StateSpaceSettings | LinearRecurrentSettings) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(settings.width)
        s4d = isinstance(settings, StateSpaceSettings)
        self.dynamics = DiagonalStateSpace(settings) if s4d else LinearRecurrentUnit(settings)
        self.gate = nn.Linear(settings.width, 2 * settings.width)

    def forward(self, tokens: torch.Tensor, at: Steps | None = None) -> torch.Tensor:
        mixed = self.dynamics(self.norm(tokens))
        if at is not None:
            tokens, mixed = take(tokens, at), take(mixed, at)
        return tokens + glu(self.gate(gelu(mixed)), dim=-1)


class DiagonalStateSpace(nn.Module):
    """The linear dynamics: signals (B, T, width) to signals of the same shape, each channel on its own.

    Step sizes and eigenvalues are kept divided by ``dynamics_rate``, so that Adam moves them that much more slowly.
    """

    def __init__(self, settings: StateSpaceSettings) -> None:
        super().__init__()
        width, modes = settings.width, settings.state // 2
        low, high = math.log(settings.step_min), math.log(settings.step_max)
        self._rate = settings.dynamics_rate
        self.log_step = nn.Parameter((low + (high - low) * torch.rand(width)) / self._rate)
        self.log_decay = nn.Parameter(torch.full((width, modes), math.log(0.5)) / self._rate)
        self.frequency = nn.Parameter(_frequencies(settings).repeat(width, 1) / self._rate)
        # A standard complex normal number for each mode; kept as real and imaginary part.
        self.output = nn.Parameter(torch.randn(width, modes, 2) * math.sqrt(0.5))
        self.direct = nn.Parameter(torch.randn(width))

    def discretize(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return dt A, the logarithm of each mode's factor per step, and C (exp(dt A) - 1)/A, both (width, N/2)."""
        eigenvalues = torch.complex(-(self.log_decay * self._rate).exp(), self.frequency * self._rate)
        turns = eigenvalues * (self.log_step * self._rate).exp()[:, None]
        return turns, torch.view_as_complex(self.output) * turns.exp().sub(1) / eigenvalues

    def kernel(self, steps: int) -> torch.Tensor:
        """Return K, shape (width, T)."""
        turns, weights = self.discretize()
        powers = torch.exp(turns[..., None] * torch.arange(steps, device=turns.device))
        return 2 * torch.einsum("hn,hnl->hl", weights, powers).real

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        """Convolve with K and add D times the signal."""
        signals = signals.transpose(1, 2)
        steps = signals.shape[-1]
        length = 2 * steps
        spectrum = torch.fft.rfft(signals, n=length) * torch.fft.rfft(self.kernel(steps), n=length)
        mixed = torch.fft.irfft(spectrum, n=length)[..., :steps] + self.direct[:, None] * signals
        return mixed.transpose(1, 2)


def _frequencies(settings: StateSpaceSettings) -> torch.Tensor:
    size = settings.state
    index = torch.arange(size // 2)
    if settings.initialization == "lin":
        return math.pi * index
    return size / math.pi * (size / (2 * index + 1) - 1)
