"""What an engine is made of and called with, checked: what does not fit is said in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qlam_qiskit.engine.blocks import processors
from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit

PRECISIONS = {"float32": np.float32, "float64": np.float64}
MAX_QUBITS = 16


def check_engine(
    memory: MemoryCircuit, precision: str, *, most: int = MAX_QUBITS, engine: str = "exact"
) -> type[np.floating]:
    """Return the dtype of a precision; raises ConfigurationError for another, CircuitError above ``most`` qubits."""
    if precision not in PRECISIONS:
        raise ConfigurationError(f"unknown precision {precision!r}; allowed: {', '.join(PRECISIONS)}")
    if memory.num_qubits > most:
        raise CircuitError(
            f"the {engine} engine holds at most {most} qubits, not {memory.num_qubits}: use an Aer backend"
        )
    return PRECISIONS[precision]


def check_threads(threads: int | None) -> int:
    """Return how many threads an engine runs on, by default one for each processor that the process may use."""
    if threads is not None and threads < 1:
        raise ConfigurationError(f"the exact engine runs on at least 1 thread, not {threads}")
    return threads or processors()


def check_shape(name: str, array: np.ndarray, of: str, expected: tuple[int, ...]) -> None:
    """Raise CircuitError where an array, such as a cotangent, has not the shape of what it belongs to."""
    if np.shape(array) != expected:
        raise CircuitError(f"the {name} has shape {np.shape(array)}, the {of} {expected}")


def beside(inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Join inputs (..., P) and weights, which broadcast to (..., W), to (..., P + W)."""
    return np.concatenate([inputs, np.broadcast_to(weights, (*inputs.shape[:-1], weights.shape[-1]))], axis=-1)


@dataclass(frozen=True)
class Arguments:
    """Inputs (B, T, H, P), weights (H, W), queries (B, R, H, Q, A), and the steps after which samples are read.

    ``times`` (1 or B, R) are alike for all samples, or each sample's own; -1 is never.
    """

    inputs: np.ndarray
    weights: np.ndarray
    queries: np.ndarray
    times: np.ndarray

    @classmethod
    def check(
        cls,
        memory: MemoryCircuit,
        inputs: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        readout_steps: Sequence[int] | np.ndarray | None,
    ) -> Arguments:
        """Check shapes and broadcast the queries; raises CircuitError.

        ``readout_steps`` are the R steps, those of each sample (B, R), where -1 is never, or None for the last step.
        """
        inputs, weights, queries = np.asarray(inputs), np.asarray(weights, np.float64), np.asarray(queries)
        if inputs.ndim != 4 or inputs.shape[3] != memory.num_inputs or 0 in inputs.shape[:3]:
            raise CircuitError(
                f"inputs must be (samples, steps, registers, {memory.num_inputs}), none zero, not {inputs.shape}"
            )
        samples, steps, registers, _ = inputs.shape
        if weights.shape != (registers, memory.num_weights):
            raise CircuitError(f"weights must be {(registers, memory.num_weights)}, not {weights.shape}")
        if queries.ndim != 5 or queries.shape[3] < 1 or queries.shape[4] != memory.num_query_angles:
            raise CircuitError(
                "queries must be (samples, readouts, registers, queries, "
                f"{memory.num_query_angles}), not {queries.shape}"
            )
        times = _reading_times(readout_steps, samples, steps)
        shape = (samples, times.shape[1], registers, *queries.shape[3:])
        try:
            queries = queries if queries.shape == shape else np.broadcast_to(queries, shape)
        except ValueError:
            raise CircuitError(
                f"queries of shape {queries.shape} do not fit {shape} (samples, readouts, registers, ...)"
            ) from None
        return cls(inputs, weights, queries, times)

    @property
    def own_times(self) -> bool:
        """Whether samples are read at times of their own."""
        return len(self.times) > 1


def _reading_times(readout_steps: Sequence[int] | np.ndarray | None, samples: int, steps: int) -> np.ndarray:
    """Check when samples are read; returns (1 or B, R)."""
    if readout_steps is None:
        return np.array([[steps - 1]])
    if isinstance(readout_steps, tuple) and all(type(step) is int for step in readout_steps):
        return _common_times(readout_steps, steps)
    return _checked_times(readout_steps, samples, steps)


@lru_cache(maxsize=64)
def _common_times(readout_steps: tuple[int, ...], steps: int) -> np.ndarray:
    times = _checked_times(readout_steps, 1, steps)
    times.flags.writeable = False
    return times


def _checked_times(readout_steps: Sequence[int] | np.ndarray, samples: int, steps: int) -> np.ndarray:
    times = np.atleast_2d(np.array(readout_steps, np.int64))
    own = np.ndim(readout_steps) == 2
    if times.ndim != 2 or (own and len(times) != samples):
        raise CircuitError(f"reading times of {samples} samples are ({samples}, readings), not {times.shape}")
    ordered = np.sort(times, axis=1)
    repeated = ((np.diff(ordered, axis=1) == 0) & (ordered[:, 1:] >= 0)).any()
    if not times.size or times.min() < (-1 if own else 0) or times.max() >= steps or repeated:
        shown = "" if own else f", not {list(readout_steps)}"
        raise CircuitError(f"readout steps must be different numbers from 0 to {steps - 1}{shown}")
    return times


def slots_of(times: np.ndarray, steps: int) -> np.ndarray:
    """Turn the steps after which samples are read, (1 or B, R) with -1 for never, into slots, int64 (1 or B, T)."""
    slots = np.full((len(times), steps), -1, np.int64)
    rows, readings = np.nonzero(times >= 0)
    slots[rows, times[rows, readings]] = readings
    return slots


def spans_of(times: np.ndarray) -> np.ndarray:
    """Count the steps since the reading before each, in the order of time, (1 or B, R) as float64; 1 for never."""
    order = np.argsort(times, axis=1)
    ordered = np.take_along_axis(times, order, axis=1)
    lengths = np.empty(times.shape)
    np.put_along_axis(lengths, order, np.diff(ordered, axis=1, prepend=-1).astype(float), axis=1)
    return np.where(times >= 0, lengths, 1.0)
