"""Aer as the registry's kinds need it: exact estimates, fresh seeds for every run, noise of active qubits.

A device has 133 qubits and a memory circuit uses six of them. Building the noise model of the whole device
takes seconds and carrying it through every run more, so :class:`DeviceSimulator` cuts the device down to the
qubits that a circuit touches before it simulates. Fake devices' noise is a best case: there is no crosstalk
and no drift in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.converters import circuit_to_dag, dag_to_circuit
from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.primitives.containers import PrimitiveResult, PubResult, SamplerPubLike, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike
from qiskit.primitives.primitive_job import PrimitiveJob
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_aer.jobs import AerJob
from qiskit_aer.noise import NoiseModel
from qiskit_aer.primitives import EstimatorV2

from qlam_qiskit.backends.targets import part_of_target

# Beyond this many qubits a density matrix outgrows the processor's cache, and soon the memory.
_DENSITY_MATRIX_QUBITS = 12


class DeviceSimulator(BackendV2):
    """A device as Aer simulates it: the device's target, the noise of its calibration, ISA circuits only.

    With method ``automatic`` a circuit of k active qubits runs as a density matrix when 2^k is at most the
    number of shots (a density matrix costs 4^k, trajectories cost 2^k for every shot) and k at most 12.
    """

    def __init__(self, device: BackendV2, method: str = "automatic") -> None:
        super().__init__(name=f"aer({device.name})")
        self.device = device
        self._method = method
        self._simulators: dict[tuple[int, ...], AerSimulator] = {}

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
    ) -> AerJob:
        """Run bound ISA circuits, ``shots`` times each, with the noise of the qubits that they touch."""
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        dags = [circuit_to_dag(circuit) for circuit in circuits]
        active: set[int] = set()
        for dag in dags:
            # Barriers order the device's pulses; here they would only make idle qubits look busy.
            dag.remove_all_ops_named("barrier")
            idle = set(dag.idle_wires())
            active.update(index for index, qubit in enumerate(dag.qubits) if qubit not in idle)
        kept = tuple(sorted(active)) or (0,)
        reduced = []
        for dag in dags:
            dag.remove_qubits(*(qubit for index, qubit in enumerate(dag.qubits) if index not in active))
            reduced.append(dag_to_circuit(dag, copy_operations=False))
        return self._simulator(kept).run(
            reduced,
            shots=shots,
            memory=memory,
            seed_simulator=seed_simulator,
            method=self._choose_method(len(kept), shots),
        )

    def _choose_method(self, qubits: int, shots: int) -> str:
        if self._method != "automatic":
            return self._method
        small = qubits <= _DENSITY_MATRIX_QUBITS and 2**qubits <= shots
        return "density_matrix" if small else "statevector"

    def _simulator(self, qubits: tuple[int, ...]) -> AerSimulator:
        if qubits not in self._simulators:
            noise = NoiseModel.from_backend(_Part(self.device, qubits))
            self._simulators[qubits] = AerSimulator(noise_model=noise, max_parallel_experiments=0)
        return self._simulators[qubits]


class _Part(BackendV2):
    """A device reduced to some of its qubits, renumbered from 0 in their order, with their calibration."""

    def __init__(self, device: BackendV2, qubits: tuple[int, ...]) -> None:
        super().__init__(name=f"part of {device.name}")
        self._target = part_of_target(device.target, qubits)

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return

    def run(self, run_input: Any, **options: Any) -> None:
        raise NotImplementedError("a part of a device describes noise; it runs nothing")


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
        return super().run(exact, precision=0.0)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
