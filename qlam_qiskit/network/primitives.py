"""A memory on a backend's V2 primitives: Aer ideal, noisy or with shots, a fake device, or a provider's.

The forward pass is one PUB for each step that is read, its rows the samples, registers and queries of the batch; one
PUB for all readings of what ancillas emit, and of means over the memory's own qubits one for each step. Shorter samples
have shorter circuits.
Backward, the gradient is ``adjoint`` (the exact engine's: that of the ideal circuit), ``param_shift`` or ``spsa`` (the
backend's own, from more circuits).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qlam_qiskit.backends import OpenBackend
from qlam_qiskit.engine import Gradients, Readout
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network.execution import ExactExecution, differentiable_readouts
from qlam_qiskit.network.gradients import ParameterShift, spsa_gradient
from qlam_qiskit.network.own_times import (
    GroupTapes,
    backward_in_groups,
    differentiable_in_groups,
    forward_in_groups,
)
from qlam_qiskit.network.spans import Spans, emission_means, measured_steps
from qlam_qiskit.planning import count_outcomes, frequencies

GRADIENTS = ("adjoint", "param_shift", "spsa")


@dataclass(frozen=True)
class _Call:
    """A forward call's arguments, with the queries of every sample written out: (B, R, H, Q, A).

    ``times`` and ``groups`` are those of samples of different lengths, which ran in groups.
    """

    angles: np.ndarray
    weights: np.ndarray
    queries: np.ndarray
    times: np.ndarray | None = None
    groups: GroupTapes | None = None


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
        circuits: dict[tuple[int, ...], _SequenceCircuit] | None = None,
    ) -> None:
        if gradient not in GRADIENTS:
            raise ConfigurationError(f"unknown gradient {gradient!r}; allowed: {', '.join(GRADIENTS)}")
        self._memory = memory
        self._readout = readout
        self._backend = backend
        self._gradient = gradient
        self._rng = rng or np.random.default_rng()
        self._read = [steps - 1] if readout_steps is None else list(readout_steps)
        if readout.kind == "emissions":
            measured: tuple[tuple[int, ...], np.ndarray] = (max(self._read),), np.arange(1)
        else:
            measured = measured_steps(readout, self._read)
        self._steps, self._slots = measured
        self._made = {} if circuits is None else circuits
        self._circuits = [self._circuit(step) for step in self._steps]
        self._of_read: dict[tuple[int, ...], PrimitiveExecution] = {}

    def _circuit(self, step: int) -> _SequenceCircuit:
        """Return the circuit that ends with a step: of what ancillas emit, one for all readings."""
        key = (step, *self._read) if self._readout.kind == "emissions" else (step,)
        if key not in self._made:
            self._made[key] = _SequenceCircuit(self._memory, step + 1, self._readout, self._backend, self._read)
        return self._made[key]

    def _of_group(self, read: tuple[int, ...]) -> PrimitiveExecution:
        """Return the execution of samples that are read after these steps; it shares circuits with the others."""
        if read not in self._of_read:
            self._of_read[read] = PrimitiveExecution(
                self._memory,
                self._readout,
                self._backend,
                steps=read[-1] + 1,
                readout_steps=read,
                gradient=self._gradient,
                rng=self._rng,
                circuits=self._made,
            )
        return self._of_read[read]

    def forward(
        self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray, times: np.ndarray | None = None
    ) -> tuple[np.ndarray, _Call]:
        """Run all PUBs, and read their outcomes."""
        if times is not None:
            size = self._readout.size
            values, groups = forward_in_groups(self._of_group, angles, weights, queries, times, size)
            return values, _Call(angles, np.asarray(weights), queries, times, groups)
        samples, _, registers, _ = angles.shape
        queries = np.broadcast_to(queries, (samples, len(self._read), registers, *queries.shape[3:]))
        call = _Call(angles, np.asarray(weights), queries)
        values = np.stack(
            [
                circuit.evaluate(self._rows(call, index).reshape(-1, circuit.width)).reshape(
                    samples, registers, queries.shape[3], -1
                )
                for index, circuit in enumerate(self._circuits)
            ],
            axis=1,
        )
        if self._readout.kind == "emissions":  # one circuit has all readings
            values = np.moveaxis(values[:, 0].reshape(samples, registers, 1, len(self._read), -1), 3, 1)
        elif self._readout.averages_states:
            values = Spans.of(self._read).mean(values)
        return values.astype(angles.dtype), call

    def backward(self, tape: _Call, cotangent: np.ndarray) -> Gradients:
        """Carry the cotangent back by the gradient chosen."""
        if self._gradient == "adjoint":
            _, exact_tape = self._exact.forward(tape.angles, tape.weights, tape.queries, tape.times)
            return self._exact.backward(exact_tape, np.asarray(cotangent, float))
        if tape.groups is not None:
            return backward_in_groups(tape.groups, np.asarray(cotangent, float))
        gradients = Gradients(*(np.zeros(part.shape) for part in (tape.angles, tape.weights, tape.queries)))
        cotangent = np.asarray(cotangent, float)
        if self._readout.kind == "emissions":
            cotangent = np.moveaxis(cotangent, 1, 3)[:, None]
        elif self._readout.averages_states:
            cotangent = Spans.of(self._read).share(cotangent)
        for index, circuit in enumerate(self._circuits):
            rows = self._rows(tape, index)
            flat = rows.reshape(-1, circuit.width)
            row_cotangents = cotangent[:, index].reshape(len(flat), -1)
            if self._gradient == "param_shift":
                change = circuit.shifted.gradient(flat, row_cotangents)
            else:
                change = spsa_gradient(circuit.evaluate, flat, row_cotangents, self._rng)
            self._add(gradients, index, change.reshape(rows.shape))
        return gradients

    def in_double(self) -> PrimitiveExecution:
        """Return itself: a backend computes as it does."""
        return self

    def on_circuit(self, memory: MemoryCircuit) -> PrimitiveExecution:
        """Raise ConfigurationError: what circuits suffer here is the backend's own affair."""
        raise ConfigurationError(
            "the errors of model.noise train on a backend of kind exact; one that executes circuits has its own, "
            "such as {kind: aer, noise: FakeTorino}"
        )

    def differentiable(
        self, angles: torch.Tensor, weights: torch.Tensor, queries: torch.Tensor, times: np.ndarray | None = None
    ) -> torch.Tensor:
        """Run the ideal circuit, whose gradient the adjoint one is, as operations of torch."""
        if self._gradient != "adjoint":
            raise ConfigurationError(
                f"gradient {self._gradient} cannot be differentiated again (create_graph=True): "
                "use gradient: adjoint, or a backend of kind exact"
            )
        if times is not None:
            return differentiable_in_groups(self._of_group, angles, weights, queries, times, self._readout.size)
        place = torch.device("cpu"), torch.float64
        return differentiable_readouts(self._memory, self._readout, self._read, *place, angles, weights, queries)

    @cached_property
    def _exact(self) -> ExactExecution:
        return ExactExecution.of(self._memory, self._readout, self._read, precision="float64")

    def _rows(self, call: _Call, index: int) -> np.ndarray:
        """Lay out the parameters of every circuit of PUB ``index``: (B, H, Q, inputs + weights + angles)."""
        used = call.angles[:, : self._steps[index] + 1]
        inputs = used.transpose(0, 2, 1, 3).reshape(len(used), used.shape[2], 1, -1)
        queries = call.queries[:, self._slots[index]]
        if self._readout.kind == "emissions":
            queries = queries[..., :0]
        lead = queries.shape[:3]
        weights = np.broadcast_to(call.weights[:, None], (*lead, call.weights.shape[1]))
        inputs = np.broadcast_to(inputs, (*lead, inputs.shape[-1]))
        return np.concatenate([inputs, weights, queries], axis=-1).astype(float)

    def _add(self, gradients: Gradients, index: int, change: np.ndarray) -> None:
        """Add the gradient of every circuit's parameters (the layout of :meth:`_rows`) to those of the arguments."""
        samples, registers = change.shape[:2]
        steps = self._steps[index] + 1
        split = steps * self._memory.num_inputs
        inputs = change[..., :split].sum(axis=2).reshape(samples, registers, steps, self._memory.num_inputs)
        gradients.inputs[:, :steps] += inputs.transpose(0, 2, 1, 3)
        gradients.weights[:] += change[..., split : split + self._memory.num_weights].sum(axis=(0, 2))
        if self._readout.kind != "emissions":
            gradients.queries[:, self._slots[index]] += change[..., split + self._memory.num_weights :]


class _SequenceCircuit:
    """The circuit of a sequence on a backend, with its parameters in the order inputs, weights, query angles."""

    def __init__(
        self, memory: MemoryCircuit, steps: int, readout: Readout, backend: OpenBackend, read: Sequence[int]
    ) -> None:
        self._runner_of = partial(_Runner, memory=memory, readout=readout, backend=backend, read=tuple(read))
        self._parameters = (*memory.sequence_inputs(steps), *memory.weights)
        if readout.kind == "emissions":
            if backend.shots is None:
                raise ConfigurationError("emissions are counted, bit by bit: give the backend shots")
            self._circuit = memory.unroll(steps, query=False, emissions=True)
        else:
            self._circuit = memory.unroll(steps, measure=backend.shots is not None)
            self._parameters += memory.query_angles

    @property
    def width(self) -> int:
        """Parameters of the circuit."""
        return len(self._parameters)

    def evaluate(self, rows: np.ndarray) -> np.ndarray:
        """Run rows of parameters (N, width); returns readouts (N, K), of emissions (N, R * E)."""
        return self._runner.run(rows)

    @cached_property
    def _runner(self) -> _Runner:
        return self._runner_of(self._circuit, self._parameters)

    @cached_property
    def shifted(self) -> ParameterShift:
        """The parameter shift rule of this circuit on its backend."""
        return ParameterShift(
            self._circuit,
            self._parameters,
            lambda circuit, parameters: self._runner_of(circuit, parameters).run,
        )


def memory_observables(memory: MemoryCircuit, readout: Readout) -> list[SparsePauliOp]:
    """Return the Z strings of a readout on the qubits of the update, where ancillas stand between the memory's."""
    qubits = list(memory.memory_qubits)
    return [string.apply_layout(qubits, memory.update.num_qubits) for string in readout.observables()]


class _Runner:
    """Rows of parameters of one circuit through a primitive, as readouts."""

    def __init__(
        self,
        circuit: QuantumCircuit,
        parameters: Sequence[Parameter],
        memory: MemoryCircuit,
        readout: Readout,
        backend: OpenBackend,
        read: tuple[int, ...],
    ) -> None:
        self._parameters = tuple(parameter.name for parameter in parameters)
        self._readout, self._read = readout, read
        self._sampler = self._estimator = None
        self._isa = backend.isa(circuit)
        if backend.shots is None:
            self._estimator = backend.estimator()
            strings = memory_observables(memory, readout)
            self._observables = [string.apply_layout(self._isa.layout) for string in strings]
        else:
            self._sampler = backend.sampler()

    def run(self, rows: np.ndarray) -> np.ndarray:
        """Run rows (N, parameters); returns readouts (N, K)."""
        if self._estimator is not None:
            pub = (self._isa, self._observables, {self._parameters: rows[:, None, :]})
            return self._readout.from_z_strings(np.asarray(self._estimator.run([pub]).result()[0].data.evs))
        result = self._sampler.run([(self._isa, {self._parameters: rows})]).result()[0]
        if self._readout.kind == "emissions":
            return emission_means(result.data.emission, self._readout.emissions, self._read).reshape(len(rows), -1)
        return self._readout.from_probabilities(frequencies(count_outcomes(result.data.meas)))
