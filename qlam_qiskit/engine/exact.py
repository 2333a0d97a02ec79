"""The exact engine: batches of sequences through a memory circuit, and their gradients by adjoint differentiation.

    psi_t = U(phi_t, theta) psi_{t-1},   p_j(q) = |<j| V(alpha_q) |psi_T>|^2

Cost: one state per sample forward, two backward, whatever the length; backward takes about three times as long as
forward. Source: Jones and Gacon, arXiv 2009.02823, with the state recomputed by undoing the updates.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qlam_qiskit.engine.angles import AngleFunctions
from qlam_qiskit.engine.arguments import (
    PRECISIONS,
    Arguments,
    beside,
    check_engine,
    check_shape,
    check_threads,
    slots_of,
)
from qlam_qiskit.engine.arrays import CHUNK, Shared, State, Sums, work
from qlam_qiskit.engine.blocks import Cut, cut_batch, map_blocks
from qlam_qiskit.engine.compiled import EntryPoint
from qlam_qiskit.engine.gates import naming_gates
from qlam_qiskit.engine.plan import compile_plan
from qlam_qiskit.engine.simd import Rows
from qlam_qiskit.engine.sweep import backward_block, forward_block
from qlam_qiskit.engine.tables import CompiledSteps, numbers
from qlam_qiskit.memory_circuit import MemoryCircuit


@dataclass(frozen=True)
class Tape:
    """What the backward pass needs of a forward one: its arguments, and psi_T of every block of samples.

    ``angles`` and ``query_angles`` are what the compiled loops read: the inputs and queries themselves, or angle rows
    evaluated from them; ``slots`` (1 or B, T) says which readout follows each step, or -1.
    """

    inputs: np.ndarray
    weights: np.ndarray
    queries: np.ndarray
    angles: np.ndarray
    query_angles: np.ndarray
    slots: np.ndarray
    cut: Cut
    shared: list[Shared]
    query_shared: Shared
    states: list[list[State]]


@dataclass(frozen=True)
class Gradients:
    """Gradients of inputs (B, T, H, P), weights (H, W) and queries (B, R, H, Q, A, one for each use of a query).

    That of inputs which were given as a tensor is one too.
    """

    inputs: np.ndarray
    weights: np.ndarray
    queries: np.ndarray


class ExactEngine:
    """Runs one memory circuit on batches of sequences, forward and backward.

    Shapes: B samples, T steps, H registers (they share the template but not their weights), P input angles of a step,
    W weights, Q queries of A angles, R readings, D = 2^n amplitudes. All angles in radians.

    Parameters
    ----------
    memory
        The circuit; CircuitError if it holds anything but unitary gates, or has more than 16 qubits.
    precision
        "float32" or "float64", of the states and of every array returned.
    threads
        Blocks of samples that run side by side; by default the number of processors this process may use.
    """

    def __init__(self, memory: MemoryCircuit, *, precision: str = "float32", threads: int | None = None) -> None:
        self.dtype = check_engine(memory, precision)
        self.memory = memory
        self.threads = check_threads(threads)
        self._update = CompiledSteps(compile_plan(memory.update, memory.inputs, memory.weights), self.dtype)
        self._query = CompiledSteps(compile_plan(memory.query, memory.query_angles, ()), self.dtype)
        self._numbers = numbers(self.dtype)
        self._prepare()

    def _prepare(self) -> None:
        """Make room for compiled code, and for each thread's buffers: to allocate takes longer than a short run."""
        self._code: dict[tuple[EntryPoint, int], Callable[..., None]] = {}
        self._buffers = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be copied to another object or process."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_code", "_buffers")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def forward(
        self,
        inputs: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        *,
        readout_steps: Sequence[int] | np.ndarray | None = None,
    ) -> tuple[np.ndarray, Tape]:
        """Return the bitstring probabilities (B, R, H, Q, D) and a tape for :meth:`backward`.

        inputs (B, T, H, P); weights (H, W); queries (B or 1, R or 1, H, Q, A). ``readout_steps`` lists the R steps
        after which the memory is read, by default the last one, or those of each sample (B, R): of one that is shorter
        than others, no step after the last is of any effect. -1 is never: its probabilities are 0. Raises CircuitError
        if shapes do not fit.
        """
        checked = Arguments.check(self.memory, inputs, weights, queries, readout_steps)
        slots = slots_of(checked.times, checked.inputs.shape[1])
        inputs = np.ascontiguousarray(checked.inputs, self.dtype)
        queries = np.array(checked.queries, self.dtype, order="C")
        room = np.empty if checked.times.min() >= 0 else np.zeros
        probabilities = room((*queries.shape[:4], self.dimension), self.dtype)
        with naming_gates(self.memory.update, self.memory.query):
            tape = self._tape(inputs, checked.weights, queries, slots)

        def run(register: int, index: int) -> None:
            self._call(forward_block, tape, register, index, probabilities)

        map_blocks(run, tape.cut, self.threads)
        return probabilities, tape

    def backward(self, tape: Tape, cotangent: np.ndarray, *, overwrite_inputs: bool = False) -> Gradients:
        """Multiply dL/dp (B, R, H, Q, D) with the Jacobian: the gradients of inputs, weights and queries.

        With ``overwrite_inputs`` the input gradients take the place of the inputs, which saves an array of their size.
        """
        cotangent = np.ascontiguousarray(cotangent, self.dtype)
        registers = tape.cut.registers
        check_shape("cotangent", cotangent, "probabilities", (*tape.queries.shape[:4], self.dimension))
        angles = tape.angles
        angle_gradient = angles if overwrite_inputs and angles.flags.writeable else np.empty(angles.shape, self.dtype)
        query_gradient = np.zeros(tape.query_angles.shape, self.dtype)

        def run(register: int, index: int) -> Sums:
            return self._call(backward_block, tape, register, index, cotangent, angle_gradient, query_gradient)

        sums = map_blocks(run, tape.cut, self.threads)
        with naming_gates(self.memory.update, self.memory.query):
            weights = np.stack(
                [self._update.pull_back(tape.weights[register], sums[register]) for register in range(registers)]
            )
            inputs, extra = pull_back_evaluated(self._update.evaluated, tape.inputs, tape.weights, angle_gradient)
            no_weights = np.empty((registers, 0))
            queries, _ = pull_back_evaluated(self._query.evaluated, tape.queries, no_weights, query_gradient)
        return Gradients(inputs.astype(self.dtype, copy=False), (weights + extra).astype(self.dtype), queries)

    def statevector(self, inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return psi_T of one register: complex (B, D) with its global phase, for inputs (B, T, P) and weights (W,)."""
        inputs = np.asarray(inputs, self.dtype)[:, :, None, :]
        weights = np.asarray(weights, np.float64)[None]
        queries = np.zeros((1, 1, 1, 1, self.memory.num_query_angles))
        _, tape = self.forward(inputs, weights, queries)
        parts = [np.concatenate([block[part].array.T for block in tape.states[0]]) for part in (0, 1)]
        states = np.array(parts, np.float64)[:, : len(inputs)]
        plan = self._update.plan
        phases = AngleFunctions([plan.global_phase], (*plan.inputs, *plan.weights))
        phase = phases(beside(inputs, weights)).sum(axis=(1, 2, 3))
        return (states[0] + 1j * states[1]) * np.exp(1j * phase)[:, None]

    def in_precision(self, precision: str) -> ExactEngine:
        """Return the engine of the same memory in a precision, which is this one if it has it."""
        if self.dtype is PRECISIONS[precision]:
            return self
        return ExactEngine(self.memory, precision=precision, threads=self.threads)

    @property
    def dimension(self) -> int:
        """Amplitudes of the register, D = 2^n."""
        return 1 << self.memory.num_qubits

    def cut(self, samples: int, registers: int) -> Cut:
        """Cut a batch into blocks."""
        return cut_batch(samples, registers, self.memory.num_qubits, self.threads)

    def _tape(self, inputs: np.ndarray, weights: np.ndarray, queries: np.ndarray, slots: np.ndarray) -> Tape:
        """Compute what samples and steps share, and make room for the final states."""
        cut = self.cut(len(inputs), inputs.shape[2])
        angles, query_angles = inputs, queries
        if self._update.evaluated is not None:
            angles = self._update.evaluated(beside(inputs, weights)).astype(self.dtype)
        if self._query.evaluated is not None:
            query_angles = self._query.evaluated(queries).astype(self.dtype)
        shared = [self._update.share(row, cut.lanes) for row in weights]
        query_shared = self._query.share(np.empty(0), cut.lanes)
        states = [
            [State(*(Rows(self.dimension, cut.lanes, self.dtype) for _ in range(2))) for _ in range(cut.blocks)]
            for _ in range(cut.registers)
        ]
        return Tape(inputs, weights, queries, angles, query_angles, slots, cut, shared, query_shared, states)

    def _call(self, loop: EntryPoint, tape: Tape, register: int, index: int, *arrays: np.ndarray) -> Sums:
        """Run a loop on one block; returns what it added up for the update circuit."""
        lanes = tape.cut.lanes
        arguments, sums = self._arguments(tape, register, index, *arrays)
        if (loop, lanes) not in self._code:
            self._code[loop, lanes] = loop.resolve(*arguments)
        self._code[loop, lanes](*arguments)
        return sums

    def _arguments(self, tape: Tape, register: int, index: int, *arrays: np.ndarray) -> tuple[tuple[Any, ...], Sums]:
        """Lay out what a loop takes for one block, and where it adds up for the update circuit."""
        block, lanes = tape.cut.block(register, index), tape.cut.lanes
        update_buffers, query_buffers, states = self._buffers_of_thread(lanes)
        if block.lanes < lanes:  # idle lanes must not hold the NaN of some earlier batch
            for rows in (update_buffers[0].inputs, query_buffers[0].inputs):
                rows.array[:] = 0
        update = self._update.circuit(tape.shared[register], update_buffers)
        query = self._query.circuit(tape.query_shared, query_buffers)
        fixed = (block, self._numbers, tape.slots, states, tape.states[register][index])
        return (tape.angles, tape.query_angles, update, query, *fixed, *arrays), update.sums

    def _buffers_of_thread(self, lanes: int) -> tuple[Any, ...]:
        kept = self._buffers.__dict__
        if lanes not in kept:
            buffers = (circuit.buffers(steps, lanes) for circuit, steps in ((self._update, CHUNK), (self._query, 1)))
            kept[lanes] = (*buffers, work(self.memory.num_qubits, lanes, self.dtype))
        return kept[lanes]


def pull_back_evaluated(
    functions: AngleFunctions | None, inputs: np.ndarray, weights: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray | float]:
    """Carry gradients of evaluated angle rows to inputs and weights (H, W)."""
    if functions is None:
        return gradient, 0.0
    if weights.shape[1] == 0:
        return functions.pull_back(inputs, gradient).astype(gradient.dtype), 0.0
    both = functions.pull_back(beside(inputs, weights), gradient)
    split = inputs.shape[-1]
    return both[..., :split].astype(gradient.dtype), both[..., split:].sum(axis=(0, 1))
