"""The exact engine: batches of sequences through a memory circuit, and their gradients by adjoint differentiation.

    psi_t = U(phi_t, theta) psi_{t-1},   p_j(q) = |<j| V(alpha_q) |psi_T>|^2

Cost: one state per sample forward, two backward, whatever the length; backward takes about three times as long as
forward. Source: Jones and Gacon, arXiv 2009.02823, with the state recomputed by undoing the updates.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from qlam_qiskit.engine.angles import AngleFunctions
from qlam_qiskit.engine.arrays import CHUNK, Block, State, Sums, work
from qlam_qiskit.engine.plan import compile_plan
from qlam_qiskit.engine.simd import LANES
from qlam_qiskit.engine.sweep import backward_block, forward_block
from qlam_qiskit.engine.tables import CompiledSteps, numbers
from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.template import MemoryCircuit

PRECISIONS = {"float32": np.float32, "float64": np.float64}
MAX_QUBITS = 16


@dataclass(frozen=True)
class Tape:
    """What the backward pass needs of a forward one: its arguments, and psi_T of every block of samples."""

    inputs: np.ndarray
    weights: np.ndarray
    queries: np.ndarray
    slots: np.ndarray
    states: np.ndarray


@dataclass(frozen=True)
class Gradients:
    """Gradients of inputs (B, T, H, P), weights (H, W) and queries (B, R, H, Q, A, one for each use of a query)."""

    inputs: np.ndarray
    weights: np.ndarray
    queries: np.ndarray


class ExactEngine:
    """Runs one memory circuit on batches of sequences, forward and backward.

    Shapes: B samples, T steps, H heads (registers that share the template but not their weights), P input angles of a
    step, W weights, Q queries of A angles, R readouts in time, D = 2^n amplitudes. All angles in radians.

    Parameters
    ----------
    memory
        The circuit; CircuitError if it holds anything but unitary gates, or has more than 16 qubits.
    precision
        "float32" or "float64", of the states and of every array returned.
    threads
        Blocks of 16 samples that run side by side; by default the number of processors this process may use.
    """

    def __init__(self, memory: MemoryCircuit, *, precision: str = "float32", threads: int | None = None) -> None:
        if precision not in PRECISIONS:
            raise ConfigurationError(f"unknown precision {precision!r}; allowed: {', '.join(PRECISIONS)}")
        if memory.num_qubits > MAX_QUBITS:
            raise CircuitError(
                f"the exact engine holds at most {MAX_QUBITS} qubits, not {memory.num_qubits}: use an Aer backend"
            )
        self.memory = memory
        self.dtype = PRECISIONS[precision]
        if threads is not None and threads < 1:
            raise ConfigurationError(f"the exact engine runs on at least 1 thread, not {threads}")
        self.threads = threads or _processors()
        self._update = CompiledSteps(compile_plan(memory.update, memory.inputs, memory.weights), self.dtype)
        self._query = CompiledSteps(compile_plan(memory.query, memory.query_angles, ()), self.dtype)
        self._numbers = numbers(self.dtype)

    def forward(
        self,
        inputs: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        *,
        readout_steps: Sequence[int] | None = None,
    ) -> tuple[np.ndarray, Tape]:
        """Return the bitstring probabilities (B, R, H, Q, D) and a tape for :meth:`backward`.

        inputs (B, T, H, P); weights (H, W); queries (B or 1, R or 1, H, Q, A). ``readout_steps`` lists the R steps
        after which the memory is read, by default the last one. Raises CircuitError if shapes do not fit.
        """
        inputs = np.ascontiguousarray(inputs, self.dtype)
        weights = np.asarray(weights, np.float64)
        queries = np.asarray(queries, self.dtype)
        self._check_shapes(inputs, weights, queries)
        samples, steps, heads, _ = inputs.shape
        read = [steps - 1] if readout_steps is None else list(readout_steps)
        if not read or min(read) < 0 or max(read) >= steps or len(set(read)) != len(read):
            raise CircuitError(f"readout steps must be different numbers from 0 to {steps - 1}, not {read}")
        slots = np.full(steps, -1, np.int64)
        slots[read] = np.arange(len(read))
        shape = (samples, len(read), heads, *queries.shape[3:])
        try:
            queries = np.array(np.broadcast_to(queries, shape), order="C")
        except ValueError:
            raise CircuitError(
                f"queries of shape {queries.shape} do not fit {shape} (samples, readouts, heads, ...)"
            ) from None
        probabilities = np.empty((*shape[:4], self.dimension), self.dtype)
        blocks = -(-samples // LANES)
        states = np.empty((heads, blocks, 2, self.dimension * LANES), self.dtype)
        tape = Tape(inputs, weights, queries, slots, states)
        angles, query_angles = self._angles(tape)
        shared = [self._update.share(row) for row in weights]
        query_shared = self._query.share(np.empty(0))

        def run(head: int, index: int) -> None:
            update = self._update.circuit(shared[head], CHUNK)
            query = self._query.circuit(query_shared, 1)
            forward_block(
                angles,
                query_angles,
                update,
                query,
                self._block(head, index, samples),
                self._numbers,
                slots,
                work(self.memory.num_qubits, self.dtype),
                State(*states[head, index]),
                probabilities,
            )

        self._map(run, heads, blocks)
        return probabilities, tape

    def backward(self, tape: Tape, cotangent: np.ndarray, *, overwrite_inputs: bool = False) -> Gradients:
        """Multiply dL/dp (B, R, H, Q, D) with the Jacobian: the gradients of inputs, weights and queries.

        With ``overwrite_inputs`` the input gradients take the place of the inputs, which saves an array of their size.
        """
        cotangent = np.ascontiguousarray(cotangent, self.dtype)
        samples, _, heads, _ = tape.inputs.shape
        expected = (*tape.queries.shape[:4], self.dimension)
        if cotangent.shape != expected:
            raise CircuitError(f"the cotangent has shape {cotangent.shape}, the probabilities {expected}")
        angles, query_angles = self._angles(tape)
        angle_gradient = (
            angles if overwrite_inputs and tape.inputs.flags.writeable else np.empty(angles.shape, self.dtype)
        )
        query_gradient = np.zeros(query_angles.shape, self.dtype)
        shared = [self._update.share(row) for row in tape.weights]
        query_shared = self._query.share(np.empty(0))
        blocks = tape.states.shape[1]

        def run(head: int, index: int) -> Sums:
            update = self._update.circuit(shared[head], CHUNK)
            query = self._query.circuit(query_shared, 1)
            backward_block(
                angles,
                query_angles,
                update,
                query,
                self._block(head, index, samples),
                self._numbers,
                tape.slots,
                work(self.memory.num_qubits, self.dtype),
                State(*tape.states[head, index]),
                cotangent,
                angle_gradient,
                query_gradient,
            )
            return update.sums

        sums = self._map(run, heads, blocks)
        weights = np.stack([self._update.pull_back(tape.weights[head], sums[head]) for head in range(heads)])
        inputs, extra = _pull_back_evaluated(self._update.evaluated, tape.inputs, tape.weights, angle_gradient)
        queries, _ = _pull_back_evaluated(self._query.evaluated, tape.queries, np.empty((heads, 0)), query_gradient)
        return Gradients(inputs.astype(self.dtype, copy=False), (weights + extra).astype(self.dtype), queries)

    def statevector(self, inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return psi_T of one head: complex (B, D), global phase included, for inputs (B, T, P) and weights (W,)."""
        inputs = np.asarray(inputs, self.dtype)[:, :, None, :]
        weights = np.asarray(weights, np.float64)[None]
        queries = np.zeros((1, 1, 1, 1, self.memory.num_query_angles))
        _, tape = self.forward(inputs, weights, queries)
        states = tape.states[0].reshape(-1, 2, self.dimension, LANES).transpose(1, 0, 3, 2)
        states = states.reshape(2, -1, self.dimension)[:, : len(inputs)].astype(np.float64)
        plan = self._update.plan
        phases = AngleFunctions([plan.global_phase], (*plan.inputs, *plan.weights))
        phase = phases(_beside(inputs, weights)).sum(axis=(1, 2, 3))
        return (states[0] + 1j * states[1]) * np.exp(1j * phase)[:, None]

    @property
    def dimension(self) -> int:
        """Amplitudes of the register, D = 2^n."""
        return 1 << self.memory.num_qubits

    def _check_shapes(self, inputs: np.ndarray, weights: np.ndarray, queries: np.ndarray) -> None:
        memory = self.memory
        if inputs.ndim != 4 or inputs.shape[3] != memory.num_inputs or 0 in inputs.shape[:3]:
            raise CircuitError(
                f"inputs must be (samples, steps, heads, {memory.num_inputs}), none zero, not {inputs.shape}"
            )
        if weights.shape != (inputs.shape[2], memory.num_weights):
            raise CircuitError(f"weights must be {(inputs.shape[2], memory.num_weights)}, not {weights.shape}")
        if queries.ndim != 5 or queries.shape[3] < 1 or queries.shape[4] != memory.num_query_angles:
            raise CircuitError(
                f"queries must be (samples, readouts, heads, queries, {memory.num_query_angles}), not {queries.shape}"
            )

    def _angles(self, tape: Tape) -> tuple[np.ndarray, np.ndarray]:
        """Return what the kernels take as inputs: the inputs themselves, or angle rows evaluated from them."""
        angles, queries = tape.inputs, tape.queries
        if self._update.evaluated is not None:
            angles = self._update.evaluated(_beside(angles, tape.weights)).astype(self.dtype)
        if self._query.evaluated is not None:
            queries = self._query.evaluated(queries).astype(self.dtype)
        return angles, queries

    def _block(self, head: int, index: int, samples: int) -> Block:
        first = index * LANES
        return Block(head, first, min(LANES, samples - first), self.memory.num_qubits)

    def _map(self, run: Callable[[int, int], Any], heads: int, blocks: int) -> list[list[Any]]:
        """Run every (head, block), several at a time; results keep their order, so sums do not depend on timing."""
        tasks = [(head, block) for head in range(heads) for block in range(blocks)]
        if self.threads == 1 or len(tasks) == 1:
            results = [run(*task) for task in tasks]
        else:
            results = list(_pool(self.threads).map(lambda task: run(*task), tasks))
        return [results[head * blocks : (head + 1) * blocks] for head in range(heads)]


def _processors() -> int:
    """Count the processors that this process may use; not every system can say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="qlam-engine")


def _beside(inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Join inputs (B, T, H, P) and weights (H, W) to (B, T, H, P + W)."""
    shape = (*inputs.shape[:2], *weights.shape)
    return np.concatenate([inputs, np.broadcast_to(weights, shape)], axis=-1)


def _pull_back_evaluated(
    functions: AngleFunctions | None, inputs: np.ndarray, weights: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray | float]:
    """Carry gradients of evaluated angle rows to inputs and weights (H, W)."""
    if functions is None:
        return gradient, 0.0
    if weights.shape[1] == 0:
        return functions.pull_back(inputs, gradient).astype(gradient.dtype), 0.0
    both = functions.pull_back(_beside(inputs, weights), gradient)
    split = inputs.shape[-1]
    return both[..., :split].astype(gradient.dtype), both[..., split:].sum(axis=(0, 1))
