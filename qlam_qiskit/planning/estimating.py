"""Plans what an estimator of the service sends: its jobs, and how often each of its circuits is executed.

A pub is a circuit with rows of values, and strings of Z, which share one measurement basis. The service runs every row
for as many shots as the precision asks for, rounded up to whole randomizations where it twirls, once for each noise
factor where it extrapolates; and in every job once more what it learns the readout errors from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.backends import IBMSpec, OpenBackend, ServiceLimits
from qlam_qiskit.errors import PlanningError
from qlam_qiskit.planning.budget import fidelity_of
from qlam_qiskit.planning.cutting import Jobs, PlannedJob
from qlam_qiskit.planning.device import rep_delay_s
from qlam_qiskit.planning.executions import Mitigation, executions_of_row, mitigation_of, precision_shots
from qlam_qiskit.planning.layout import LaidOut
from qlam_qiskit.planning.limits import Demand, Share, demand_of, job_payload_mb, job_seconds, split_into_jobs
from qlam_qiskit.planning.tiling import Tile
from qlam_qiskit.planning.usage import usage_of

# Layers that the service learns the noise of for error cancellation and probabilistic amplification, at most: its
# documented defaults of 4 layers, 6 depths, 9 bases, 32 randomizations of 128 shots.
_LEARNING_EXECUTIONS = 4 * 6 * 9 * 32 * 128
# A circuit that only prepares and measures, as readout errors are learned from, seconds.
_READOUT_CIRCUIT_S = 5e-6


@dataclass(frozen=True)
class _Learning:
    """What a job runs besides its pubs, to learn errors from."""

    executions: int
    seconds: float


def lay_out_estimated(pubs: Sequence[EstimatorPub], opened: OpenBackend) -> list[LaidOut]:
    """Describe an estimator's pubs, whose circuits are the device's already, as they would be measured."""
    target, laid = opened.backend.target, []
    for index, pub in enumerate(pubs):
        if not pub.size:
            continue
        circuit = _measured(pub)
        qubits = tuple(circuit.find_bit(item.qubits[0]).index for item in circuit.get_instructions("measure"))
        tile = Tile(index, 0, _rows(pub), "", qubits, {})
        usage = usage_of(circuit, target, range(circuit.num_qubits))
        laid.append(LaidOut((tile,), usage, (fidelity_of(circuit, target),), given=pub))
    return laid


def estimator_jobs(laid: Sequence[LaidOut], opened: OpenBackend) -> Jobs:
    """Fill jobs up to the service's limits, as an estimator uses them up, and price them."""
    spec = opened.spec
    if not isinstance(spec, IBMSpec):
        raise PlanningError(f"backend {opened.name}: only kind ibm runs an estimator")
    mitigation = mitigation_of(spec)
    delay = rep_delay_s(opened.backend) if spec.rep_delay is None else spec.rep_delay
    growth, refusals = _payload_growth(laid, opened)
    demands = [_demand(item, spec, mitigation, delay, growth) for item in laid]
    learning = _learning(demands, laid, spec, mitigation, delay)
    limits = _left(spec.limits, learning)
    bound = None if spec.max_execution_time is None else max(1e-9, spec.max_execution_time - learning.seconds)
    shared, excesses = split_into_jobs(demands, limits, bound)
    jobs, tiles = [], []
    for shares in shared:
        pubs = tuple(_part(laid[share.pub].pub, share) for share in shares)
        jobs.append(
            PlannedJob(
                make_pubs=partial(tuple, pubs),
                executions=learning.executions
                + sum((share.last - share.first) * demands[share.pub].shots for share in shares),
                qpu_seconds=job_seconds(shares, demands) + learning.seconds,
                payload_mb=job_payload_mb(shares, demands),
            )
        )
        tiles.append(tuple((laid[share.pub].tiles[0].part(share.first, share.last),) for share in shares))
    return Jobs(tuple(jobs), tuple(tiles), (*refusals, *excesses))


def _demand(item: LaidOut, spec: IBMSpec, mitigation: Mitigation, delay: float, growth: float) -> Demand:
    pub, factors = item.pub, mitigation.noise_factors
    shots = executions_of_row(spec, precision_shots(pub.precision)) * mitigation.sampling
    base = demand_of(_as_sampled(pub, shots), item.usage.duration_s, delay)
    return Demand(
        shots=shots * len(factors),
        rows=base.rows,
        payload_mb=base.payload_mb * growth,
        row_payload_mb=base.row_payload_mb * len(factors),
        # A noise factor stretches the gates; taking it for the whole circuit is never too little.
        row_seconds=shots * sum(delay + factor * item.usage.duration_s for factor in factors),
        row_instructions=int(base.row_instructions * sum(factors)),
        row_parameters=base.row_parameters * len(factors),
    )


def _learning(
    demands: Sequence[Demand], laid: Sequence[LaidOut], spec: IBMSpec, mitigation: Mitigation, delay: float
) -> _Learning:
    executions, seconds = 0, 0.0
    if mitigation.learns_readout:
        executions = executions_of_row(spec, precision_shots(laid[0].pub.precision))
        seconds = executions * (delay + _READOUT_CIRCUIT_S)
    if mitigation.learns_layers:
        executions += _LEARNING_EXECUTIONS
        seconds += _LEARNING_EXECUTIONS * (delay + max(item.usage.duration_s for item in laid))
    return _Learning(executions, seconds)


def _left(limits: ServiceLimits, learning: _Learning) -> ServiceLimits:
    """Return what a job may hold besides what it learns from."""
    return limits.model_copy(
        update={
            "executions": max(1, limits.executions - learning.executions),
            "job_seconds": max(1e-9, limits.job_seconds - learning.seconds),
        }
    )


def _payload_growth(laid: Sequence[LaidOut], opened: OpenBackend) -> tuple[float, tuple[str, ...]]:
    """Return by what factor the client's preparation makes the largest circuit larger, and what it refuses.

    The client-side estimator sends a program with randomizations and noise factors written out; the other sends pubs.
    """
    from qlam_qiskit.backends import uses_executor

    item = max(laid, key=lambda item: item.usage.two_qubit_gates)
    alone = _part(item.pub, Share(0, 0, 1))
    plain = demand_of(_as_sampled(alone, 1), 0.0, 0.0).payload_mb
    if not uses_executor(opened.spec):
        observables = len(json.dumps(alone.observables.tolist())) / 1e6
        return 1 + observables / plain, ()
    try:
        return max(1.0, _program_mb(alone, opened) / plain), ()
    except Exception as error:
        said = " ".join(str(error).split())
        return 1.0, (f"the service's client does not take these options: {said}; generation: v2 may",)


def _program_mb(pub: EstimatorPub, opened: OpenBackend) -> float:
    """Have the client prepare a pub, and measure what it would send."""
    from qiskit_ibm_runtime.executor_estimator.prepare import prepare
    from qiskit_ibm_runtime.options_models import EstimatorOptions
    from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

    from qlam_qiskit.backends import runtime_options

    options = EstimatorOptions(**runtime_options(opened.spec, "estimator"))
    program, chosen = prepare([pub], options, backend=opened.backend)
    newest = list(QUANTUM_PROGRAM_PARAMS_CONVERTERS)[-1]
    return len(QUANTUM_PROGRAM_PARAMS_CONVERTERS[newest].encoder(program, chosen).model_dump_json()) / 1e6


def _measured(pub: EstimatorPub) -> QuantumCircuit:
    """Return the circuit with the qubits that an observable acts on measured."""
    labels = [label for terms in np.ravel(np.array(pub.observables.tolist(), dtype=object)) for label in terms]
    acted = sorted({place for label in labels for place, letter in enumerate(reversed(label)) if letter != "I"})
    if not acted:
        raise PlanningError("an observable acts on no qubit")
    circuit = pub.circuit.copy_empty_like()
    circuit.compose(pub.circuit, inplace=True)
    added = QuantumCircuit(len(acted), len(acted))
    added.measure(range(len(acted)), range(len(acted)))
    circuit.add_bits(added.clbits)
    return circuit.compose(added, qubits=acted, clbits=added.clbits)


def _as_sampled(pub: EstimatorPub, shots: int) -> SamplerPub:
    values = _values(pub)
    if not pub.circuit.num_parameters:
        return SamplerPub(pub.circuit, BindingsArray(shape=(len(values),)), shots)
    return SamplerPub.coerce((pub.circuit, values, shots))


def _part(pub: EstimatorPub, share: Share) -> EstimatorPub:
    """Return some rows of a pub, with all its observables."""
    if (share.first, share.last) == (0, _rows(pub)):
        return pub
    values = _values(pub)[share.first : share.last, None, :]
    chosen = values if pub.circuit.num_parameters else BindingsArray(shape=values.shape[:-1])
    return EstimatorPub.coerce((pub.circuit, pub.observables, chosen, pub.precision))


def _rows(pub: EstimatorPub) -> int:
    return pub.parameter_values.size


def _values(pub: EstimatorPub) -> np.ndarray:
    """Return the rows of values, (rows, parameters)."""
    return pub.parameter_values.as_array(pub.circuit.parameters).reshape(_rows(pub), -1)
