"""The gradient of expectation values by adjoint differentiation, for the neural networks of qiskit-machine-learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.primitives.containers.observables_array import ObservableLike
from qiskit.providers import Options
from qiskit_machine_learning.gradients import BaseEstimatorGradient, EstimatorGradientResult

from qlam_qiskit.network.adjoint_estimator import AdjointEstimator
from qlam_qiskit.network.expectations import ExpectationCircuit, check_dtype, compiled, pauli_sum, plan_readouts


class AdjointEstimatorGradient(BaseEstimatorGradient):
    """Exact gradients of expectation values, at the cost of a few runs of the circuit however many parameters it has.

    Takes circuits with unitary gates on up to 16 qubits, any differentiable expressions of parameters as angles, and
    observables with real coefficients. All parameter sets of a circuit run together. Nothing is sent to a device: on
    one, or beyond 16 qubits, use ParamShiftEstimatorGradient. Source: Jones and Gacon, arXiv 2009.02823.

    Parameters
    ----------
    dtype
        "float64" or "float32", the precision of the states; ConfigurationError for anything else.
    """

    def __init__(self, *, dtype: str = "float64") -> None:
        self._dtype = check_dtype(dtype)
        super().__init__(AdjointEstimator(dtype=dtype))

    def _run(
        self,
        circuits: Sequence[QuantumCircuit],
        observables: Sequence[ObservableLike],
        parameter_values: Sequence[Sequence[float]] | np.ndarray,
        parameters: Sequence[Sequence[Parameter]],
        **options: Any,
    ) -> EstimatorGradientResult:
        # A call repeats the same few objects: look at each only once.
        circuits, observables, parameters = list(circuits), list(observables), list(parameters)
        exact = {key: compiled(circuit, self._dtype) for key, circuit in _by_id(circuits)}
        sums = {key: (pauli_sum(observable),) for key, observable in _by_id(observables)}
        order = {key: {p: column for column, p in enumerate(circuit.parameters)} for key, circuit in _by_id(circuits)}
        columns: dict[tuple[int, int], list[int]] = {}
        places: dict[ExpectationCircuit, list[int]] = {}
        for k, circuit in enumerate(circuits):
            places.setdefault(exact[id(circuit)], []).append(k)
            key = id(circuit), id(parameters[k])
            if key not in columns:
                columns[key] = [order[id(circuit)][parameter] for parameter in parameters[k]]
        gradients = [np.empty(0)] * len(circuits)
        for circuit, mine in places.items():
            rows = np.array([parameter_values[k] for k in mine], float)
            readouts = [plan_readouts(sums[id(observables[k])], circuit.qubits) for k in mine]
            for k, gradient in zip(mine, circuit.gradients(rows, readouts), strict=True):
                gradients[k] = gradient[columns[id(circuits[k]), id(parameters[k])]]
        metadata = [{"parameters": chosen} for chosen in parameters]
        return EstimatorGradientResult(gradients=gradients, metadata=metadata, options=Options(**options))


def _by_id(things: Sequence[Any]) -> list[tuple[int, Any]]:
    return list({id(thing): thing for thing in things}.items())
