"""The open engine: batches of sequences through a memory with channels, and their exact gradients.

    rho_t = E(phi_t, theta)[rho_{t-1}],   p_j(q) = <j| V(alpha_q) rho_T V(alpha_q)^dagger |j>

The state is held as the 4^n real numbers tr(P rho) of the Pauli strings P, in which gates turn pairs of numbers, and
damping, reset, readout errors and the noise of a device are small sparse matrices, all exact.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from qlam_qiskit.engine.blocks import Cut, cut_mixed_batch, map_runs
from qlam_qiskit.engine.compiled import EntryPoint
from qlam_qiskit.engine.exact import Gradients, pull_back_evaluated
from qlam_qiskit.engine.open.arrays import Blocks, OpenWork, Reading
from qlam_qiskit.engine.open.plan import compile_open_plan
from qlam_qiskit.engine.open.shared import SharedNumbers
from qlam_qiskit.engine.open.sweep import open_backward_blocks, open_forward_blocks
from qlam_qiskit.engine.open.tables import CompiledOpenSteps
from qlam_qiskit.engine.simd import Rows
from qlam_qiskit.engine.tables import numbers
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit

MAX_QUBITS = 6  # of the memory
MAX_REGISTER = 7  # with ancillas that could not be taken out
FEWEST_CROSSED = 4  # qubits of a register whose steps are joined with the next ones
_KEPT_READINGS = 16
_SHORT = 400_000  # numbers of all states of a batch; up to about 1 ms of work, another thread takes longer to wake up


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
    shared: SharedNumbers
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
        self._query_shared = self._query.share(np.empty((1, 0))).values  # it has no weights
        self._numbers = numbers(self.dtype, part=1.0)
        # On smaller registers a pass is too short for what has to be made before it.
        self._crosses = update.num_qubits >= FEWEST_CROSSED and self._update.steps.crossing.last_maps > 0
        self._z_rows, self._start_rows = map(_strings_of_z, (memory.num_qubits, update.num_qubits))
        self._prepare()

    def _prepare(self) -> None:
        """Make room for compiled code and for buffers: to allocate takes longer than a short run."""
        self._code: dict[tuple[EntryPoint, int], Callable[..., None]] = {}
        self._buffers = threading.local()
        self._spare: dict[tuple[str, int], list[Rows]] = {}
        self._cuts: dict[tuple[int, int], Cut] = {}
        self._readings: dict[tuple[bytes, int, bool, bool], Reading] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be copied to another object or process."""
        left_out = ("_code", "_buffers", "_spare", "_cuts", "_readings")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

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

        def run(register: int, first: int, end: int) -> None:
            self._call(open_forward_blocks, tape, register, first, end, probabilities, emitted)

        map_runs(run, tape.cut, self._threads_for(tape))
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
        totals = np.empty((tape.cut.registers, tape.cut.blocks, self._update.num_sums))

        def run(register: int, first: int, end: int) -> None:
            arrays = (cotangent, received, angle_gradient, query_gradient, totals)
            self._call(open_backward_blocks, tape, register, first, end, *arrays)

        map_runs(run, tape.cut, self._threads_for(tape))
        weights = self._update.pull_back(tape.weights, tape.shared, totals)
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

    def cut(self, samples: int, registers: int) -> Cut:
        """Cut a batch into blocks."""
        if (samples, registers) not in self._cuts:
            qubits = self._update.plan.num_qubits
            self._cuts[samples, registers] = cut_mixed_batch(samples, registers, qubits, self.threads)
        return self._cuts[samples, registers]

    def _threads_for(self, tape: OpenTape) -> int:
        samples, steps, registers, _ = tape.inputs.shape
        return 1 if samples * steps * registers << 2 * tape.cut.qubits <= _SHORT else self.threads

    def _reading(self, times: np.ndarray, steps: int, mean: bool, emit: bool) -> Reading:
        """Say what is read when; of times that all samples have in common, the last few answers are kept."""
        key = times.tobytes(), steps, bool(mean), bool(emit)
        if len(times) == 1 and (kept := self._readings.get(key)) is not None:
            return kept
        # The states before the maps of a segment, and those before each segment, are together fewest like this. Of
        # large states the tape is kept shorter, nearer to the second level of cache.
        segment = ceil(sqrt(steps / max(1, self._update.steps.maps_in_step)) / (1 if self.dimension <= 8 else 2))
        reading = Reading(
            slots=slots_of(times, steps),
            lengths=spans_of(times),
            z_rows=self._z_rows,
            start_rows=self._start_rows,
            segment=min(steps, max(4, segment)),
            mean=bool(mean),
            emit=bool(emit),
            cross=self._crosses and 4 * times.shape[1] <= steps,
        )
        if len(times) == 1:
            if len(self._readings) >= _KEPT_READINGS:
                self._readings = {}
            self._readings[key] = reading
        return reading

    def _tape(
        self, inputs: np.ndarray, weights: np.ndarray, queries: np.ndarray, reading: Reading, emitted: np.ndarray | None
    ) -> OpenTape:
        """Compute what samples and steps share, and make room for the states that are kept."""
        cut = self.cut(len(inputs), inputs.shape[2])
        angles, query_angles = inputs, queries
        if self._update.evaluated is not None:
            angles = self._update.evaluated(beside(inputs, weights)).astype(self.dtype)
        if self._query.evaluated is not None:
            query_angles = self._query.evaluated(queries).astype(self.dtype)
        segments = -(-inputs.shape[1] // reading.segment)
        means = reading.lengths.shape[1] if reading.mean else 0
        size = cut.registers * cut.blocks << 2 * cut.qubits
        kept = _Kept(self._spare, cut.lanes, segments * size, means * size, self.dtype)
        return OpenTape(
            inputs,
            weights,
            queries,
            angles,
            query_angles,
            reading,
            cut,
            self._update.share(weights),
            kept,
            emitted,
        )

    def _call(self, loop: EntryPoint, tape: OpenTape, register: int, first: int, end: int, *arrays: np.ndarray) -> None:
        """Run a loop on neighbouring blocks."""
        arguments, lanes = self._arguments(tape, register, first, end, *arrays), tape.cut.lanes
        if (loop, lanes) not in self._code:
            self._code[loop, lanes] = loop.resolve(*arguments)
        self._code[loop, lanes](*arguments)

    def _arguments(self, tape: OpenTape, register: int, first: int, end: int, *arrays: np.ndarray) -> tuple[Any, ...]:
        """Lay out what a loop takes for neighbouring blocks."""
        cut = tape.cut
        update, query, work = self._buffers_of_thread(cut.lanes, tape.reading.segment)
        return (
            tape.angles,
            tape.query_angles,
            tape.shared.values,
            self._query_shared,
            update,
            query,
            Blocks(register, first, end, cut.samples, cut.qubits),
            self._numbers,
            tape.reading,
            work,
            tape.kept.states,
            tape.kept.means,
            *arrays,
        )

    def _buffers_of_thread(self, lanes: int, segment: int) -> tuple[Any, ...]:
        kept = self._buffers.__dict__
        if kept.get("shape") != (lanes, segment):
            size, query_size = 1 << 2 * self._update.plan.num_qubits, 1 << 2 * self.memory.num_qubits
            counts = OpenWork(
                tape=max(2, segment * self._update.steps.maps_in_step + 1) * size,
                adjoint=2 * size,
                query_tape=(self._query.steps.maps_in_step + 1) * query_size,
                query_adjoint=2 * query_size,
                last=(self._update.steps.crossing.last_maps + 1) * size,
                last_adjoint=2 * size,
                asked=size,
                read_adjoint=query_size,
                mean=size,
                values=self.dimension,
                emitted=self.memory.num_emissions,
            )
            kept["buffers"] = (
                self._update.circuit(segment, lanes),
                self._query.circuit(1, lanes),
                OpenWork(*(Rows(count, lanes, self.dtype) for count in counts)),
            )
            kept["shape"] = (lanes, segment)
        return kept["buffers"]


class _Kept:
    """The states that a forward pass leaves for backward, taken from the engine's spare ones and given back after.

    To allocate hundreds of megabytes anew for every batch costs more than to compute with them. ``states`` are those
    before each segment, ``means`` the mean states read, of all blocks.
    """

    def __init__(
        self, spare: dict[tuple[str, int], list[Rows]], lanes: int, states: int, means: int, dtype: type[np.floating]
    ) -> None:
        self._spare, self._lanes, self._dtype = spare, lanes, dtype
        self.states, self.means = self._take("states", states), self._take("means", means)

    def _take(self, what: str, count: int) -> Rows:
        """Take spare rows that are enough; those that are not are forgotten."""
        waiting = self._spare.setdefault((what, self._lanes), [])
        while True:
            try:
                rows = waiting.pop()
            except IndexError:
                return Rows(count, self._lanes, self._dtype)
            if len(rows.array) >= count:
                return rows

    def __del__(self) -> None:
        for what in ("states", "means"):
            if what in self.__dict__:  # not, where there was no room for it
                self._spare[what, self._lanes].append(self.__dict__[what])


def _strings_of_z(qubits: int) -> np.ndarray:
    """Return the row of each Z string, by the mask of its qubits."""
    strings = np.arange(1 << qubits)
    return sum((strings >> qubit & 1) << 2 * qubit + 1 for qubit in range(qubits))
