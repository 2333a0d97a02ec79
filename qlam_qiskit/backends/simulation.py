"""Aer as the registry's kinds need it: exact estimates, fresh seeds for every run, noise of active qubits.

A device has 133 qubits and a memory circuit uses six of them. Building the noise model of the whole device
takes seconds and carrying it through every run more, so :class:`DeviceSimulator` cuts the device down to the
qubits that a circuit touches before it simulates. Fake devices' noise is a best case: there is no crosstalk
and no drift in it.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.converters import circuit_to_dag, dag_to_circuit
from qiskit.primitives import BackendSamplerV2, BaseEstimatorV2, BaseSamplerV2
from qiskit.primitives.containers import DataBin, PrimitiveResult, PubResult, SamplerPubLike, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.primitives.primitive_job import PrimitiveJob
from qiskit.providers import BackendV2, JobStatus, JobV1, Options
from qiskit.result import Result
from qiskit.result.models import ExperimentResult
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_aer.primitives import EstimatorV2, SamplerV2

from qlam_qiskit.backends.mid_circuit import FASTER, RESETS, final_measurements, is_open, measurements
from qlam_qiskit.backends.open_circuits import OpenNoise
from qlam_qiskit.backends.targets import part_of_target
from qlam_qiskit.channels import is_channel
from qlam_qiskit.errors import BackendError

# Beyond this many qubits a density matrix outgrows the processor's cache, and soon the memory.
_DENSITY_MATRIX_QUBITS = 12


class DeviceSimulator(BackendV2):
    """A device as Aer simulates it: the device's target, the noise of its calibration, ISA circuits only.

    With method ``automatic`` a circuit of k active qubits runs as a density matrix when 2^k is at most the
    number of shots (a density matrix costs 4^k, trajectories cost 2^k for every shot) and k at most 12.

    Circuits that reset qubits, or measure them on the way, are scheduled, so that qubits relax while they wait for a
    reset; all others are run as they are, and their noise is that of their gates and readouts alone. Those that measure
    on the way are to be given to :meth:`sample`, which knows their readout errors.
    """

    def __init__(self, device: BackendV2, method: str = "automatic") -> None:
        super().__init__(name=f"aer({device.name})")
        self.device = device
        self._method = method
        self._simulators: dict[tuple[int, ...], AerSimulator] = {}
        self._noise: dict[tuple[int, ...], OpenNoise] = {}

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024)

    @property
    def target(self) -> Target:
        """The device's own target, calibration included."""
        return self.device.target

    @property
    def max_circuits(self) -> None:
        """None: any number of circuits in one run."""
        return

    def run(
        self,
        run_input: QuantumCircuit | Sequence[QuantumCircuit],
        *,
        shots: int = 1024,
        memory: bool = False,
        seed_simulator: int | None = None,
    ) -> JobV1:
        """Run bound ISA circuits, ``shots`` times each, with the noise of the qubits that they touch."""
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        reduced = []
        for index, circuit in enumerate(circuits):
            qubits, small = _active_part(circuit)
            groups[qubits].append(index)
            if FASTER["measure"] in small.count_ops():
                raise BackendError(f"{self.name} runs circuits with {FASTER['measure']} through its sampler only")
            reduced.append(self._open_noise(qubits).written(small) if _resets(small) else small)
        rng = np.random.default_rng(seed_simulator)
        results: list[ExperimentResult | None] = [None] * len(circuits)
        for qubits, members in groups.items():
            ran = self._simulator(qubits).run(
                [reduced[index] for index in members],
                shots=shots,
                memory=memory,
                seed_simulator=_seed(rng),
                method=self._choose_method(len(qubits), shots),
            )
            for index, result in zip(members, _succeeded(ran.result()), strict=True):
                results[index] = result
        return _FinishedJob(self, Result(backend_name=self.name, success=True, results=results))

    def sample(self, pub: SamplerPub, seed: int) -> SamplerPubResult:
        """Draw the bits of an open ISA circuit for all rows of its values; it is prepared once for all of them."""
        qubits, small = _active_part(pub.circuit)
        noise, rng = self._open_noise(qubits), np.random.default_rng(seed)
        last = len(list(final_measurements(small)))
        # Measurements on the way are drawn shot by shot: there a density matrix only costs more.
        alone = len(measurements(small)) == last
        method = self._choose_method(len(qubits), pub.shots) if alone else "statevector"
        simulator = AerSimulator(
            noise_model=noise.gates,
            max_parallel_experiments=0,
            method=self._method if self._method != "automatic" else method,
        )
        sampler = SamplerV2.from_backend(simulator, seed=_seed(rng))
        written = SamplerPub(noise.written(small), pub.parameter_values, pub.shots)
        drawn = sampler.run([written]).result()[0].data
        bits = {name: drawn[name] for name in drawn}
        noise.misread(small, bits, rng)
        return SamplerPubResult(DataBin(**bits, shape=pub.shape), {"circuit_metadata": pub.circuit.metadata or {}})

    def _choose_method(self, qubits: int, shots: int) -> str:
        if self._method != "automatic":
            return self._method
        small = qubits <= _DENSITY_MATRIX_QUBITS and 2**qubits <= shots
        return "density_matrix" if small else "statevector"

    def _open_noise(self, qubits: tuple[int, ...]) -> OpenNoise:
        if qubits not in self._noise:
            target = part_of_target(self.device.target, qubits)
            self._noise[qubits] = OpenNoise(target, NoiseModel.from_backend(Described(target)))
        return self._noise[qubits]

    def _simulator(self, qubits: tuple[int, ...]) -> AerSimulator:
        if qubits not in self._simulators:
            noise = NoiseModel.from_backend(Described(part_of_target(self.device.target, qubits)))
            self._simulators[qubits] = AerSimulator(noise_model=noise, max_parallel_experiments=0)
        return self._simulators[qubits]


class _FinishedJob(JobV1):
    """A job that ran while it was made."""

    def __init__(self, backend: BackendV2, result: Result) -> None:
        super().__init__(backend, str(uuid.uuid4()))
        self._result = result

    def submit(self) -> None:
        """Do nothing: it has run."""

    def result(self) -> Result:
        return self._result

    def status(self) -> JobStatus:
        return JobStatus.DONE


def _succeeded(result: Result) -> list[ExperimentResult]:
    if not result.success:
        raise BackendError(f"Aer could not simulate the circuits: {result.status}")
    return result.results


def _active_part(circuit: QuantumCircuit) -> tuple[tuple[int, ...], QuantumCircuit]:
    """Cut a circuit down to the qubits that it touches; also return which these are."""
    dag = circuit_to_dag(circuit)
    # Barriers order the device's pulses; here they would only make idle qubits look busy.
    dag.remove_all_ops_named("barrier")
    idle = set(dag.idle_wires())
    active = tuple(index for index, qubit in enumerate(dag.qubits) if qubit not in idle) or (0,)
    dag.remove_qubits(*(qubit for index, qubit in enumerate(dag.qubits) if index not in active))
    return active, dag_to_circuit(dag, copy_operations=False)


def _resets(circuit: QuantumCircuit) -> bool:
    return not circuit.has_control_flow_op() and bool(RESETS & circuit.count_ops().keys())


class Described(BackendV2):
    """A target as the backend that a noise model is read from; it runs nothing."""

    def __init__(self, target: Target) -> None:
        super().__init__(name="described")
        self._target = target

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    @property
    def target(self) -> Target:
        """The target that was given."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """None: it runs none."""
        return

    def run(self, run_input: Any, **options: Any) -> None:
        """Refuse to."""
        raise NotImplementedError("a described device has noise; it runs nothing")


class DeviceSampler(BaseSamplerV2):
    """A sampler on a simulated device: open circuits are prepared once for all rows, others run as they are."""

    def __init__(self, simulator: DeviceSimulator, shots: int, seed: int) -> None:
        self._simulator, self._shots, self._seed = simulator, shots, seed

    def run(
        self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None
    ) -> PrimitiveJob[PrimitiveResult[SamplerPubResult]]:
        """Draw ``shots`` bitstrings (a pub's own, else these, else the default) for every pub and binding."""
        coerced = [SamplerPub.coerce(pub, shots or self._shots) for pub in pubs]
        job = PrimitiveJob(self._run, coerced)
        job._submit()
        return job

    def _run(self, pubs: Sequence[SamplerPub]) -> PrimitiveResult[SamplerPubResult]:
        own = {index for index, pub in enumerate(pubs) if is_open(pub.circuit)}
        others = [pub for index, pub in enumerate(pubs) if index not in own]
        options = {"default_shots": self._shots, "seed_simulator": self._seed}
        ran = iter(BackendSamplerV2(backend=self._simulator, options=options).run(others).result() if others else ())
        rng = np.random.default_rng(self._seed)
        results = [
            self._simulator.sample(pub, _seed(rng)) if index in own else next(ran) for index, pub in enumerate(pubs)
        ]
        return PrimitiveResult(results, metadata={"version": 2})


class FreshSampler(BaseSamplerV2):
    """A sampler with a new seed for every run: a seeded experiment repeats, but its runs are independent."""

    def __init__(self, make: Callable[[int], BaseSamplerV2], rng: np.random.Generator) -> None:
        self._make = make
        self._rng = rng

    def run(
        self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None
    ) -> PrimitiveJob[PrimitiveResult[SamplerPubResult]]:
        """Draw ``shots`` bitstrings (a pub's own, else these, else the default) for every pub and binding."""
        return self._make(_seed(self._rng)).run(pubs, shots=shots)


class FreshEstimator(BaseEstimatorV2):
    """An estimator with a new seed for every run, as :class:`FreshSampler`."""

    def __init__(self, make: Callable[[int], BaseEstimatorV2], rng: np.random.Generator) -> None:
        self._make = make
        self._rng = rng

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Estimate every pub to ``precision`` (a pub's own, else this, else the default's shots)."""
        return self._make(_seed(self._rng)).run(pubs, precision=precision)


class ExactEstimator(EstimatorV2):
    """Aer's estimator without sampling noise, whatever precision a caller asks for.

    Callers such as EstimatorQNN ask for a default precision, which Aer would meet by adding noise; the exact
    value meets every precision, and two equal rows of a batch give equal values.
    """

    def run(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> PrimitiveJob[PrimitiveResult]:
        """Estimate every pub exactly; ``precision`` is accepted and always met."""
        coerced = [EstimatorPub.coerce(pub, precision=0.0) for pub in pubs]
        exact = [EstimatorPub(pub.circuit, pub.observables, pub.parameter_values, precision=0.0) for pub in coerced]
        if self._backend.options.method == "automatic" and any(_leaves_mixed_states(pub.circuit) for pub in exact):
            mixed = AerSimulator(method="density_matrix", max_parallel_experiments=0)
            return EstimatorV2.from_backend(mixed).run(exact, precision=0.0)
        return super().run(exact, precision=0.0)


def _leaves_mixed_states(circuit: QuantumCircuit) -> bool:
    """Whether a state vector would have to be drawn at random."""
    return any(is_channel(instruction.operation) for instruction in circuit.data)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
