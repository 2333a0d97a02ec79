"""A baseline around its memory: the embeddings, reading times and head of QLAM, so that only the memory differs."""

from __future__ import annotations

import torch
from torch import nn

from qlam_qiskit.baselines.recurrent import RecurrentMemory
from qlam_qiskit.baselines.selective import SelectiveMemory
from qlam_qiskit.baselines.settings import (
    BaselineSettings,
    RecurrentSettings,
    SelectiveSettings,
    TransformerSettings,
)
from qlam_qiskit.baselines.ssm import StateSpaceMemory
from qlam_qiskit.baselines.transformer import TransformerMemory
from qlam_qiskit.model import make_embedding, readout_steps


class Baseline(nn.Module):
    """Maps tokens (B, T, c) to logits (B, M, C): M answers of C classes each.

    Parameters
    ----------
    settings
        The ``model:`` section of an experiment.
    steps, token_size
        T and c.
    classes, answers
        C and M.
    """

    def __init__(
        self, settings: BaselineSettings, *, steps: int, token_size: int, classes: int, answers: int = 1
    ) -> None:
        super().__init__()
        times = settings.readout.times
        self.answers, self.classes = answers, classes
        self.readout_steps = readout_steps(steps, times)
        self.pooling = settings.readout.pooling
        self.embedding = make_embedding(settings.embedding, token_size)
        self.memory = _make_memory(settings, steps)
        both = getattr(settings, "directions", "forward") == "both"
        self.backward_memory = _make_memory(settings, steps) if both else None
        self.head = nn.Linear(times * settings.width * (2 if both else 1), answers * classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits (B, M, C)."""
        return self.classify(self.read(tokens))

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what is read of the memory's outputs, (B, R, width), with a second memory's (B, R, 2 * width)."""
        embedded = self.embedding(tokens)
        if self.backward_memory is None:
            return self._pooled(self.memory, embedded)
        backward = self._pooled(self.backward_memory, embedded.flip(1))
        return torch.cat([self._pooled(self.memory, embedded), backward], dim=-1)

    def _pooled(self, memory: nn.Module, embedded: torch.Tensor) -> torch.Tensor:
        if self.pooling == "last":
            return memory(embedded, self.readout_steps)
        outputs = memory(embedded)
        starts = (0, *(step + 1 for step in self.readout_steps[:-1]))
        segments = [outputs[:, start : step + 1] for start, step in zip(starts, self.readout_steps, strict=True)]
        return torch.stack([segment.mean(1) for segment in segments], dim=1)

    def features(self, readouts: torch.Tensor, *, own_statistics: bool = False) -> torch.Tensor:
        """Return what the head sees, (B, R * width); a baseline normalizes nothing, so ``own_statistics`` is idle."""
        return readouts.flatten(1)

    def classify(self, readouts: torch.Tensor, *, own_statistics: bool = False) -> torch.Tensor:
        """Map readouts (B, R, width) to logits (B, M, C)."""
        return self.head(self.features(readouts)).reshape(-1, self.answers, self.classes)


def _make_memory(settings: BaselineSettings, steps: int) -> nn.Module:
    """Build what takes embeddings (B, T, width of the embedding) to outputs (B, T, width), or those of given steps."""
    if isinstance(settings, RecurrentSettings):
        return RecurrentMemory(settings)
    if isinstance(settings, TransformerSettings):
        return TransformerMemory(settings, steps)
    if isinstance(settings, SelectiveSettings):
        return SelectiveMemory(settings)
    return StateSpaceMemory(settings)
