"""The steps whose outputs are wanted: the same of all samples, or each sample's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch

from qlam_qiskit.model import at_steps

Steps: TypeAlias = Sequence[int] | torch.Tensor  # R steps of all samples, or (B, R)


def take(outputs: torch.Tensor, at: Steps) -> torch.Tensor:
    """Take (B, T, ...) at the steps wanted, (B, R, ...)."""
    return at_steps(outputs, at) if isinstance(at, torch.Tensor) else outputs[:, list(at)]
