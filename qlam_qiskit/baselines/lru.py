"""The linear recurrent unit: complex modes inside a ring near the unit circle (Orvieto et al. 2023, arXiv 2303.06349).

x_t = lambda x_{t-1} + gamma (B u_t), y_t = Re(C x_t) + D u_t, with lambda = exp(-exp(nu) + i exp(theta)) and gamma, one
for each mode, at first sqrt(1 - |lambda|^2), which keeps the size of x about that of u.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from qlam_qiskit.baselines.recurrence import linear_recurrence
from qlam_qiskit.baselines.settings import LinearRecurrentSettings


class LinearRecurrentUnit(nn.Module):
    """The dynamics of one layer: signals (B, T, width) to signals of the same shape; all modes see all channels.

    nu, theta and gamma are kept divided by ``dynamics_rate``, so that Adam moves them that much more slowly.
    """

    def __init__(self, settings: LinearRecurrentSettings) -> None:
        super().__init__()
        width, modes = settings.width, settings.state
        self._rate = settings.dynamics_rate
        inner, outer = settings.radius_min**2, settings.radius_max**2
        # Uniform over the area of the ring, as published.
        nu = -0.5 * torch.log(torch.rand(modes) * (outer - inner) + inner)
        theta = settings.phase_max * torch.rand(modes).clamp_min(1e-6)
        gamma = torch.sqrt(-torch.expm1(-2 * nu))
        self.log_nu = nn.Parameter(nu.log() / self._rate)
        self.log_theta = nn.Parameter(theta.log() / self._rate)
        self.log_gamma = nn.Parameter(gamma.log() / self._rate)
        # Complex matrices, kept as real and imaginary part.
        self.input = nn.Parameter(torch.randn(modes, width, 2) / math.sqrt(2 * width))
        self.output = nn.Parameter(torch.randn(width, modes, 2) / math.sqrt(modes))
        self.direct = nn.Parameter(torch.randn(width))

    def eigenvalues(self) -> torch.Tensor:
        """Return lambda, shape (state,), complex."""
        nu, theta = (self.log_nu * self._rate).exp(), (self.log_theta * self._rate).exp()
        return torch.polar(torch.exp(-nu), theta)

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        """Run the modes over the signals and mix their real parts."""
        gamma = (self.log_gamma * self._rate).exp()
        into = torch.view_as_complex(self.input) * gamma[:, None]
        drives = signals.transpose(0, 1).to(into.dtype) @ into.T
        states = linear_recurrence(self.eigenvalues().expand_as(drives), drives)
        mixed = states.real @ self.output[..., 0].T - states.imag @ self.output[..., 1].T
        return mixed.transpose(0, 1) + self.direct * signals
