"""Token embeddings e_t, each made from tokens up to t only."""

from __future__ import annotations

import torch
from torch import nn

from qlam_qiskit.model.settings import EmbeddingSettings


class CausalConvolution(nn.Module):
    """A convolution over the last ``kernel`` tokens, then GELU; tokens before the first count as zero.

    Takes tokens (B, T, c), returns embeddings (B, T, width).
    """

    def __init__(self, token_size: int, width: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.linear = nn.Linear(kernel * token_size, width)
        self.activation = nn.GELU()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embed tokens; the windows are views, and one matrix product covers all of them."""
        padded = nn.functional.pad(tokens, (0, 0, self.kernel - 1, 0))
        windows = padded.unfold(1, self.kernel, 1)
        return self.activation(self.linear(windows.flatten(2)))


def make_embedding(settings: EmbeddingSettings, token_size: int) -> nn.Module:
    """Build the embedding that the settings name: tokens (B, T, c) to (B, T, width)."""
    if settings.kind == "linear":
        return nn.Linear(token_size, settings.width)
    return CausalConvolution(token_size, settings.width, settings.kernel)
