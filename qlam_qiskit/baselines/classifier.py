"""A baseline around its memory: the embeddings, reading times and head of QLAM, so that only the memory differs."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from qlam_qiskit.baselines.fixed import DelayMemory, EchoStateMemory
from qlam_qiskit.baselines.recurrent import RecurrentMemory
from qlam_qiskit.baselines.selective import SelectiveMemory
from qlam_qiskit.baselines.settings import (
    BaselineSettings,
    DelaySettings,
    EchoStateSettings,
    FixedSettings,
    RecurrentSettings,
    SelectiveSettings,
    TransformerSettings,
)
from qlam_qiskit.baselines.ssm import StateSpaceMemory
from qlam_qiskit.baselines.transformer import TransformerMemory
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import make_embedding, reading_times, readout_steps, reversed_within, without_padding


class Baseline(nn.Module):
    """Maps tokens (B, T, c) to outputs (B, M, C): M answers, each the logits of C classes or C real numbers.

    Samples shorter than T end in tokens of NaN: they are read after their own last step, and see nothing behind it.

    Parameters
    ----------
    settings
        The ``model:`` section of an experiment.
    steps, token_size
        T and c.
    classes, answers
        C and M.
    every_step
        Answer after every step, with one head for all: M = T then, and ``answers`` and ``readout.times`` stay 1.
    """

    def __init__(
        self,
        settings: BaselineSettings,
        *,
        steps: int,
        token_size: int,
        classes: int,
        answers: int = 1,
        every_step: bool = False,
    ) -> None:
        super().__init__()
        times = settings.readout.times
        if every_step and (answers, times) != (1, 1):
            raise ConfigurationError(
                "answers at every step are read after every step: leave model.readout.times and answers at 1"
            )
        self.answers, self.classes, self.every_step = steps if every_step else answers, classes, every_step
        self.readout_steps = tuple(range(steps)) if every_step else readout_steps(steps, times)
        self.pooling = "last" if every_step else settings.readout.pooling
        is_fixed = isinstance(settings, FixedSettings)
        self.embedding = nn.Identity() if is_fixed else make_embedding(settings.embedding, token_size)
        self.memory = _make_memory(settings, steps, token_size)
        both = getattr(settings, "directions", "forward") == "both"
        self.backward_memory = _make_memory(settings, steps, token_size) if both else None
        size = self.memory.size if is_fixed else settings.width
        self.head = nn.Linear(times * size * (2 if both else 1), answers * classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return outputs (B, M, C), on the device of the tokens; the weights may be on another."""
        return self.classify(self.read(tokens)).to(tokens.device)

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what is read of the memory's outputs, (B, R, width), with a second memory's (B, R, 2 * width)."""
        tokens, lengths = without_padding(tokens.to(self.head.weight.device))
        embedded = self.embedding(tokens)
        forward = self._pooled(self.memory, embedded, lengths)
        if self.backward_memory is None:
            return forward
        backward = self._pooled(self.backward_memory, reversed_within(embedded, lengths), lengths)
        if self.every_step:
            backward = reversed_within(backward, lengths)
        return torch.cat([forward, backward], dim=-1)

    def _pooled(self, memory: nn.Module, embedded: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        times = reading_times(len(self.readout_steps), lengths, every_step=self.every_step)
        if self.pooling == "last":
            at = self.readout_steps if times is None else torch.from_numpy(times)
            return memory(embedded, at, lengths)
        outputs = memory(embedded, None, lengths)
        if times is None:
            times = np.array([self.readout_steps])
        ends = torch.from_numpy(times)
        starts = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1] + 1], dim=1)
        steps = torch.arange(outputs.shape[1])
        within = (steps >= starts[..., None]) & (steps <= ends[..., None])
        return (within / within.sum(-1, keepdim=True)).to(outputs) @ outputs

    def features(self, readouts: torch.Tensor, *, own_statistics: bool = False) -> torch.Tensor:
        """Return what the head sees, (B, R * width); a baseline normalizes nothing, so ``own_statistics`` is idle."""
        return readouts if self.every_step else readouts.flatten(1)

    def classify(self, readouts: torch.Tensor, *, own_statistics: bool = False) -> torch.Tensor:
        """Map readouts (B, R, width) to outputs (B, M, C)."""
        return self.head(self.features(readouts)).reshape(-1, self.answers, self.classes)


def _make_memory(settings: BaselineSettings, steps: int, token_size: int) -> nn.Module:
    """Build what takes embeddings (B, T, width of the embedding) to outputs (B, T, width), or those of given steps.

    Memories that stay as they are drawn take tokens (B, T, c) instead.
    """
    if isinstance(settings, DelaySettings):
        return DelayMemory(settings, token_size)
    if isinstance(settings, EchoStateSettings):
        return EchoStateMemory(settings, token_size)
    if isinstance(settings, RecurrentSettings):
        return RecurrentMemory(settings)
    if isinstance(settings, TransformerSettings):
        return TransformerMemory(settings, steps)
    if isinstance(settings, SelectiveSettings):
        return SelectiveMemory(settings)
    return StateSpaceMemory(settings)
