"""A memory on a backend's V2 primitives: Aer ideal, noisy or with shots, a fake device, or a provider's.

The forward pass is one PUB for each step that is read, its rows the samples, registers and queries of the batch.
Backward, the gradient is ``adjoint`` (the exact engine's: that of the ideal circuit), ``param_shift`` or ``spsa`` (the
backend's own, from more circuits).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from qiskit.circuit import Parameter, QuantumCircuit

from qlam_qiskit.backends import OpenBackend
from qlam_qiskit.engine import ExactEngine, Gradients, Readout
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.engine.torch import make_engine
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network.execution import differentiable_readouts
from qlam_qiskit.network.gradients import ParameterShift, spsa_gradient
from qlam_qiskit.planning.readout import count_outcomes, frequencies

GRADIENTS = ("adjoint", "param_shift", "spsa")


@dataclass(frozen=True)
class _Call:
    """A forward call's arguments, with the queries of every sample written out: (B, R, H, Q, A)."""

    angles: np.ndarray
    weights: np.ndarray
    queries: np.ndarray


class PrimitiveExecution:
    """Runs a memory's circuits through a backend's sampler, or its estimator where expectation values are exact.

    ``gradient`` is one of GRADIENTS; spsa draws its directions from ``rng``.
    """

    def __init__(
        self,
        memory: MemoryCircuit,
        readout: Readout,
        backend: OpenBackend,
        *,
        steps: int,
        readout_steps: Sequence[int] | None = None,
        gradient: str = "adjoint",
        rng: np.random.Generator | None = None,
    ) -> None:
        if gradient not in GRADIENTS:
            raise ConfigurationError(f"unknown gradient {gradient!r}; allowed: {', '.join(GRADIENTS)}")
        self._memory = memory
        self._readout = readout
        self._gradient = gradient
        self._rng = rng or np.random.default_rng()
        self._read = [steps - 1] if readout_steps is None else list(readout_steps)
        self._circuits = [_SequenceCircuit(memory, step + 1, readout, backend) for step in self._read]

    def forward(self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, _Call]:
        """Run one PUB for each step that is read."""
        samples, _, registers, _ = angles.shape
        queries = np.broadcast_to(queries, (samples, len(self._read), registers, *queries.shape[3:]))
        call = _Call(angles, np.asarray(weights), queries)
        values = [
            circuit.evaluate(self._rows(call, slot).reshape(-1, circuit.width)).reshape(
                samples, registers, -1, self._readout.size
            )
            for slot, circuit in enumerate(self._circuits)
        ]
        return np.stack(values, axis=1).astype(angles.dtype), call

    def backward(self, tape: _Call, cotangent: np.ndarray) -> Gradients:
        """Carry the cotangent back by the gradient chosen."""
        if self._gradient == "adjoint":
            _, exact_tape = self._engine.forward(tape.angles, tape.weights, tape.queries, readout_steps=self._read)
            return self._engine.backward(exact_tape, self._readout.pull_back(np.asarray(cotangent, float)))
        gradients = Gradients(*(np.zeros(part.shape) for part in (tape.angles, tape.weights, tape.queries)))
        for slot, circuit in enumerate(self._circuits):
            rows = self._rows(tape, slot)
            flat = rows.reshape(-1, circuit.width)
            row_cotangents = cotangent[:, slot].reshape(-1, self._readout.size)
            if self._gradient == "param_shift":
                change = circuit.shifted.gradient(flat, row_cotangents)
            else:
                change = spsa_gradient(circuit.evaluate, flat, row_cotangents, self._rng)
            self._add(gradients, slot, change.reshape(rows.shape))
        return gradients

    def in_double(self) -> PrimitiveExecution:
        """Return itself: a backend computes as it does."""
        return self

    def on_circuit(self, memory: MemoryCircuit) -> PrimitiveExecution:
        """Raise ConfigurationError: what circuits suffer here is the backend's own affair."""
        raise ConfigurationError(
            "model.noise.device trains on a backend of kind exact; one that executes circuits has noise of its own, "
            "such as {kind: aer, noise: FakeTorino}"
        )

    def differentiable(self, angles: torch.Tensor, weights: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        """Run the ideal circuit, whose gradient the adjoint one is, as operations of torch."""
        if self._gradient != "adjoint":
            raise ConfigurationError(
                f"gradient {self._gradient} cannot be differentiated again (create_graph=True): "
                "use gradient: adjoint, or a backend of kind exact"
            )
        place = torch.device("cpu"), torch.float64
        return differentiable_readouts(self._memory, self._readout, self._read, *place, angles, weights, queries)

    @cached_property
    def _engine(self) -> ExactEngine | OpenEngine:
        return make_engine(self._memory, precision="float64")

    def _rows(self, call: _Call, slot: int) -> np.ndarray:
        """Lay out the parameters of every circuit that is read at ``slot``: (B, H, Q, inputs + weights + angles)."""
        used = call.angles[:, : self._read[slot] + 1]
        inputs = used.transpose(0, 2, 1, 3).reshape(len(used), used.shape[2], 1, -1)
        queries = call.queries[:, slot]
        lead = queries.shape[:3]
        weights = np.broadcast_to(call.weights[:, None], (*lead, call.weights.shape[1]))
        inputs = np.broadcast_to(inputs, (*lead, inputs.shape[-1]))
        return np.concatenate([inputs, weights, queries], axis=-1).astype(float)

    def _add(self, gradients: Gradients, slot: int, change: np.ndarray) -> None:
        """Add the gradient of every circuit's parameters (the layout of :meth:`_rows`) to those of the arguments."""
        samples, registers = change.shape[:2]
        steps = self._read[slot] + 1
        split = steps * self._memory.num_inputs
        inputs = change[..., :split].sum(axis=2).reshape(samples, registers, steps, self._memory.num_inputs)
        gradients.inputs[:, :steps] += inputs.transpose(0, 2, 1, 3)
        gradients.weights[:] += change[..., split : split + self._memory.num_weights].sum(axis=(0, 2))
        gradients.queries[:, slot] += change[..., split + self._memory.num_weights :]


class _SequenceCircuit:
    """The circuit of a sequence on a backend, with its parameters in the order inputs, weights, query angles."""

    def __init__(self, memory: MemoryCircuit, steps: int, readout: Readout, backend: OpenBackend) -> None:
        self._backend = backend
        self._readout = readout
        self._circuit = memory.unroll(steps)
        self._parameters = (*memory.sequence_inputs(steps), *memory.weights, *memory.query_angles)

    @property
    def width(self) -> int:
        """Parameters of the circuit."""
        return len(self._parameters)

    def evaluate(self, rows: np.ndarray) -> np.ndarray:
        """Run rows of parameters (N, width); returns readouts (N, K)."""
        return self._runner.run(rows)

    @cached_property
    def _runner(self) -> _Runner:
        return _Runner(self._circuit, self._parameters, self._readout, self._backend)

    @cached_property
    def shifted(self) -> ParameterShift:
        """The parameter shift rule of this circuit on its backend."""
        return ParameterShift(
            self._circuit,
            self._parameters,
            lambda circuit, parameters: _Runner(circuit, parameters, self._readout, self._backend).run,
        )


class _Runner:
    """Rows of parameters of one circuit through a primitive, as readouts."""

    def __init__(
        self, circuit: QuantumCircuit, parameters: Sequence[Parameter], readout: Readout, backend: OpenBackend
    ) -> None:
        self._parameters = tuple(parameter.name for parameter in parameters)
        self._readout = readout
        self._sampler = self._estimator = None
        if backend.shots is None:
            self._estimator = backend.estimator()
            self._isa = backend.isa(circuit)
            self._observables = [string.apply_layout(self._isa.layout) for string in readout.observables()]
        else:
            self._sampler = backend.sampler()
            self._isa = backend.isa(circuit.measure_all(inplace=False))

    def run(self, rows: np.ndarray) -> np.ndarray:
        """Run rows (N, parameters); returns readouts (N, K)."""
        if self._estimator is not None:
            pub = (self._isa, self._observables, {self._parameters: rows[:, None, :]})
            return self._readout.from_z_strings(np.asarray(self._estimator.run([pub]).result()[0].data.evs))
        result = self._sampler.run([(self._isa, {self._parameters: rows})]).result()[0]
        return self._readout.from_probabilities(frequencies(count_outcomes(result.data.meas)))
