"""A memory as plain torch operations, which torch differentiates as often as it is asked to.

The engines' own gradients are made once and are no function of torch's any more. Gradient penalties and Hessians need
their derivatives too: these come from here, exact, at the price of every state of the sequence held in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from qlam_qiskit.engine.angles import AngleFunctions, evaluate
from qlam_qiskit.engine.plan import compile_plan
from qlam_qiskit.engine.torch.grouping import angles_of, group
from qlam_qiskit.engine.torch.steps import Steps
from qlam_qiskit.memory_circuit import MemoryCircuit


def _function(name: str) -> Callable[[Any], torch.Tensor]:
    return lambda value: getattr(torch, name)(torch.as_tensor(value))


_FUNCTIONS = {name: _function(name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "exp", "log", "abs")}
_FUNCTIONS["conj"] = lambda value: value


class DifferentiableMemory:
    """The bitstring probabilities of a memory circuit; angles in radians, shapes as in the exact engine."""

    def __init__(self, memory: MemoryCircuit, device: torch.device, dtype: torch.dtype) -> None:
        update = group(compile_plan(memory.update, memory.inputs, memory.weights))
        query = group(compile_plan(memory.query, memory.query_angles, ()))
        self._update_angles = AngleFunctions(angles_of(update), (*memory.inputs, *memory.weights))
        self._query_angles = AngleFunctions(angles_of(query), memory.query_angles)
        place = memory.num_qubits, device, dtype
        self._update, self._query = Steps(update, *place), Steps(query, *place)
        self._device, self._dtype, self._dimension = device, dtype, 1 << memory.num_qubits

    def probabilities(
        self, inputs: torch.Tensor, weights: torch.Tensor, queries: torch.Tensor, read: Sequence[int]
    ) -> torch.Tensor:
        """Return (B, R, H, Q, D) from inputs (B, T, H, P), weights (H, W) and queries (B or 1, R or 1, H, Q, A)."""
        inputs, weights, queries = (part.to(self._device, self._dtype) for part in (inputs, weights, queries))
        samples, steps, registers, _ = inputs.shape
        both = torch.cat([inputs, weights.expand(samples, steps, -1, -1)], dim=-1)
        angles = _angles(self._update_angles, both).transpose(0, 1).flatten(1, 2)
        states = torch.zeros(samples * registers, self._dimension, dtype=self._dtype.to_complex(), device=self._device)
        states[:, 0] = 1
        kept: dict[int, torch.Tensor] = {}
        self._update.forward(states, angles, kept.__setitem__)
        count = queries.shape[3]
        asked = torch.stack([kept[step] for step in read]).repeat_interleave(count, dim=1).flatten(0, 1)
        queries = queries.expand(samples, len(read), *queries.shape[2:])
        turned = _angles(self._query_angles, queries).transpose(0, 1).flatten(0, 3)
        found = torch.view_as_real(self._query.forward(asked, turned[None])).square().sum(-1)
        return found.view(len(read), samples, registers, count, self._dimension).transpose(0, 1)


def _angles(functions: AngleFunctions, values: torch.Tensor) -> torch.Tensor:
    """Evaluate angles at parameters (..., P); returns (..., M)."""
    matrix, constant = (torch.from_numpy(part).to(values) for part in (functions.matrix, functions.constant))
    angles = values @ matrix.T + constant
    if not functions.nonlinear:
        return angles
    columns = list(angles.unbind(-1))
    for row, function in functions.nonlinear.items():
        parameters = {f"p{k}": values[..., k] for k in function.derivatives}
        columns[row] = evaluate(function.text, parameters, _FUNCTIONS).expand(angles.shape[:-1])
    return torch.stack(columns, dim=-1)
