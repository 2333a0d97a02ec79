"""What an engine is made of and called with, checked: what does not fit is said in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """Inputs (B, T, H, P), weights (H, W), queries (B, R, H, Q, A), and the R steps after which the memory is read."""

    inputs: np.ndarray
    weights: np.ndarray
    queries: np.ndarray
    read: tuple[int, ...]

    @classmethod
    def check(
        cls,
        memory: MemoryCircuit,
        inputs: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        readout_steps: Sequence[int] | None,
    ) -> Arguments:
        """Check shapes and broadcast the queries; raises CircuitError."""
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
        read = (steps - 1,) if readout_steps is None else tuple(readout_steps)
        if not read or min(read) < 0 or max(read) >= steps or len(set(read)) != len(read):
            raise CircuitError(f"readout steps must be different numbers from 0 to {steps - 1}, not {list(read)}")
        shape = (samples, len(read), registers, *queries.shape[3:])
        try:
            queries = np.broadcast_to(queries, shape)
        except ValueError:
            raise CircuitError(
                f"queries of shape {queries.shape} do not fit {shape} (samples, readouts, registers, ...)"
            ) from None
        return cls(inputs, weights, queries, read)
