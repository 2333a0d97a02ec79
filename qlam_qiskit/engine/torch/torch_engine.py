"""The exact engine's plan as plain torch operations, for a GPU.

    psi_t = U(phi_t, theta) psi_{t-1},   p_j(q) = |<j| V(alpha_q) |psi_T>|^2

A GPU is slowed by the number of launches, not by the arithmetic in them: T steps must follow one another, so each
should be few operations, over all samples and registers at once. An update of the template ``ring`` on 5 to 8 qubits
costs three launches forward, and three backward on psi and lambda together: two for the rotations, those that end a
step and those that begin the next one fused (:mod:`.grouping`), and one for the phases. All that does not depend on
the state (angles, matrices, phases) and all gradients are computed for many steps at once (:mod:`.layers`).

Gradients are adjoint, by hand: backward undoes the updates, so that psi is held for one chunk of steps only, whose
length follows from ``chunk_bytes``. Memory for states is O(1) in T, besides one state for each reading; the
angles and their gradients grow with T as the inputs do. torch's own differentiation is used for the few matrices of a
chunk, as functions of angles, never along T. Source: Jones and Gacon, arXiv 2009.02823.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from qlam_qiskit.engine.angles import AngleFunctions
from qlam_qiskit.engine.arguments import PRECISIONS, Arguments, beside, check_engine, check_shape
from qlam_qiskit.engine.exact import Gradients
from qlam_qiskit.engine.gates import naming_gates
from qlam_qiskit.engine.plan import compile_plan
from qlam_qiskit.engine.torch.angle_columns import AngleColumns, check_arguments
from qlam_qiskit.engine.torch.device import full_precision, open_device
from qlam_qiskit.engine.torch.grouping import angles_of, group, join, split_tail
from qlam_qiskit.engine.torch.moments import Moments
from qlam_qiskit.engine.torch.steps import Steps
from qlam_qiskit.memory_circuit import MemoryCircuit

CHUNK_BYTES = 1 << 28


@dataclass(frozen=True)
class TorchTape:
    """What the backward pass needs of a forward one, on the device; N = samples x registers, states before the tail.

    ``steps`` (T, N, tail + body) and ``readouts`` (R, N Q, tail + query) are angles, ``read`` (R, N, D) and
    ``last`` (N, D) states.
    """

    arguments: Arguments
    steps: torch.Tensor
    readouts: torch.Tensor
    read: torch.Tensor
    last: torch.Tensor


class TorchEngine:
    """Runs one memory circuit on batches of sequences, like :class:`qlam_qiskit.engine.ExactEngine`, through torch.

    Takes and returns numpy arrays of the same shapes. Angles that are no affine functions of the inputs are evaluated
    on the CPU.

    Parameters
    ----------
    memory
        The circuit; CircuitError if it holds anything but unitary gates, or has more than 16 qubits.
    precision
        "float32" or "float64", of the states and of every array returned.
    device
        "cuda", the current CUDA device, or any other that torch knows; ConfigurationError if there is no CUDA.
    chunk_bytes
        Working memory in bytes, approximately; one step is held at least.
    """

    def __init__(
        self,
        memory: MemoryCircuit,
        *,
        precision: str = "float32",
        device: str = "cuda",
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.dtype = check_engine(memory, precision)
        self.memory = memory
        self.device = open_device(device)
        self._chunk_bytes = chunk_bytes
        self._real: torch.dtype = getattr(torch, precision)
        update = compile_plan(memory.update, memory.inputs, memory.weights)
        query = group(compile_plan(memory.query, memory.query_angles, ()))
        self._global_phase = AngleFunctions([update.global_phase], (*update.inputs, *update.weights))
        body, tail = split_tail(group(update))
        place = (self.device, self._real)
        # A step's columns are its tail's angles and then its body's, although the tail runs with the next step.
        self._update_angles = AngleColumns(angles_of([*tail, *body]), memory.inputs, memory.weights, *place)
        self._query_angles = AngleColumns(angles_of(query), memory.query_angles, (), *place)
        self._tail_width = len(angles_of(tail))
        self._step, self._readout, self._tail = (
            Steps(groups, memory.num_qubits, *place) for groups in (join(tail, body), join(tail, query), tail)
        )

    def in_precision(self, precision: str) -> TorchEngine:
        """Return the engine of the same memory in a precision, which is this one if it has it."""
        if self.dtype is PRECISIONS[precision]:
            return self
        return TorchEngine(self.memory, precision=precision, device=str(self.device), chunk_bytes=self._chunk_bytes)

    @property
    def dimension(self) -> int:
        """Amplitudes of the register, D = 2^n."""
        return 1 << self.memory.num_qubits

    def forward(
        self,
        inputs: np.ndarray | torch.Tensor,
        weights: np.ndarray,
        queries: np.ndarray,
        *,
        readout_steps: Sequence[int] | np.ndarray | None = None,
    ) -> tuple[np.ndarray, TorchTape]:
        """Return the bitstring probabilities (B, R, H, Q, D) and a tape for :meth:`backward`.

        Arguments as in :meth:`qlam_qiskit.engine.ExactEngine.forward`. Raises CircuitError if shapes do not fit.
        """
        arguments = check_arguments(self.memory, inputs, weights, queries, readout_steps)
        with full_precision(), naming_gates(self.memory.update, self.memory.query):
            tape = self._walk(arguments)
            parts = [self._probabilities(tape, block) for block in self._blocks(tape)]
            shape = (*_leading(arguments), self.dimension)
            found = _to_numpy(torch.cat(parts).view(shape).transpose(0, 1))
            if arguments.own_times:
                found[arguments.times < 0] = 0
            return found, tape

    def backward(self, tape: TorchTape, cotangent: np.ndarray, *, overwrite_inputs: bool = False) -> Gradients:
        """Multiply dL/dp (B, R, H, Q, D) with the Jacobian: the gradients of inputs, weights and queries.

        ``overwrite_inputs`` changes nothing here: the inputs are only read.
        """
        arguments = tape.arguments
        check_shape("cotangent", cotangent, "probabilities", (*arguments.queries.shape[:4], self.dimension))
        with full_precision(), naming_gates(self.memory.update, self.memory.query):
            on_device = torch.from_numpy(np.array(cotangent, self.dtype)).to(self.device)
            if arguments.own_times:
                on_device[torch.from_numpy(arguments.times < 0).to(self.device)] = 0
            on_device = on_device.transpose(0, 1).reshape(arguments.times.shape[1], -1, self.dimension)
            adjoints, readouts = self._readouts_back(tape, on_device)
            tail, queries = readouts.split([self._tail_width, len(self._query_angles)], dim=-1)
            queries = queries.reshape(*_leading(arguments), -1).transpose(0, 1)
            of_queries, _ = self._query_angles.pull_back(arguments.queries, np.empty(0), queries)
            steps = self._walk_back(tape, adjoints, tail)
            samples, count, registers, _ = arguments.inputs.shape
            steps = steps.view(count, samples, registers, -1).transpose(0, 1)
            of_inputs, of_weights = self._update_angles.pull_back(arguments.inputs, arguments.weights, steps)
        return Gradients(of_inputs, np.ascontiguousarray(of_weights, self.dtype), of_queries)

    def statevector(self, inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return psi_T of one register: complex (B, D) with its global phase, for inputs (B, T, P) and weights (W,)."""
        queries = np.zeros((1, 1, 1, 1, self.memory.num_query_angles))
        arguments = Arguments.check(
            self.memory, np.asarray(inputs)[:, :, None], np.asarray(weights)[None], queries, None
        )
        with full_precision():
            tape = self._walk(arguments)
            states = self._tail.forward(tape.last, tape.readouts[..., : self._tail_width])
        phase = self._global_phase(beside(arguments.inputs, arguments.weights)).sum(axis=(1, 2, 3))
        return states.cpu().numpy().astype(complex) * np.exp(1j * phase)[:, None]

    def _walk(self, arguments: Arguments) -> TorchTape:
        """Run all steps, keeping the states that are read."""
        angles = self._update_angles.values(arguments.inputs, arguments.weights)
        samples, count, registers, width = angles.shape
        angles = angles.transpose(0, 1).reshape(count, samples * registers, width)
        tail, body = angles.split([self._tail_width, width - self._tail_width], dim=-1)
        # The first step follows no tail: angles of zero.
        steps = torch.cat([torch.cat([torch.zeros_like(tail[:1]), tail[:-1]]), body], dim=-1)
        queries = self._query_angles.values(arguments.queries, np.empty(0)).transpose(0, 1).flatten(1, 3)
        moments = Moments(arguments, registers, self.device)
        tail = moments.pick(tail).repeat_interleave(arguments.queries.shape[3], dim=1)
        states = torch.zeros(samples * registers, self.dimension, dtype=self._real.to_complex(), device=self.device)
        states[:, 0] = 1
        read = states.new_zeros(arguments.times.shape[1], *states.shape)
        for chunk in self._chunks(steps):

            def keep(step: int, after: torch.Tensor, first: int = chunk.start) -> None:
                for slot, rows in moments.after(first + step):
                    read[slot, rows] = after[rows]

            states = self._step.forward(states, steps[chunk], keep)
        return TorchTape(arguments, steps, torch.cat([tail, queries], dim=-1), read, states)

    def _walk_back(self, tape: TorchTape, adjoints: torch.Tensor, of_tail: torch.Tensor) -> torch.Tensor:
        """Undo all steps; returns the gradient of a step's angles (T, N, tail + body).

        ``adjoints`` (R, N, D) enter lambda where the memory was read; ``of_tail`` (R, N Q, tail) is what the readouts
        found for the tails before them.
        """
        moments = Moments(tape.arguments, tape.arguments.inputs.shape[2], self.device)
        gradient = torch.zeros_like(tape.steps)
        samples, width = len(tape.last), self._tail_width
        pair = torch.cat([tape.last, torch.zeros_like(tape.last)])
        for chunk in reversed(list(self._chunks(tape.steps))):

            def read(step: int, states: torch.Tensor, first: int = chunk.start) -> None:
                for slot, rows in moments.after(first + step):
                    states[samples:][rows] += adjoints[slot, rows]

            pair, gradient[chunk] = self._step.backward(pair, tape.steps[chunk], read)
        # Each step ran the tail of the one before it.
        tail = torch.cat([gradient[1:, :, :width], torch.zeros_like(gradient[:1, :, :width])])
        moments.add(tail, of_tail.unflatten(1, (samples, -1)).sum(2))
        gradient[..., :width] = tail
        return gradient

    def _probabilities(self, tape: TorchTape, block: slice) -> torch.Tensor:
        """Return |V psi|^2 of a block of readouts, (R N Q, D)."""
        states = self._readout.forward(self._asked(tape, block), tape.readouts[block].flatten(0, 1)[None])
        return torch.view_as_real(states).square().sum(-1)

    def _readouts_back(self, tape: TorchTape, cotangent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return V^dagger O V psi summed over queries (R, N, D), and the gradients of readouts' angles."""
        adjoints, gradient = torch.empty_like(tape.read), torch.empty_like(tape.readouts)
        for block in self._blocks(tape):
            angles = tape.readouts[block].flatten(0, 1)[None]
            states = self._readout.forward(self._asked(tape, block), angles)
            pair = torch.cat([states, states * cotangent[block].flatten(0, 1)])
            pair, found = self._readout.backward(pair, angles)
            gradient[block] = found.view_as(gradient[block])
            queries = cotangent.shape[1] // tape.read.shape[1]
            adjoints[block] = pair[len(states) :].view(-1, tape.read.shape[1], queries, self.dimension).sum(2)
        return adjoints, gradient

    def _asked(self, tape: TorchTape, block: slice) -> torch.Tensor:
        """Repeat the states of a block of readouts for each query, (R N Q, D)."""
        queries = tape.readouts.shape[1] // tape.read.shape[1]
        return tape.read[block].repeat_interleave(queries, dim=1).flatten(0, 1)

    def _chunks(self, steps: torch.Tensor) -> Iterator[slice]:
        """Cut T steps into runs that fit the working memory."""
        return _slices(len(steps), self._chunk_bytes // self._step.bytes_of(steps.shape[1], self._real))

    def _blocks(self, tape: TorchTape) -> Iterator[slice]:
        """Cut R readouts likewise."""
        count, samples, _ = tape.readouts.shape
        return _slices(count, self._chunk_bytes // self._readout.bytes_of(samples, self._real))


def _leading(arguments: Arguments) -> tuple[int, int, int, int]:
    """Return (R, B, H, Q)."""
    samples, readouts, registers, queries, _ = arguments.queries.shape
    return readouts, samples, registers, queries


def _slices(count: int, most: int) -> Iterator[slice]:
    length = max(1, most)
    return (slice(first, min(first + length, count)) for first in range(0, count, length))


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.contiguous().cpu().numpy()
