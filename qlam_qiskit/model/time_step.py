"""A time step that the token sets: how far the memory moves in one step, as in selective state-space models."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import softplus

from qlam_qiskit.memory_circuit import MemoryCircuit


class SelectiveTimeStep(nn.Module):
    """Multiplies all angles of a step, trained ones included, by softplus of a linear function of the token.

    Where that is 0 the step is that of an angle of 0: a memory whose circuit is then the identity waits, however many
    tokens pass. The trained angles become inputs of the circuit, one for each step; rates stay as they are.

    Parameters
    ----------
    memory
        The circuit, before its weights are inputs.
    width
        Numbers of an embedding.
    registers
        H.
    start
        theta' of all registers at first, (H, W without rates).
    weight_scale
        theta = weight_scale * theta'.
    first_step
        What all steps are near at first.

    Notes
    -----
    After the step size of Gu and Dao 2023 (arXiv 2312.00752).
    """

    def __init__(
        self,
        memory: MemoryCircuit,
        width: int,
        registers: int,
        start: torch.Tensor,
        weight_scale: float,
        first_step: float = 1.0,
    ) -> None:
        super().__init__()
        self.memory = memory.driven()
        self.step = nn.Linear(width, registers)
        nn.init.constant_(self.step.bias, first_step + math.log(-math.expm1(-first_step)))  # softplus undone
        self.theta = nn.Parameter(start)
        self._scale = weight_scale

    def forward(self, phi: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        """Turn angles (B, T, H, P) and embeddings (B, T, E) into angles and trained angles (B, T, H, P + W)."""
        step = softplus(self.step(embedded))[..., None]
        return torch.cat([phi * step, self._scale * self.theta * step], dim=-1)
