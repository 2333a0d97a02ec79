"""Turns a name of the backend registry into an execution of a memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from qlam_qiskit.backends import BackendSpec, OpenBackend, fake_device, open_backend
from qlam_qiskit.configuration import whole
from qlam_qiskit.engine import Readout
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network.execution import ExactExecution, Execution
from qlam_qiskit.network.primitives import PrimitiveExecution
from qlam_qiskit.planning import noisy_memory

ExecutionFactory = Callable[[MemoryCircuit, Readout, int, tuple[int, ...]], Execution]


@dataclass
class BackendExecutions:
    """Makes the executions of a model's memories on one backend, which it opens once.

    ``shots`` overrides the registry's; ``seed`` fixes what the backend and the gradient draw.
    """

    spec: BackendSpec
    shots: int | None = None
    seed: int | None = None
    _backend: OpenBackend | None = field(default=None, init=False)
    _directions: np.random.Generator = field(init=False)
    _draws: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        if self.shots is not None:
            whole("shots", self.shots)
        if self.seed is not None:
            whole("seed", self.seed, 0)
        self._directions = np.random.default_rng(self.seed)
        self._draws = np.random.default_rng(self.seed)

    def __call__(
        self, memory: MemoryCircuit, readout: Readout, steps: int, readout_steps: tuple[int, ...]
    ) -> Execution:
        """Make an execution of ``memory`` over ``steps`` steps, read after ``readout_steps``."""
        if self.spec.kind == "exact":
            if self.spec.noise is not None:
                emissions = readout.kind == "emissions"
                memory = noisy_memory(memory, fake_device(self.spec.noise), emissions=emissions)
            return ExactExecution.of(
                memory,
                readout,
                readout_steps,
                shots=self.used_shots,
                rng=self._draws,
                device=self.spec.device,
                precision=self.spec.precision,
                threads=self.spec.threads,
            )
        if self._backend is None:
            self._backend = open_backend(self.spec, shots=self.shots, seed=self.seed)
        return PrimitiveExecution(
            memory,
            readout,
            self._backend,
            steps=steps,
            readout_steps=readout_steps,
            gradient=self.spec.gradient,
            rng=self._directions,
        )

    @property
    def used_shots(self) -> int | None:
        """Shots of each circuit execution; None where expectation values are exact."""
        if self.spec.kind == "exact":
            return self.shots or self.spec.shots
        return None if self._backend is None else self._backend.shots

    def generators(self) -> list[np.random.Generator]:
        """List the random generators that executions draw from, whose states a checkpoint keeps."""
        if self.spec.kind == "exact":
            return [] if self.used_shots is None else [self._draws]
        if self._backend is None:
            return []
        return [self._backend.rng, self._directions]
