"""The open engine's plan as plain torch operations, for a GPU.

    rho_t = E(phi_t, theta)[rho_{t-1}],   p_j(q) = <j| V(alpha_q) rho_T V(alpha_q)^dagger |j>

A GPU is slowed by the number of launches: a step is one product with the matrix of all that depends on weights alone,
and one for each window of two qubits that inputs turn (:mod:`.open_layers`). Matrices and gradients are computed for
many steps at once. Channels cannot be undone: forward keeps all states where they are few, else the state before each
chunk of steps, and backward runs the chunk once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt

import numpy as np
import torch

from qlam_qiskit.engine.arguments import PRECISIONS, Arguments, check_engine, check_shape
from qlam_qiskit.engine.exact import Gradients
from qlam_qiskit.engine.gates import naming_gates
from qlam_qiskit.engine.open.open_engine import MAX_QUBITS
from qlam_qiskit.engine.open.plan import compile_open_plan
from qlam_qiskit.engine.torch.angle_columns import AngleColumns, check_arguments
from qlam_qiskit.engine.torch.device import full_precision, open_device
from qlam_qiskit.engine.torch.fused_steps import FusedSteps, can_fuse
from qlam_qiskit.engine.torch.moments import Moments
from qlam_qiskit.engine.torch.open_steps import OpenSteps
from qlam_qiskit.engine.torch.shared_matrix import SharedValues
from qlam_qiskit.engine.torch.step_states import Entering, StepStates
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit

CHUNK_BYTES = 1 << 30
KEPT_BYTES = 1 << 30


@dataclass(frozen=True)
class Span:
    """The steps from ``first`` to ``last`` that reading number ``slot`` follows."""

    slot: int
    first: int
    last: int

    def within(self, chunk: range) -> range:
        """Return the steps of a chunk that belong to the span, counted from the chunk's first."""
        return range(max(self.first, chunk.start) - chunk.start, min(self.last + 1, chunk.stop) - chunk.start)

    def __len__(self) -> int:
        return self.last + 1 - self.first


@dataclass(frozen=True)
class TorchOpenTape:
    """What the backward pass needs of a forward one, on the device.

    ``angles`` (T, H, B, A); ``starts`` the state (H, B, N) before each chunk; ``read`` (R, H, B, 4^n) what is read of
    the memory; ``before`` (R, H, B, N), for each layer with emissions, the mean state before it. ``states`` are those
    before all layers by chunks and steps, where they were kept. ``emissions`` (B, R, H, E) is None where they were not
    asked for.
    """

    arguments: Arguments
    mean: bool
    spans: list[Span]
    chunk: int
    angles: torch.Tensor
    query_angles: torch.Tensor
    shared: dict[int, SharedValues]
    starts: list[torch.Tensor]
    read: torch.Tensor
    before: dict[int, torch.Tensor] = field(default_factory=dict)
    states: list[StepStates] = field(default_factory=list)
    emissions: np.ndarray | None = None


class TorchOpenEngine:
    """Runs one memory circuit with channels on batches, like :class:`qlam_qiskit.engine.open.OpenEngine`, by torch.

    Takes and returns numpy arrays of the same shapes. Inputs may be a tensor on the device; their gradient is one then,
    and nothing is copied.

    Parameters
    ----------
    memory
        The circuit; CircuitError if it holds what cannot be run, or if more than 6 qubits would have to be held, with
        ancillas that inputs act on.
    precision
        "float32" or "float64", of the states and of every array returned.
    device
        "cuda", the current CUDA device, or any other that torch knows; ConfigurationError if there is no CUDA.
    chunk_bytes
        Working memory of a chunk of steps in bytes, approximately; more where the states before all chunks, which
        grow with the square root of T, would take more.
    kept_bytes
        Where all states of a run fit into as many bytes, forward keeps them, so that backward need not run it again.
    fused
        Whether all steps are one launch; by default where that is possible (:mod:`.fused_steps`).
    """

    def __init__(
        self,
        memory: MemoryCircuit,
        *,
        precision: str = "float32",
        device: str = "cuda",
        chunk_bytes: int = CHUNK_BYTES,
        kept_bytes: int = KEPT_BYTES,
        fused: bool | None = None,
    ) -> None:
        self.dtype = check_engine(memory, precision, most=MAX_QUBITS, engine="open")
        self.memory, self.device = memory, open_device(device)
        self._chunk_bytes, self._kept_bytes = chunk_bytes, kept_bytes
        self._real: torch.dtype = getattr(torch, precision)
        update = compile_open_plan(memory.update, memory.inputs, memory.weights, memory.ancillas, memory.emissions)
        if update.num_qubits > MAX_QUBITS:
            raise CircuitError(
                f"circuit {memory.update.name!r}: inputs act on its ancillas, so that {update.num_qubits} qubits would "
                f"have to be held, more than the open engine's {MAX_QUBITS} on {device}: use device cpu or an Aer "
                "backend"
            )
        query = compile_open_plan(memory.query, memory.query_angles, ())
        place = (self.device, self._real)
        fused = can_fuse(update, *place) if fused is None else fused
        self._layered = OpenSteps(update, memory.weights, *place)
        self._step = FusedSteps(update, memory.weights, *place) if fused else self._layered
        self._query = OpenSteps(query, (), *place)
        self._update_angles = AngleColumns(self._step.angles, memory.inputs, memory.weights, *place)
        self._query_angles = AngleColumns(self._query.angles, memory.query_angles, (), *place)
        self._start = torch.zeros(self._step.size).to(*place)
        self._start[_z_rows(update.num_qubits)] = 1
        strings = np.arange(self.dimension)
        signs = 1.0 - 2.0 * np.array([[(a & b).bit_count() & 1 for a in range(self.dimension)] for b in strings])
        self._from_z = torch.from_numpy(signs / self.dimension).to(*place)
        self._z = torch.from_numpy(_z_rows(memory.num_qubits)).to(self.device)

    def in_precision(self, precision: str) -> TorchOpenEngine:
        """Return the engine of the same memory in a precision, which is this one if it has it."""
        if self.dtype is PRECISIONS[precision]:
            return self
        return TorchOpenEngine(
            self.memory,
            precision=precision,
            device=str(self.device),
            chunk_bytes=self._chunk_bytes,
            kept_bytes=self._kept_bytes,
        )

    @property
    def dimension(self) -> int:
        """Bitstrings of the memory, D = 2^n."""
        return 1 << self.memory.num_qubits

    def forward(
        self,
        inputs: np.ndarray | torch.Tensor,
        weights: np.ndarray,
        queries: np.ndarray,
        *,
        readout_steps: Sequence[int] | np.ndarray | None = None,
        mean: bool = False,
        emissions: bool = False,
    ) -> tuple[np.ndarray, TorchOpenTape]:
        """Return the bitstring probabilities (B, R, H, Q, D) and a tape for :meth:`backward`.

        Arguments as in :meth:`qlam_qiskit.engine.open.OpenEngine.forward`, but that means and emissions have the same
        times for all samples. Raises CircuitError if shapes do not fit.
        """
        arguments = check_arguments(self.memory, inputs, weights, queries, readout_steps)
        if arguments.own_times and (mean or emissions):
            raise CircuitError("on this device means and emissions are read at the same steps of all samples")
        with torch.no_grad(), full_precision(), naming_gates(self.memory.update, self.memory.query):
            tape = self._walk(arguments, mean, emissions)
            matrices = self._query.matrices(self._query.share(np.empty((1, 0))))
            parts = []
            for block in self._blocks(tape):
                asked, angles = self._asked(tape, block)
                states = self._query.forward(asked, angles, matrices).after(range(1))
                parts.append(states[0, 0, :, self._z] @ self._from_z)
            shape = (*tape.query_angles.shape[:4], self.dimension)
            found = torch.cat(parts).view(shape).permute(2, 0, 1, 3, 4).contiguous().cpu().numpy()
            if arguments.own_times:
                found[arguments.times < 0] = 0
            return found, tape

    def backward(
        self,
        tape: TorchOpenTape,
        cotangent: np.ndarray,
        *,
        emissions: np.ndarray | None = None,
        overwrite_inputs: bool = False,
    ) -> Gradients:
        """Multiply dL/dp (B, R, H, Q, D) with the Jacobian: the gradients of inputs, weights and queries.

        ``emissions`` (B, R, H, E) is dL/d(emissions) of a forward call that gave them. ``overwrite_inputs`` changes
        nothing here: the inputs are only read.
        """
        arguments = tape.arguments
        lead = arguments.queries.shape[:4]
        check_shape("cotangent", cotangent, "probabilities", (*lead, self.dimension))
        if tape.emissions is None and emissions is not None:
            raise CircuitError("emissions have a cotangent, but the forward pass was not asked for emissions")
        if emissions is not None:
            check_shape("cotangent of emissions", emissions, "emissions", tape.emissions.shape)
        with torch.no_grad(), full_precision(), naming_gates(self.memory.update, self.memory.query):
            on_device = self._to_device(cotangent)
            if arguments.own_times:
                on_device[torch.from_numpy(arguments.times < 0).to(self.device)] = 0
            adjoints, of_query_angles = self._readouts_back(tape, on_device.permute(1, 2, 0, 3, 4))
            of_queries, _ = self._query_angles.pull_back(
                arguments.queries, np.empty(0), of_query_angles.permute(2, 0, 1, 3, 4)
            )
            received = None if emissions is None else self._to_device(emissions).permute(1, 2, 0, 3)
            of_angles, of_shared = self._walk_back(tape, adjoints, received)
            of_inputs, of_weights = self._update_angles.pull_back(
                arguments.inputs, arguments.weights, of_angles.permute(2, 0, 1, 3)
            )
        return Gradients(of_inputs, np.ascontiguousarray(of_weights + of_shared, self.dtype), of_queries)

    def _walk(self, arguments: Arguments, mean: bool, emissions: bool) -> TorchOpenTape:
        """Run all steps; leaves the states that are read, those before chunks, and the emissions."""
        angles = self._update_angles.values(arguments.inputs, arguments.weights).permute(1, 2, 0, 3).contiguous()
        query_angles = self._query_angles.values(arguments.queries, np.empty(0)).permute(1, 2, 0, 3, 4).contiguous()
        steps, registers, samples, _ = angles.shape
        spans = [] if arguments.own_times else _spans(arguments.times[0].tolist())
        moments = Moments(arguments, 1, self.device) if arguments.own_times else None
        readings = arguments.times.shape[1]
        shared = self._step.share(arguments.weights)
        # Fused steps read all samples after the same ones.
        steps_of = self._layered if arguments.own_times else self._step
        matrices = steps_of.matrices(shared)
        states = self._start.expand(registers, samples, -1)
        read = states.new_zeros(readings, registers, samples, 4**self.memory.num_qubits)
        emitting = [number for number, matrix in self._step.shared.items() if emissions and matrix.emissions]
        before = {number: states.new_zeros(readings, *states.shape) for number in emitting}
        length = self._chunk_length(steps, registers * samples)
        keep = steps * len(self._step) * states.numel() * self._real.itemsize <= self._kept_bytes
        starts, kept_states = [], []
        for chunk in _chunks(steps, length):
            starts.append(states)
            kept = steps_of.forward(states, angles[chunk.start : chunk.stop], matrices)
            if keep:
                kept_states.append(kept)
            states = kept.after(range(len(chunk) - 1, len(chunk)))[0]
            for k, step in enumerate(chunk) if moments is not None else ():
                for slot, rows in moments.after(step):
                    read[slot][:, rows] = kept.after(range(k, k + 1))[0][:, rows, : read.shape[-1]]
            for span in spans:
                own = span.within(chunk)
                if not own:
                    continue
                for number, sums in before.items():
                    sums[span.slot] += kept.before(number, own).sum(0) / len(span)
                if mean:
                    read[span.slot] += kept.after(own)[..., : read.shape[-1]].sum(0) / len(span)
                elif chunk.start + own[-1] == span.last:
                    read[span.slot] = kept.after(range(own[-1], own[-1] + 1))[0, ..., : read.shape[-1]]
        emitted = self._emitted(shared, before, read) if emissions else None
        return TorchOpenTape(
            arguments, mean, spans, length, angles, query_angles, shared, starts, read, before, kept_states, emitted
        )

    def _emitted(
        self, shared: dict[int, SharedValues], before: dict[int, torch.Tensor], read: torch.Tensor
    ) -> np.ndarray:
        """Return the emissions (B, R, H, E) from the mean states before the layers that emit."""
        emitted = read.new_zeros(*read.shape[:3], self.memory.num_emissions)
        for number, states in before.items():
            functions = shared[number].emissions.to(self._real)
            emitted[..., self._step.shared[number].emissions] += states @ functions.mT
        return emitted.permute(2, 0, 1, 3).contiguous().cpu().numpy()

    def _walk_back(
        self, tape: TorchOpenTape, adjoints: torch.Tensor, emissions: torch.Tensor | None
    ) -> tuple[torch.Tensor, np.ndarray]:
        """Carry lambda through all steps; returns the gradient of the angles (T, H, B, A) and that of shared weights.

        ``adjoints`` (R, H, B, 4^n) enter where the memory was read, ``emissions`` (R, H, B, E) before layers that emit.
        """
        steps_of = self._layered if tape.arguments.own_times else self._step
        matrices = steps_of.matrices(tape.shared)
        gradients = {number: torch.zeros_like(values.matrix) for number, values in tape.shared.items()}
        of_functions = {number: torch.zeros_like(values.emissions) for number, values in tape.shared.items()}
        lengths = torch.tensor([len(span) for span in sorted(tape.spans, key=lambda span: span.slot)], dtype=self._real)
        lengths = lengths.to(adjoints)[:, None, None, None]
        if tape.mean:
            adjoints = adjoints / lengths
        entering: dict[int, torch.Tensor] = {}
        for number, states in tape.before.items() if emissions is not None else ():
            own = emissions[..., self._step.shared[number].emissions]
            entering[number] = own @ tape.shared[number].emissions.to(self._real) / lengths
            of_functions[number] += torch.einsum("rhbe,rhbn->hen", own.double(), states.double())
        steps = len(tape.angles)
        spans = _by_step(steps, ((span.slot, range(span.first, span.last + 1)) for span in tape.spans))
        ends = spans if tape.mean else _by_step(steps, ((span.slot, (span.last,)) for span in tape.spans))
        moments = Moments(tape.arguments, 1, self.device) if tape.arguments.own_times else None
        everything = Entering(adjoints, ends, entering, spans, moments)
        lam = torch.zeros_like(tape.starts[0], memory_format=torch.contiguous_format)
        gradient = torch.zeros_like(tape.angles)
        for index, chunk in reversed(list(enumerate(_chunks(steps, tape.chunk)))):
            angles = tape.angles[chunk.start : chunk.stop]
            kept = tape.states[index] if tape.states else steps_of.forward(tape.starts[index], angles, matrices)
            lam, gradient[chunk.start : chunk.stop] = steps_of.backward(
                lam, angles, matrices, kept, everything.within(chunk), gradients
            )
        weights = tape.arguments.weights
        of_weights = np.zeros(weights.shape)
        for number, matrix in self._step.shared.items():
            of_weights += matrix.pull_back(weights, tape.shared[number], gradients[number], of_functions[number])
        return gradient, of_weights

    def _readouts_back(self, tape: TorchOpenTape, cotangent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the states read receive (R, H, B, 4^n), and the gradients of the queries' angles."""
        matrices = self._query.matrices(self._query.share(np.empty((1, 0))))
        unused = {number: torch.zeros_like(matrix, dtype=torch.float64) for number, matrix in matrices.items()}
        adjoints, gradient = torch.empty_like(tape.read), torch.empty_like(tape.query_angles)
        for block in self._blocks(tape):
            asked, angles = self._asked(tape, block)
            kept = self._query.forward(asked, angles, matrices)
            lam = torch.zeros_like(asked)
            lam[0, :, self._z] = cotangent[block].reshape(-1, self.dimension) @ self._from_z.mT
            nothing = Entering(lam, [-1], {}, [-1])
            lam, found = self._query.backward(lam, angles, matrices, kept, nothing, unused)
            gradient[block] = found.view_as(gradient[block])
            adjoints[block] = lam.view(*gradient[block].shape[:4], -1).sum(3)
        return adjoints, gradient

    def _asked(self, tape: TorchOpenTape, block: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Repeat the states of a block of readings for each query, (1, R H B Q, 4^n), beside their angles."""
        angles = tape.query_angles[block]
        asked = tape.read[block].repeat_interleave(angles.shape[3], dim=2).flatten(0, 2)
        return asked[None], angles.flatten(0, 3)[None, None]

    def _blocks(self, tape: TorchOpenTape) -> Iterator[slice]:
        """Cut R readings into blocks that fit the working memory."""
        count = len(tape.read)
        of_one = self._query.numbers * tape.query_angles[0, ..., :1].numel() * self._real.itemsize
        for part in _chunks(count, max(1, self._chunk_bytes // max(1, of_one))):
            yield slice(part.start, part.stop)

    def _chunk_length(self, steps: int, samples: int) -> int:
        """Choose the steps of a chunk: those that fit, but so many that chunks take as much as what precedes them."""
        fitting = self._chunk_bytes // (self._step.numbers * samples * self._real.itemsize)
        balanced = ceil(sqrt(steps * self._step.size / self._step.numbers))
        return min(steps, max(1, fitting, balanced))

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(array, self.dtype, order="C")).to(self.device)


def _z_rows(num_qubits: int) -> np.ndarray:
    """Return the row of each Z string, by the mask of its qubits."""
    masks = np.arange(1 << num_qubits)
    return sum(((masks >> qubit & 1) << 2 * qubit + 1 for qubit in range(num_qubits)), start=np.zeros_like(masks))


def _spans(read: Sequence[int]) -> list[Span]:
    """Return the span before each reading, in the order of time."""
    order = sorted(read)
    return [Span(read.index(step), before + 1, step) for before, step in zip([-1, *order[:-1]], order, strict=True)]


def _by_step(steps: int, slots: Iterable[tuple[int, Iterable[int]]]) -> list[int]:
    """Return the slot of each step, -1 where it has none."""
    found = [-1] * steps
    for slot, own in slots:
        for step in own:
            found[step] = slot
    return found


def _chunks(count: int, length: int) -> Iterator[range]:
    return (range(first, min(first + length, count)) for first in range(0, count, length))
