"""All steps of a small open memory in one launch each way, where Triton is there and the device is a GPU.

With one launch for each layer of each step, as :class:`~qlam_qiskit.engine.torch.open_steps.OpenSteps` has them, a GPU
waits for the next one most of the time. Memories of 2 and 3 qubits fit into the registers of a block of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from qiskit.circuit import Parameter

from qlam_qiskit.engine.open.plan import OpenPlan
from qlam_qiskit.engine.torch.open_layers import SharedLayer, layers_of, turn_matrices
from qlam_qiskit.engine.torch.open_steps import OpenSteps
from qlam_qiskit.engine.torch.step_states import Entering, StepStates

if TYPE_CHECKING:
    from qlam_qiskit.engine.torch.shared_matrix import SharedValues

_SAMPLES = 16  # of a block, which the products of matrices take at once
_QUBITS = (2, 3)


def can_fuse(plan: OpenPlan, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernels take a step: in single precision, of 2 or 3 qubits, on a GPU, with Triton installed."""
    return (
        device.type == "cuda"
        and torch.version.cuda is not None
        and dtype == torch.float32
        and plan.num_qubits in _QUBITS
        and find_spec("triton") is not None
    )


class FusedStates(StepStates):
    """The states before each group's matrix (T, G, H, B, N), and after each step (T, H, B, N)."""

    def __init__(self, before: torch.Tensor, after: torch.Tensor, groups: dict[int, int]) -> None:
        self.inner, self._after, self._groups = before, after, groups

    def before(self, layer: int, steps: range) -> torch.Tensor:
        """Return the states before a layer that all samples share, (S, H, B, N)."""
        return self.inner[steps.start : steps.stop, self._groups[layer]]

    def after(self, steps: range) -> torch.Tensor:
        """Return the states after each of some steps, (S, H, B, N)."""
        return self._after[steps.start : steps.stop]


class FusedSteps(OpenSteps):
    """One circuit's steps by the kernels, in single precision."""

    def __init__(self, plan: OpenPlan, weights: Sequence[Parameter], device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(plan, weights, device, dtype)
        self._groups: dict[int, int] = {}  # the group of each layer that all samples share
        turns, ends = [], []
        for number, layer in enumerate(layers_of(plan)):
            if isinstance(layer, SharedLayer):
                self._groups[number] = len(ends)
                ends.append(len(turns))
            else:
                turns.extend(layer.operations)
        self._shared_groups = len(ends)
        if not ends or ends[-1] < len(turns):
            ends.append(len(turns))
        strings = np.arange(self.size)
        partners = np.array([strings ^ turn.string for turn in turns], np.int32).reshape(len(turns), self.size)
        generators = [turn_matrices(turn, 0, plan.num_qubits)[1] for turn in turns]
        signs = np.array([g[strings, own] for g, own in zip(generators, partners, strict=True)], np.float32)
        signs = signs.reshape(partners.shape)
        self._partners, self._signs, self._ends = (
            torch.from_numpy(part).to(device) for part in (partners, signs, np.array(ends, np.int32))
        )
        self._count = len(ends)

    @property
    def numbers(self) -> int:
        """Numbers that a step of one sample holds at work, approximately, backward."""
        return (2 * self._count + 1) * self.size + 2 * len(self.angles)

    def matrices(self, shared: dict[int, SharedValues]) -> torch.Tensor:
        """Return the matrices of all groups in one, (G, H, N, N)."""
        own = super().matrices(shared)
        return torch.stack([own[number] for number in self._groups]).contiguous() if own else self._signs

    def forward(self, states: torch.Tensor, angles: torch.Tensor, matrices: torch.Tensor) -> FusedStates:
        """Run S steps of angles (S, H, B, A)."""
        from qlam_qiskit.engine.torch.fused_kernels import walk

        steps, (registers, samples, _) = len(angles), states.shape
        before = states.new_empty(steps, self._count, *states.shape)
        after = states.new_empty(steps, *states.shape)
        walk[self._grid(states)](
            states.contiguous(),
            angles.contiguous(),
            matrices,
            *(self._partners, self._signs, self._ends),
            *(before, after),
            *(steps, registers, samples, len(self.angles)),
            **self._constants,
        )
        return FusedStates(before, after, self._groups)

    def backward(
        self,
        adjoint: torch.Tensor,
        angles: torch.Tensor,
        matrices: torch.Tensor,
        states: FusedStates,
        entering: Entering,
        gradients: dict[int, torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Carry lambda back through S steps; see :meth:`OpenSteps.backward`."""
        from qlam_qiskit.engine.torch.fused_kernels import walk_back

        adjoint = adjoint.clone(memory_format=torch.contiguous_format)
        slopes = torch.empty_like(states.inner)
        gradient = torch.zeros_like(angles, memory_format=torch.contiguous_format)
        emitting = [-1] * self._count
        for place, layer in enumerate(entering.layers):
            emitting[self._groups[layer]] = place
        emitted = torch.stack(list(entering.layers.values())) if entering.layers else adjoint
        ends = torch.nn.functional.pad(entering.ends, (0, self.size - entering.ends.shape[-1]))
        numbers = (
            torch.tensor(part, dtype=torch.int32, device=adjoint.device)
            for part in (entering.end_slots, emitting, entering.span_slots)
        )
        end_slots, emitting_groups, span_slots = numbers
        registers, samples, _ = adjoint.shape
        walk_back[self._grid(adjoint)](
            adjoint,
            angles.contiguous(),
            matrices,
            *(self._partners, self._signs, self._ends),
            *(states.inner, slopes, gradient),
            *(ends.contiguous(), end_slots, emitted.contiguous(), emitting_groups, span_slots),
            *(len(angles), registers, samples, len(self.angles), len(entering.ends)),
            **self._constants,
        )
        for layer, group in self._groups.items():
            r, slope = (part[:, group].transpose(0, 1).flatten(1, 2) for part in (states.inner, slopes))
            gradients[layer] += torch.bmm(slope.mT, r)
        return adjoint, gradient

    @property
    def _constants(self) -> dict[str, int]:
        return {"GROUPS": self._count, "SHARED": self._shared_groups, "SAMPLES": _SAMPLES, "N": self.size}

    def _grid(self, states: torch.Tensor) -> tuple[int, int]:
        registers, samples, _ = states.shape
        return registers, -(-samples // _SAMPLES)
