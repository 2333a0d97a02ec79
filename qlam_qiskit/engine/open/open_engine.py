"""The open engine: batches of sequences through a memory with channels, and their exact gradients.

    rho_t = E(phi_t, theta)[rho_{t-1}],   p_j(q) = <j| V(alpha_q) rho_T V(alpha_q)^dagger |j>

The state is held as the 4^n real numbers tr(P rho) of the Pauli strings P, in which gates turn pairs of numbers, and
damping, reset, readout errors and the noise of a device are small sparse matrices, all exact.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any

import numpy as np

from qlam_qiskit.engine.arguments import (
    PRECISIONS,
    Arguments,
    beside,
    check_engine,
    check_shape,
    check_threads,
    slots_of,
    spans_of,
)
from qlam_qiskit.engine.blocks import Cut, cut_batch, map_blocks
from qlam_qiskit.engine.compiled import EntryPoint
from qlam_qiskit.engine.exact import Gradients, pull_back_evaluated
from qlam_qiskit.engine.open.arrays import OpenSums, OpenWork, Reading
from qlam_qiskit.engine.open.plan import compile_open_plan
from qlam_qiskit.engine.open.sweep import open_backward_block, open_forward_block
from qlam_qiskit.engine.open.tables import CompiledOpenSteps, SharedOfRegisters
from qlam_qiskit.engine.simd import Rows
from qlam_qiskit.engine.tables import numbers
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit

MAX_QUBITS = 6  # of the memory
MAX_REGISTER = 7  # with ancillas that could not be taken out


@dataclass(frozen=True)
class OpenTape:
    """What the backward pass needs of a forward one: its arguments, and the state before every segment of steps.

    ``emissions`` (B, R, H, E) are the mean probabilities that each emission bit is 1 over the steps since the reading
    before; it is None where they were not asked for.
    """

    inputs: np.ndarray
    weights: np.ndarray
    queries: np.ndarray
    angles: np.ndarray
    query_angles: np.ndarray
    reading: Reading
    cut: Cut
    shared: SharedOfRegisters
    query_shared: SharedOfRegisters
    kept: _Kept
    emissions: np.ndarray | None


class OpenEngine:
    """Runs one memory circuit with channels on batches of sequences, forward and backward.

    Shapes as for :class:`~qlam_qiskit.engine.ExactEngine`: B samples, T steps, H registers, P input angles of a step, W
    weights, Q queries of A angles, R readings in time, D = 2^n bitstrings, E emissions. All angles in radians.

    Parameters
    ----------
    memory
        The circuit, open or not; CircuitError if it holds what cannot be run, or has more than 6 qubits.
    precision
        "float32" or "float64".
    threads
        Blocks of samples that run side by side; by default one for each processor that the process may use.
    """

    def __init__(self, memory: MemoryCircuit, *, precision: str = "float32", threads: int | None = None) -> None:
        self.dtype = check_engine(memory, precision, most=MAX_QUBITS, engine="open")
        self.memory = memory
        self.threads = check_threads(threads)
        update = compile_open_plan(memory.update, memory.inputs, memory.weights, memory.ancillas, memory.emissions)
        if update.num_qubits > MAX_REGISTER:
            raise CircuitError(
                f"circuit {memory.update.name!r}: inputs act on its ancillas, so that {update.num_qubits} qubits would "
                f"have to be held, more than the open engine's {MAX_REGISTER}: use an Aer backend"
            )
        self._update = CompiledOpenSteps(update, self.dtype)
        self._query = CompiledOpenSteps(compile_open_plan(memory.query, memory.query_angles, ()), self.dtype)
        self._numbers = numbers(self.dtype, part=1.0)
        self._prepare()

    def _prepare(self) -> None:
        """Make room for compiled code and for buffers: to allocate takes longer than a short run."""
        self._code: dict[tuple[EntryPoint, int], Callable[..., None]] = {}
        self._buffers = threading.local()
        self._spare: dict[tuple[int, int], list[Rows]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be copied to another object or process."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_code", "_buffers", "_spare")}

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
        mean: bool = False,
        emissions: bool = False,
    ) -> tuple[np.ndarray, OpenTape]:
        """Return the bitstring probabilities (B, R, H, Q, D) and a tape for :meth:`backward`.

        inputs (B, T, H, P); weights (H, W); queries (B or 1, R or 1, H, Q, A). ``readout_steps`` lists the R steps
        after which the memory is read, by default the last one, or those of each sample (B, R), as for
        :meth:`~qlam_qiskit.engine.ExactEngine.forward`. With ``mean``, what is read is the mean state over the
        steps since the reading before. With ``emissions``, the tape holds their means over the same steps
        (B, R, H, E). Raises CircuitError if shapes do not fit.
        """
        checked = Arguments.check(self.memory, inputs, weights, queries, readout_steps)
        inputs = np.ascontiguousarray(checked.inputs, self.dtype)
        queries = np.array(checked.queries, self.dtype, order="C")
        reading = self._reading(checked.times, inputs.shape[1], mean, emissions)
        room = np.empty if checked.times.min() >= 0 else np.zeros
        probabilities = room((*queries.shape[:4], self.dimension), self.dtype)
        emitted = room((*queries.shape[:3], self.memory.num_emissions if emissions else 0), self.dtype)
        tape = self._tape(inputs, checked.weights, queries, reading, emitted if emissions else None)

        def run(register: int, index: int) -> None:
            self._call(open_forward_block, tape, register, index, probabilities, emitted)

        map_blocks(run, tape.cut, self.threads)
        return probabilities, tape

    def backward(
        self,
        tape: OpenTape,
        cotangent: np.ndarray,
        *,
        emissions: np.ndarray | None = None,
        overwrite_inputs: bool = False,
    ) -> Gradients:
        """Multiply dL/dp (B, R, H, Q, D) with the Jacobian: the gradients of inputs, weights and queries.

        ``emissions`` (B, R, H, E) is dL/d(emissions) of a forward call that gave them. With ``overwrite_inputs`` the
        input gradients take the place of the inputs, which saves an array of their size.
        """
        cotangent = np.ascontiguousarray(cotangent, self.dtype)
        check_shape("cotangent", cotangent, "probabilities", (*tape.queries.shape[:4], self.dimension))
        if tape.emissions is None and emissions is not None:
            raise CircuitError("emissions have a cotangent, but the forward pass was not asked for emissions")
        expected = (*tape.queries.shape[:3], 0 if tape.emissions is None else tape.emissions.shape[3])
        received = np.zeros(expected, self.dtype) if emissions is None else np.ascontiguousarray(emissions, self.dtype)
        check_shape("cotangent of emissions", received, "emissions", expected)
        angles = tape.angles
        angle_gradient = angles if overwrite_inputs and angles.flags.writeable else np.empty(angles.shape, self.dtype)
        query_gradient = np.zeros(tape.query_angles.shape, self.dtype)

        def run(register: int, index: int) -> OpenSums:
            arrays = (cotangent, received, angle_gradient, query_gradient)
            return self._call(open_backward_block, tape, register, index, *arrays)

        sums = map_blocks(run, tape.cut, self.threads)
        weights = self._update.pull_back(tape.weights, tape.shared, sums)
        inputs, extra = pull_back_evaluated(self._update.evaluated, tape.inputs, tape.weights, angle_gradient)
        nothing = np.empty((tape.cut.registers, 0))
        queries, _ = pull_back_evaluated(self._query.evaluated, tape.queries, nothing, query_gradient)
        return Gradients(inputs.astype(self.dtype, copy=False), (weights + extra).astype(self.dtype), queries)

    def in_precision(self, precision: str) -> OpenEngine:
        """Return the engine of the same memory in a precision, which is this one if it has it."""
        if self.dtype is PRECISIONS[precision]:
            return self
        return OpenEngine(self.memory, precision=precision, threads=self.threads)

    @property
    def dimension(self) -> int:
        """Bitstrings of the memory, D = 2^n."""
        return 1 << self.memory.num_qubits

    def _reading(self, times: np.ndarray, steps: int, mean: bool, emit: bool) -> Reading:
        strings = np.arange(self.dimension)
        z_rows = sum((strings >> qubit & 1) << 2 * qubit + 1 for qubit in range(self.memory.num_qubits))
        register = np.arange(1 << self._update.plan.num_qubits)
        start_rows = sum((register >> qubit & 1) << 2 * qubit + 1 for qubit in range(self._update.plan.num_qubits))
        # The states before the maps of a segment, and those before each segment, are together fewest like this. Of
        # large states the tape is kept shorter, nearer to the second level of cache.
        segment = ceil(sqrt(steps / max(1, self._update.steps.maps_in_step)) / (1 if self.dimension <= 8 else 4))
        return Reading(
            slots=slots_of(times, steps),
            lengths=spans_of(times),
            z_rows=z_rows,
            start_rows=start_rows,
            segment=min(steps, max(4, segment)),
            mean=bool(mean),
            emit=bool(emit),
        )

    def _tape(
        self, inputs: np.ndarray, weights: np.ndarray, queries: np.ndarray, reading: Reading, emitted: np.ndarray | None
    ) -> OpenTape:
        """Compute what samples and steps share, and make room for the states that are kept."""
        register = self._update.plan.num_qubits
        # A density matrix of n qubits takes as much room as a state of 2n - 1.
        cut = cut_batch(len(inputs), inputs.shape[2], 2 * register - 1, self.threads)
        cut = Cut(cut.samples, cut.registers, register, cut.lanes)
        angles, query_angles = inputs, queries
        if self._update.evaluated is not None:
            angles = self._update.evaluated(beside(inputs, weights)).astype(self.dtype)
        if self._query.evaluated is not None:
            query_angles = self._query.evaluated(queries).astype(self.dtype)
        segments = -(-inputs.shape[1] // reading.segment)
        means = reading.lengths.shape[1] if reading.mean else 0
        kept = _Kept(self._spare, cut, segments << 2 * register, means << 2 * register, self.dtype)
        return OpenTape(
            inputs,
            weights,
            queries,
            angles,
            query_angles,
            reading,
            cut,
            self._update.share(weights, cut.lanes),
            self._query.share(np.empty((1, 0)), cut.lanes),
            kept,
            emitted,
        )

    def _call(self, loop: EntryPoint, tape: OpenTape, register: int, index: int, *arrays: np.ndarray) -> OpenSums:
        """Run a loop on one block; returns what it added up for the update circuit."""
        block, lanes = tape.cut.block(register, index), tape.cut.lanes
        update_buffers, query_buffers, work = self._buffers_of_thread(lanes, tape.reading.segment)
        if block.lanes < lanes:  # idle lanes must not hold the NaN of some earlier batch
            for rows in (update_buffers[0].inputs, query_buffers[0].inputs, work.values, work.emitted):
                rows.array[:] = 0
        update = self._update.circuit(tape.shared.registers[register], update_buffers)
        query = self._query.circuit(tape.query_shared.registers[0], query_buffers)
        kept = tape.kept.of_block(register, index)
        fixed = (tape.angles, tape.query_angles, update, query, block, self._numbers, tape.reading, work, *kept)
        if (loop, lanes) not in self._code:
            self._code[loop, lanes] = loop.resolve(*fixed, *arrays)
        self._code[loop, lanes](*fixed, *arrays)
        return update.sums

    def _buffers_of_thread(self, lanes: int, segment: int) -> tuple[Any, ...]:
        kept = self._buffers.__dict__
        if kept.get("shape") != (lanes, segment):
            size, query_size = 1 << 2 * self._update.plan.num_qubits, 1 << 2 * self.memory.num_qubits
            counts = OpenWork(
                tape=max(2, segment * self._update.steps.maps_in_step + 1) * size,
                adjoint=2 * size,
                query_tape=(self._query.steps.maps_in_step + 1) * query_size,
                query_adjoint=2 * query_size,
                asked=size,
                read_adjoint=query_size,
                mean=size,
                values=self.dimension,
                emitted=self.memory.num_emissions,
            )
            kept["buffers"] = (
                self._update.buffers(segment, lanes),
                self._query.buffers(1, lanes),
                OpenWork(*(Rows(count, lanes, self.dtype) for count in counts)),
            )
            kept["shape"] = (lanes, segment)
        return kept["buffers"]


@dataclass
class _Kept:
    """The states that a forward pass leaves for backward, taken from the engine's spare ones and given back after.

    To allocate hundreds of megabytes anew for every batch costs more than to compute with them.
    """

    spare: dict[tuple[int, int], list[Rows]]
    cut: Cut
    states: int
    means: int
    dtype: type[np.floating]
    rows: list[tuple[Rows, Rows]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for _ in range(self.cut.registers * self.cut.blocks):
            self.rows.append((self._take(self.states), self._take(self.means)))

    def _take(self, count: int) -> Rows:
        waiting = self.spare.setdefault((count, self.cut.lanes), [])
        return waiting.pop() if waiting else Rows(count, self.cut.lanes, self.dtype)

    def __del__(self) -> None:
        for pair in self.rows:
            for count, rows in zip((self.states, self.means), pair, strict=True):
                self.spare[count, self.cut.lanes].append(rows)

    def of_block(self, register: int, index: int) -> tuple[Rows, Rows]:
        """Return the states before each segment, and the mean states read, of one block."""
        return self.rows[register * self.cut.blocks + index]
