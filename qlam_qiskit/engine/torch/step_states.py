"""What the steps of an open memory leave behind, and what enters them on the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from qlam_qiskit.engine.torch.moments import Moments


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
    moments
        Which rows of ``ends`` enter at the end of which step, where samples are read after steps of their own.
    first
        The number of the first of the steps.
    """

    ends: torch.Tensor
    end_slots: Sequence[int]
    layers: Mapping[int, torch.Tensor]
    span_slots: Sequence[int]
    moments: Moments | None = None
    first: int = 0

    def within(self, chunk: range) -> Entering:
        """Keep the steps of a chunk."""
        cut = slice(chunk.start, chunk.stop)
        own = {"end_slots": self.end_slots[cut], "span_slots": self.span_slots[cut]}
        return replace(self, **own, first=self.first + chunk.start)

    def at_end(self, step: int, adjoint: torch.Tensor) -> torch.Tensor:
        """Add what enters at the end of a step."""
        slot, size = self.end_slots[step], self.ends.shape[-1]
        if self.moments is not None:
            found = self.moments.after(self.first + step)
            adjoint = adjoint.clone() if found else adjoint
            for reading, rows in found:
                adjoint[:, rows, :size] += self.ends[reading][:, rows]
            return adjoint
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
