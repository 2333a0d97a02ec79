"""What causal layers around residuals have in common, whatever they compute: an encoder before, a norm behind."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from qlam_qiskit.baselines.steps import Steps


class ResidualLayers(nn.Module):
    """Maps embeddings (B, T, E) to outputs (B, T, width) of causal layers, each around a residual.

    Where only the outputs at R steps are wanted, (B, R, width), the last layer ends with these.
    """

    def __init__(self, embedding_width: int, width: int, layers: Iterable[nn.Module], norm: nn.Module) -> None:
        super().__init__()
        self.encoder = nn.Linear(embedding_width, width)
        self.layers = nn.ModuleList(layers)
        self.norm = norm

    def forward(
        self, embedded: torch.Tensor, at: Steps | None = None, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the outputs after the last layer, normalized; all of them, or those of the steps ``at``.

        They depend on nothing behind them, so that ``lengths`` change nothing.
        """
        outputs = self.encoder(embedded)
        *inner, last = self.layers
        for layer in inner:
            outputs = layer(outputs)
        return self.norm(last(outputs, at))
