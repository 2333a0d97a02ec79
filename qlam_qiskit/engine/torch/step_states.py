"""What the steps of an open memory leave behind, and what enters them on the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch


class StepStates(Protocol):
    """The states (H, B, N) of S steps that were run forward."""

    def before(self, layer: int, steps: range) -> torch.Tensor:
        """Return the states before a layer that all samples share, in some of the steps, (S, H, B, N)."""

    def after(self, steps: range) -> torch.Tensor:
        """Return the states after some of the steps, (S, H, B, N)."""


@dataclass(frozen=True)
class LayerStates(StepStates):
    """The states of every step before every layer and, last, at its end."""

    states: Sequence[Sequence[torch.Tensor]]

    def before(self, layer: int, steps: range) -> torch.Tensor:
        """Return the states before a layer, (S, H, B, N)."""
        return torch.stack([self.states[step][layer] for step in steps])

    def after(self, steps: range) -> torch.Tensor:
        """Return the states after some of the steps, (S, H, B, N)."""
        return self.before(-1, steps)


@dataclass(frozen=True)
class Entering:
    """What is added to lambda on its way back through S steps.

    Attributes
    ----------
    ends, end_slots
        The adjoints of what was read, (R, H, B, 4^n), and which of them enters at the end of each step; -1 for none.
    layers, span_slots
        The adjoints of emissions, (R, H, B, N) for each layer that they enter before, and which R in each step.
    """

    ends: torch.Tensor
    end_slots: Sequence[int]
    layers: Mapping[int, torch.Tensor]
    span_slots: Sequence[int]

    def within(self, chunk: range) -> Entering:
        """Keep the steps of a chunk."""
        cut = slice(chunk.start, chunk.stop)
        return replace(self, end_slots=self.end_slots[cut], span_slots=self.span_slots[cut])

    def at_end(self, step: int, adjoint: torch.Tensor) -> torch.Tensor:
        """Add what enters at the end of a step."""
        slot, size = self.end_slots[step], self.ends.shape[-1]
        if slot < 0:
            return adjoint
        if size == adjoint.shape[-1]:
            return adjoint + self.ends[slot]
        adjoint = adjoint.clone()
        adjoint[..., :size] += self.ends[slot]
        return adjoint

    def before(self, step: int, layer: int, adjoint: torch.Tensor) -> torch.Tensor:
        """Add what enters before a layer of a step."""
        slot = self.span_slots[step]
        return adjoint if slot < 0 or layer not in self.layers else adjoint + self.layers[layer][slot]
