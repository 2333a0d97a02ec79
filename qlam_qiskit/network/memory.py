"""The memory as a qiskit-machine-learning ``NeuralNetwork``: angles and weights in, readouts out."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit_machine_learning.neural_networks import NeuralNetwork

from qlam_qiskit.engine import Gradients, Readout
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network.execution import ExactExecution, Execution


class MemoryNetwork(NeuralNetwork):
    """One memory of H registers over T steps, read by Q queries after R of the steps.

    As a ``NeuralNetwork`` it takes flat inputs, the angles (T, H, P) followed by the query angles (H, Q, A), and flat
    weights (H, W), and returns flat readouts (R, H, Q, K). :meth:`run` and :meth:`pull_back` take the arrays
    unflattened, and give the vector-Jacobian product that training needs; :meth:`backward` builds the full Jacobian
    from one such product for every sample and readout, for use with the stock connector.

    Parameters
    ----------
    memory
        The circuit; all its angles are in radians.
    steps
        Length of a sequence, T.
    readout
        What is read; by default 2^n p_j - 1 of every bitstring j, p_j its probability.
    registers, queries
        Registers side by side, H, and queries of each, Q.
    readout_steps
        The steps after which the memory is read; by default the last.
    execution
        Where it runs; by default the exact engine.
    """

    def __init__(
        self,
        memory: MemoryCircuit,
        steps: int,
        *,
        readout: Readout | None = None,
        registers: int = 1,
        queries: int = 1,
        readout_steps: tuple[int, ...] | None = None,
        execution: Execution | None = None,
    ) -> None:
        self.memory = memory
        self.steps = steps
        self.registers = registers
        self.queries = queries
        self.readout = readout or Readout(memory.num_qubits)
        if self.readout.num_qubits != memory.num_qubits:
            raise CircuitError(
                f"the readout is of {self.readout.num_qubits} qubits and the memory has {memory.num_qubits}"
            )
        if self.readout.kind == "emissions" and self.readout.emissions != memory.num_emissions:
            raise CircuitError(f"the readout is of {self.readout.emissions} emissions, not {memory.num_emissions}")
        if self.readout.kind == "emissions" and queries != 1:
            raise CircuitError(f"emissions are not queried: give 1 query, not {queries}")
        self.readout_steps = readout_steps or (steps - 1,)
        self._double: MemoryNetwork | None = None
        self.execution = execution or ExactExecution.of(memory, self.readout, self.readout_steps)
        super().__init__(
            num_inputs=registers * (steps * memory.num_inputs + queries * memory.num_query_angles),
            num_weights=registers * memory.num_weights,
            sparse=False,
            output_shape=len(self.readout_steps) * registers * queries * self.readout.size,
            input_gradients=True,
        )

    def run(
        self, angles: np.ndarray, weights: np.ndarray, queries: np.ndarray, times: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        """Read the memory after a batch of sequences.

        Parameters
        ----------
        angles
            Input angles (B, T, H, P), in radians.
        weights
            (H, W), in radians.
        queries
            Query angles (B or 1, R or 1, H, Q, A), in radians.
        times
            (B, R), the steps after which each sample is read, in place of ``readout_steps``: rising, -1 for never.

        Returns
        -------
        tuple
            Readouts (B, R, H, Q, K), and a tape for :meth:`pull_back`.

        Raises
        ------
        CircuitError
            If an array does not fit.
        """
        self.check_shapes(angles, weights, queries)
        if len(angles) == 0:
            shape = (0, len(self.readout_steps), self.registers, self.queries, self.readout.size)
            return np.zeros(shape, angles.dtype), _NoSamples(angles, weights, queries)
        if times is None:
            return self.execution.forward(angles, weights, queries)
        if np.shape(times) != (len(angles), len(self.readout_steps)):
            raise _misfit("times", times, len(angles), len(self.readout_steps))
        return self.execution.forward(angles, weights, queries, times)

    def pull_back(self, tape: Any, cotangent: np.ndarray) -> Gradients:
        """Carry the gradient of readouts back to what they were computed from.

        Parameters
        ----------
        tape
            Of the call of :meth:`run`.
        cotangent
            dL/dy (B, R, H, Q, K).

        Returns
        -------
        Gradients
            Of inputs (B, T, H, P), weights (H, W) and queries (B, R, H, Q, A), for each use of a query one.
        """
        if isinstance(tape, _NoSamples):
            queries = np.zeros((*cotangent.shape[:4], self.memory.num_query_angles))
            return Gradients(np.zeros(tape.angles.shape), np.zeros(tape.weights.shape), queries)
        return self.execution.backward(tape, cotangent)

    def in_double(self) -> MemoryNetwork:
        """Compute in double precision.

        Returns
        -------
        MemoryNetwork
            The same network on the exact engine, or itself where it runs so already.
        """
        if self._double is None:
            execution = self.execution.in_double()
            self._double = self if execution is self.execution else copy(self)
            self._double.execution = execution
        return self._double

    def on_circuit(self, memory: MemoryCircuit) -> MemoryNetwork:
        """Replace the circuit.

        Parameters
        ----------
        memory
            Has the same parameters and qubits, such as the same circuit with errors in it.

        Returns
        -------
        MemoryNetwork
            Of that circuit, run in the same way.
        """
        network = copy(self)
        network.memory, network._double = memory, None
        network.execution = self.execution.on_circuit(memory)
        return network

    def split_inputs(self, inputs: Any) -> tuple[Any, Any]:
        """Split flat inputs.

        Parameters
        ----------
        inputs
            (B, num_inputs), an array or a tensor.

        Returns
        -------
        tuple
            Angles (B, T, H, P) and queries (B, 1, H, Q, A).
        """
        boundary = self.steps * self.registers * self.memory.num_inputs
        samples = len(inputs)
        angles = inputs[:, :boundary].reshape(samples, self.steps, self.registers, self.memory.num_inputs)
        queries = (samples, 1, self.registers, self.queries, self.memory.num_query_angles)
        return angles, inputs[:, boundary:].reshape(queries)

    def split_weights(self, weights: Any) -> Any:
        """Shape flat weights.

        Parameters
        ----------
        weights
            (num_weights,), an array or a tensor.

        Returns
        -------
        Any
            (H, W).
        """
        return weights.reshape(self.registers, self.memory.num_weights)

    def check_shapes(self, angles: Any, weights: Any, queries: Any) -> None:
        """Check the shapes of arrays or tensors.

        Parameters
        ----------
        angles, weights, queries
            As in :meth:`run`.

        Raises
        ------
        CircuitError
            If one does not fit.
        """
        memory = self.memory
        samples, readings = angles.shape[:1], len(self.readout_steps)
        of_angles = self.steps, self.registers, memory.num_inputs
        of_weights = self.registers, memory.num_weights
        of_queries = self.registers, self.queries, memory.num_query_angles
        if angles.shape != (*samples, *of_angles):
            raise _misfit("angles", angles, *(samples or ["samples"]), *of_angles)
        if weights.shape != of_weights:
            raise _misfit("weights", weights, *of_weights)
        each = queries.shape[:2]
        if queries.shape[2:] != of_queries or each[0] not in (1, *samples) or each[1] not in (1, readings):
            raise _misfit("queries", queries, _or_one(*samples), _or_one(readings), *of_queries)

    def _forward(self, input_data: np.ndarray | None, weights: np.ndarray | None) -> np.ndarray:
        values, _ = self.run(*self._arguments(input_data, weights))
        return values.reshape(len(values), *self.output_shape)

    def _backward(
        self, input_data: np.ndarray | None, weights: np.ndarray | None
    ) -> tuple[np.ndarray | None, np.ndarray]:
        angles, theta, queries = self._arguments(input_data, weights)
        (outputs,) = self.output_shape
        inputs = np.empty((len(angles), outputs, self.num_inputs))
        theta_jacobian = np.empty((len(angles), outputs, self.num_weights))
        for sample in range(len(angles)):
            values, tape = self.run(angles[sample : sample + 1], theta, queries[sample : sample + 1])
            for k, unit in enumerate(np.eye(outputs)):
                gradients = self.pull_back(tape, unit.reshape(values.shape))
                of_queries = gradients.queries.sum(axis=1)
                inputs[sample, k] = np.concatenate([gradients.inputs.ravel(), of_queries.ravel()])
                theta_jacobian[sample, k] = gradients.weights.ravel()
        return inputs if self.input_gradients else None, theta_jacobian

    def _arguments(
        self, input_data: np.ndarray | None, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Without inputs, or without weights, qiskit-machine-learning passes None.
        angles, queries = self.split_inputs(np.empty((1, 0)) if input_data is None else input_data)
        return angles, self.split_weights(np.empty(0) if weights is None else weights), queries


@dataclass(frozen=True)
class _NoSamples:
    """The arguments of a call without samples."""

    angles: np.ndarray
    weights: np.ndarray
    queries: np.ndarray


def _or_one(size: int) -> str:
    return " or ".join(map(str, sorted({1, size})))


def _misfit(name: str, array: Any, *allowed: int | str) -> CircuitError:
    return CircuitError(f"{name} must be ({', '.join(map(str, allowed))}), not {tuple(array.shape)}")
