"""Where a memory runs: on the exact engine, or on a backend's V2 primitives with a choice of gradients.

Every execution maps angles (B, T, H, P), weights (H, W) and queries (B or 1, R or 1, H, Q, A) to readouts
(B, R, H, Q, K), and carries a cotangent back to the three of them. All angles in radians. Samples of different lengths
are padded, and come with the times (B, R) that each is read at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from qlam_qiskit.engine import DifferentiableMemory, ExactEngine, Gradients, Readout, make_engine
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network.own_times import (
    GroupTapes,
    backward_in_groups,
    differentiable_in_groups,
    forward_in_groups,
)
from qlam_qiskit.network.spans import Spans, lengths_of_spans

if TYPE_CHECKING:
    from qlam_qiskit.engine import OpenEngine, TorchEngine, TorchOpenEngine


class Execution(Protocol):
    """Runs a memory forward and carries cotangents back."""

    def forward(
        self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray, times: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        """Return the readouts and whatever :meth:`backward` needs of this call.

        ``times`` (B, R), rising, are the steps after which each sample is read, -1 for never.
        """

    def backward(self, tape: Any, cotangent: np.ndarray) -> Gradients:
        """Multiply dL/dy, of the readouts' shape, with the Jacobian of that forward call."""

    def in_double(self) -> Execution:
        """Return the execution that computes in double precision, if this one has a precision to choose."""

    def on_circuit(self, memory: MemoryCircuit) -> Execution:
        """Return the same execution of another circuit of the same roles, such as this one with a device's errors.

        Raises ConfigurationError where that is not possible.
        """

    def differentiable(
        self, angles: torch.Tensor, weights: torch.Tensor, queries: torch.Tensor, times: np.ndarray | None = None
    ) -> torch.Tensor:
        """Return the readouts by operations of torch, so that gradients of :meth:`backward` have gradients.

        Raises ConfigurationError where there are none.
        """


@dataclass(frozen=True)
class ExactExecution:
    """An exact engine, forward and backward, on the CPU or a GPU.

    With ``shots``, bitstrings are drawn from the exact probabilities by ``rng``, of means over steps from the mean
    probabilities; the gradient stays that of the probabilities themselves. Emissions are drawn as if those of different
    steps and ancillas were independent.
    """

    engine: ExactEngine | OpenEngine | TorchEngine | TorchOpenEngine
    readout: Readout
    readout_steps: Sequence[int] | None = None
    shots: int | None = None
    rng: np.random.Generator | None = None

    @classmethod
    def of(
        cls,
        memory: MemoryCircuit,
        readout: Readout,
        readout_steps: Sequence[int] | None = None,
        *,
        shots: int | None = None,
        rng: np.random.Generator | None = None,
        **options: Any,
    ) -> ExactExecution:
        """Compile ``memory``; ``options`` are those of :func:`qlam_qiskit.engine.torch.make_engine`."""
        return cls(make_engine(memory, **options), readout, readout_steps, shots, rng)

    def forward(
        self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray, times: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        """Run the engine."""
        if times is not None and not self._reads_own_times:
            return forward_in_groups(self._of_group, angles, weights, queries, times, self.readout.size)
        read = self.readout_steps if times is None else times
        if self.readout.kind == "emissions":
            return self._emissions(angles, weights, queries, read)
        if not self.readout.averages_states:
            probabilities, tape = self.engine.forward(angles, weights, queries, readout_steps=read)
        elif self.engine.memory.is_open:
            probabilities, tape = self.engine.forward(angles, weights, queries, readout_steps=read, mean=True)
        else:
            spans = self._spans(angles)
            every, tape = self.engine.forward(
                angles, weights, spans.of_steps(np.asarray(queries)), readout_steps=spans.steps
            )
            probabilities, tape = spans.mean(every), _Averaged(tape, spans)
        if self.shots is not None:
            probabilities = _drawn(probabilities, self.shots, self._rng)
        values = self.readout.from_probabilities(probabilities)
        if times is not None:
            values[times < 0] = 0
        return values, tape

    def backward(self, tape: Any, cotangent: np.ndarray) -> Gradients:
        """Run the engine's adjoint differentiation."""
        if isinstance(tape, GroupTapes):
            return backward_in_groups(tape, np.asarray(cotangent, self.engine.dtype))
        cotangent = np.asarray(cotangent, self.engine.dtype)
        if self.readout.kind == "emissions":
            idle = np.zeros((*cotangent.shape[:4], self.engine.dimension), self.engine.dtype)
            return self.engine.backward(tape, idle, emissions=cotangent[..., 0, :])
        cotangent = self.readout.pull_back(cotangent)
        if not isinstance(tape, _Averaged):
            return self.engine.backward(tape, cotangent)
        gradients = self.engine.backward(tape.of_steps, tape.spans.share(cotangent))
        return replace(gradients, queries=tape.spans.sum(gradients.queries))

    def takes_tensor(self, angles: torch.Tensor, times: np.ndarray | None) -> bool:
        """Whether angles may stay a tensor: the engine is where they are, and runs them all at once."""
        averages_pure_states = self.readout.averages_states and not self.engine.memory.is_open
        in_one = len(angles) > 0 and not averages_pure_states and (times is None or self._reads_own_times)
        return in_one and hasattr(self.engine, "device") and self.engine.device.type == angles.device.type

    @property
    def _reads_own_times(self) -> bool:
        """Whether the engine can read this at other times of each sample."""
        averaged = self.readout.averages_states or self.readout.kind == "emissions"
        return not averaged or (self.engine.memory.is_open and not hasattr(self.engine, "device"))

    def _of_group(self, read: tuple[int, ...]) -> ExactExecution:
        return replace(self, readout_steps=read)

    def _emissions(
        self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray, read: Sequence[int] | np.ndarray | None
    ) -> tuple[np.ndarray, Any]:
        _, tape = self.engine.forward(angles, weights, queries, readout_steps=read, emissions=True)
        found = tape.emissions
        if self.shots is not None:
            lengths = self._spans(angles).lengths if np.ndim(read) < 2 else lengths_of_spans(read)
            draws = self.shots * lengths[..., None, None]
            found = (self._rng.binomial(draws, np.clip(found, 0, 1).astype(float)) / draws).astype(found.dtype)
        return found[:, :, :, None], tape

    @property
    def _rng(self) -> np.random.Generator:
        return self.rng or np.random.default_rng()

    def _spans(self, angles: np.ndarray) -> Spans:
        return Spans.of((angles.shape[1] - 1,) if self.readout_steps is None else self.readout_steps)

    def on_circuit(self, memory: MemoryCircuit) -> ExactExecution:
        """Compile another circuit as this one was."""
        options = {"device": str(self.engine.device)} if hasattr(self.engine, "device") else {}
        if not options:
            options = {"threads": self.engine.threads}
        precision = np.dtype(self.engine.dtype).name
        return replace(self, engine=make_engine(memory, precision=precision, **options))

    def in_double(self) -> ExactExecution:
        """Compile the memory for double precision, unless it is already."""
        engine = self.engine.in_precision("float64")
        return self if engine is self.engine else replace(self, engine=engine)

    def differentiable(
        self, angles: torch.Tensor, weights: torch.Tensor, queries: torch.Tensor, times: np.ndarray | None = None
    ) -> torch.Tensor:
        """Run the memory as operations of torch."""
        if times is not None:
            return differentiable_in_groups(self._of_group, angles, weights, queries, times, self.readout.size)
        device = getattr(self.engine, "device", torch.device("cpu"))
        dtype = torch.promote_types(torch.from_numpy(np.empty(0, self.engine.dtype)).dtype, angles.dtype)
        return differentiable_readouts(
            self.engine.memory, self.readout, self.readout_steps, device, dtype, angles, weights, queries
        )


@dataclass(frozen=True)
class _Averaged:
    """The tape of a call that read every step of some spans."""

    of_steps: Any
    spans: Spans


def differentiable_readouts(
    memory: MemoryCircuit,
    readout: Readout,
    readout_steps: Sequence[int] | None,
    device: torch.device,
    dtype: torch.dtype,
    *arguments: torch.Tensor,
) -> torch.Tensor:
    """Return readouts (B, R, H, Q, K) of angles, weights and queries, computed on ``device`` by operations of torch."""
    if memory.is_open:
        raise ConfigurationError(
            "the gradients of a memory with channels cannot be differentiated again (create_graph=True)"
        )
    angles = arguments[0]
    read = (angles.shape[1] - 1,) if readout_steps is None else tuple(readout_steps)
    with torch.autocast(device.type, enabled=False):
        if not readout.averages_states:
            probabilities = _differentiable(memory, device, dtype).probabilities(*arguments, read)
            return _read(readout, probabilities).to(angles)
        spans = Spans.of(read)
        *others, queries = arguments
        if queries.shape[1] > 1:
            queries = queries[:, spans.slots]
        everything = _differentiable(memory, device, dtype).probabilities(*others, queries, spans.steps)
        means = [part.mean(1) for part in everything.split(spans.lengths.tolist(), dim=1)]
        return _read(readout, torch.stack(means, dim=1)).to(angles)


@lru_cache(maxsize=8)
def _differentiable(memory: MemoryCircuit, device: torch.device, dtype: torch.dtype) -> DifferentiableMemory:
    return DifferentiableMemory(memory, device, dtype)


def _read(readout: Readout, probabilities: torch.Tensor) -> torch.Tensor:
    """Read (..., D) bitstring probabilities, which is linear, by the numbers read of each bitstring."""
    dimension = probabilities.shape[-1]
    constant, matrix = (readout.from_probabilities(part) for part in (np.zeros(dimension), np.eye(dimension)))
    return probabilities @ torch.from_numpy(matrix - constant).to(probabilities) + torch.from_numpy(constant).to(
        probabilities
    )


def _drawn(probabilities: np.ndarray, shots: int, rng: np.random.Generator) -> np.ndarray:
    """Return the frequencies of bitstrings (..., D) in ``shots`` draws."""
    exact = np.clip(probabilities.astype(np.float64), 0.0, None)
    total = exact.sum(axis=-1, keepdims=True)
    exact = np.where(total > 0, exact / np.where(total > 0, total, 1.0), 1.0 / exact.shape[-1])  # 0 where none is read
    return (rng.multinomial(shots, exact) / shots).astype(probabilities.dtype)
