"""A V2 estimator on the exact engine: exact expectation values of any circuit of unitary gates, many at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveJob, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from qlam_qiskit.network.expectations import (
    ExpectationCircuit,
    PauliSum,
    check_dtype,
    compiled,
    pauli_sum,
    plan_readouts,
)


class AdjointEstimator(BaseEstimatorV2):
    """Exact expectation values of circuits with gates on up to 16 qubits; standard deviations are 0.

    Final measurements are left out, and resets of qubits that are in the state 0 still. A PauliEvolutionGate of terms
    that do not commute is the product formula that its ``synthesis`` writes, as on a device.

    All parameter sets of a circuit run together, in however many PUBs they come, and so do the observables of each set.
    Circuits may be laid out on a larger device: idle qubits are left out.

    Parameters
    ----------
    dtype
        "float64" or "float32", the precision of the states; ConfigurationError for anything else.
    """

    def __init__(self, *, dtype: str = "float64") -> None:
        self._dtype = check_dtype(dtype)

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Estimate PUBs.

        Parameters
        ----------
        pubs
            Circuits with observables and parameter values (radians), as any V2 estimator takes them.
        precision
            Noted in the metadata; results are exact, whatever is asked for.

        Returns
        -------
        PrimitiveJob
            Its result has ``evs``, and ``stds`` of 0. It raises CircuitError for a circuit that holds anything but
            unitary gates, or is too large.
        """
        job = PrimitiveJob(self._run, [EstimatorPub.coerce(pub, precision) for pub in pubs])
        job._submit()
        return job

    def _run(self, pubs: list[EstimatorPub]) -> PrimitiveResult[PubResult]:
        circuits: dict[int, ExpectationCircuit] = {}
        requests: dict[ExpectationCircuit, _Requests] = {}
        places = []
        for pub in pubs:
            if id(pub.circuit) not in circuits:
                circuits[id(pub.circuit)] = compiled(pub.circuit, self._dtype)
            circuit = circuits[id(pub.circuit)]
            places.append((circuit, requests.setdefault(circuit, _Requests()).add(pub)))
        answers = {circuit: wanted.run(circuit) for circuit, wanted in requests.items()}
        return PrimitiveResult(
            [
                _pub_result(pub, [answers[circuit][row][position] for row, position in entries])
                for pub, (circuit, entries) in zip(pubs, places, strict=True)
            ],
            metadata={"version": 2},
        )


def _pub_result(pub: EstimatorPub, values: list[float]) -> PubResult:
    evs = np.array(values, float).reshape(pub.shape)
    data = DataBin(evs=evs, stds=np.zeros(pub.shape), shape=pub.shape)
    return PubResult(
        data, metadata={"target_precision": pub.precision or 0.0, "circuit_metadata": pub.circuit.metadata}
    )


@dataclass
class _Requests:
    """What PUBs ask of one circuit: different rows of parameters, and the sums wanted of each."""

    rows: dict[bytes, np.ndarray] = field(default_factory=dict)
    sums: dict[PauliSum, int] = field(default_factory=dict)
    wanted: dict[bytes, dict[int, int]] = field(default_factory=dict)

    def add(self, pub: EstimatorPub) -> list[tuple[bytes, int]]:
        """Note what a PUB asks; returns, for each of its values, the row and the value's position among that row's."""
        rows = pub.parameter_values.as_array(pub.circuit.parameters)
        rows = rows.reshape(pub.parameter_values.size, rows.shape[-1])
        keys = [row.tobytes() for row in rows]
        self.rows.update(zip(keys, rows, strict=True))
        observables = pub.observables.sparse_observables_array().ravel()
        numbers = [self.sums.setdefault(pauli_sum(observable), len(self.sums)) for observable in observables]
        pairs = [
            np.broadcast_to(np.arange(part.size).reshape(part.shape), pub.shape).ravel().tolist()
            for part in (pub.parameter_values, pub.observables)
        ]
        places = []
        for row, observable in zip(*pairs, strict=True):
            wanted = self.wanted.setdefault(keys[row], {})
            places.append((keys[row], wanted.setdefault(numbers[observable], len(wanted))))
        return places

    def run(self, circuit: ExpectationCircuit) -> dict[bytes, np.ndarray]:
        """Return the values of every row."""
        if not self.wanted:
            return {}
        sums = list(self.sums)
        sets = {numbers: tuple(sums[number] for number in numbers) for numbers in map(tuple, self.wanted.values())}
        readouts = {numbers: plan_readouts(chosen, circuit.qubits) for numbers, chosen in sets.items()}
        rows = np.stack([self.rows[key] for key in self.wanted])
        values = circuit.expectations(rows, [readouts[tuple(numbers)] for numbers in self.wanted.values()])
        return dict(zip(self.wanted, values, strict=True))
