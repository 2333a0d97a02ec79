"""A backend that is ready to run: one class for each kind, alike in what they can do.

Samplers and estimators are Qiskit's V2 primitives. Random seeds are drawn from one generator per opened
backend: the same seed repeats the same sequence of runs, and no two runs of a sequence share their
randomness.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from qlam_qiskit.backends.specs import BackendSpec

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
    from qiskit.providers import BackendV2
    from qiskit.transpiler import PassManager, Target

_DEFAULT_SHOTS = 1024

# Aer's compiled code binds free angles of these gates wrongly: given several rows of values, it returns one result, or
# silently those of other angles (seen with qiskit-aer 0.18). Their definitions are made of gates that it binds rightly.
_MISBOUND = {"cp", "crx", "cry", "crz", "cu1", "cu2", "cu3", "mcp", "mcphase"}
_MISBOUND |= {"mcr", "mcrx", "mcry", "mcrz", "mcu", "mcu1", "mcu2", "mcu3"}


@dataclass(frozen=True)
class OpenBackend:
    """A backend ready to run circuits; the base is any Qiskit ``BackendV2``.

    Attributes
    ----------
    name
        Its name in the registry.
    spec
        Its entry in the registry.
    backend
        The BackendV2 behind it; circuits are transpiled for its target.
    shots
        Shots of one circuit execution; None means exact expectation values.
    """

    name: str
    spec: BackendSpec
    backend: BackendV2
    shots: int | None
    rng: np.random.Generator = field(default_factory=np.random.default_rng, repr=False)

    def sampler(self) -> BaseSamplerV2:
        """Return a sampler that draws ``shots`` bitstrings by default (1,024 where ``shots`` is None)."""
        from qiskit.primitives import BackendSamplerV2

        from qlam_qiskit.backends.simulation import FreshSampler

        shots = self.shots or _DEFAULT_SHOTS
        return FreshSampler(
            lambda seed: BackendSamplerV2(
                backend=self.backend, options={"default_shots": shots, "seed_simulator": seed}
            ),
            self.rng,
        )

    def estimator(self) -> BaseEstimatorV2:
        """Return an estimator that draws ``shots`` bitstrings for each measurement basis by default."""
        from qiskit.primitives import BackendEstimatorV2

        from qlam_qiskit.backends.simulation import FreshEstimator

        # The estimator rounds 1 / precision^2 up to shots; a hair above the exact precision keeps rounding
        # errors from adding one.
        precision = (self.shots or _DEFAULT_SHOTS) ** -0.5 * (1 + 1e-12)
        return FreshEstimator(
            lambda seed: BackendEstimatorV2(
                backend=self.backend, options={"default_precision": precision, "seed_simulator": seed}
            ),
            self.rng,
        )

    def isa(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Transpile ``circuit`` for the device, parameters left free; ``.layout`` has its qubits' places."""
        return self._transpiler.run(circuit)

    def allowance_s(self) -> float | None:
        """Return the seconds of QPU time that may still be used; None where nothing limits them."""
        return None

    def close(self) -> None:
        """Give back what is held at a service; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _transpiler(self) -> PassManager:
        from qiskit.transpiler import generate_preset_pass_manager

        return generate_preset_pass_manager(3, backend=self.backend, seed_transpiler=0)


@dataclass(frozen=True)
class SimulatedDevice(OpenBackend):
    """A device that is simulated here with the noise of its calibration."""

    def sampler(self) -> BaseSamplerV2:
        """Return a sampler that runs circuits with resets and mid-circuit measurements too, all rows at once."""
        from qlam_qiskit.backends.simulation import DeviceSampler, FreshSampler

        shots = self.shots or _DEFAULT_SHOTS
        return FreshSampler(lambda seed: DeviceSampler(self.backend, shots, seed), self.rng)


@dataclass(frozen=True)
class IdealAer(OpenBackend):
    """Aer without noise: exact where ``shots`` is None, and no transpiling of gates that it knows."""

    def sampler(self) -> BaseSamplerV2:
        """Return Aer's own sampler, which binds parameters in its compiled code."""
        from qiskit_aer.primitives import SamplerV2

        from qlam_qiskit.backends.simulation import FreshSampler

        shots = self.shots or _DEFAULT_SHOTS
        return FreshSampler(lambda seed: SamplerV2.from_backend(self.backend, default_shots=shots, seed=seed), self.rng)

    def estimator(self) -> BaseEstimatorV2:
        """Return an estimator: exact where ``shots`` is None, and then equal rows give equal values."""
        if self.shots is not None:
            return super().estimator()
        from qlam_qiskit.backends.simulation import ExactEstimator

        return ExactEstimator.from_backend(self.backend)

    def isa(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Return ``circuit`` itself when Aer runs all its gates, else rewritten in gates that it runs."""
        if all(name in self._target or name == "barrier" for name in circuit.count_ops()):
            return circuit
        return self._transpiler.run(circuit)

    @cached_property
    def _transpiler(self) -> PassManager:
        from qiskit.transpiler import generate_preset_pass_manager

        return generate_preset_pass_manager(0, target=self._target, seed_transpiler=0)

    @cached_property
    def _target(self) -> Target:
        from qiskit.transpiler import Target

        known = self.backend.target
        target = Target(num_qubits=known.num_qubits)
        for name in known.operation_names:
            if name not in _MISBOUND:
                target.add_instruction(known.operation_from_name(name), name=name)
        return target
