"""The Transformer baseline: a pre-norm encoder over all tokens, with memory-efficient attention."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention

from qlam_qiskit.baselines.settings import TransformerSettings
from qlam_qiskit.baselines.steps import Steps, take

_HEAD_MULTIPLE = 16


class TransformerMemory(nn.Module):
    """Maps embeddings (B, T, E) to the encoder's outputs (B, T, width); each has seen all tokens of its sample.

    Where only the outputs at R steps are wanted, (B, R, width), the last layer has only their queries, which makes its
    cost linear in T.
    """

    def __init__(self, settings: TransformerSettings, steps: int) -> None:
        super().__init__()
        width = settings.width
        self.encoder = nn.Linear(settings.embedding.width, width)
        self._sizes = steps, width
        learned = settings.positions == "learned"
        self.positions = nn.Parameter(0.02 * torch.randn(steps, width)) if learned else None
        self.layers = nn.ModuleList(
            _EncoderLayer(width, settings.heads, settings.feedforward * width) for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self, embedded: torch.Tensor, at: Steps | None = None, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the outputs after the last layer, normalized; all of them, or those of the steps ``at``.

        No output sees what is behind the end of a sample, of ``lengths`` (B,).
        """
        encoded = self.encoder(embedded)
        # Sinusoids are made anew each time, so that no module left empty can lose them.
        positions = _sinusoids(*self._sizes).to(encoded) if self.positions is None else self.positions
        outputs = encoded + positions
        mask = None
        if lengths is not None:
            mask = torch.arange(outputs.shape[1], device=lengths.device) < lengths[:, None, None, None]
        *inner, last = self.layers
        for layer in inner:
            outputs = layer(outputs, mask=mask)
        return self.norm(last(outputs, at, mask))


class _EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, feedforward), nn.Linear(feedforward, width)

    def forward(self, tokens: torch.Tensor, at: Steps | None = None, mask: torch.Tensor | None = None) -> torch.Tensor:
        parts = self.query_key_value(self.attention_norm(tokens)).unflatten(2, (3, self.heads, -1))
        size = parts.shape[-1]
        # The compiled attention is about twice as fast where a head is a multiple of 16 numbers; zeros change nothing.
        query, key, value = pad(parts, (0, -size % _HEAD_MULTIPLE)).permute(2, 0, 3, 1, 4)
        if at is not None:
            tokens, query = take(tokens, at), take(query.transpose(1, 2), at).transpose(1, 2)
        attended = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=size**-0.5)
        attended = attended[..., :size].transpose(1, 2).flatten(2)
        tokens = tokens + self.mix(attended)
        return tokens + self.narrow(gelu(self.widen(self.feedforward_norm(tokens))))


def _sinusoids(steps: int, width: int) -> torch.Tensor:
    """Return the positions of Vaswani et al. 2017, (T, width): sines, then cosines, of falling frequency."""
    half = (width + 1) // 2
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
    phases = torch.arange(steps)[:, None] * frequencies
    return torch.cat([phases.sin(), phases.cos()], dim=1)[:, :width]
