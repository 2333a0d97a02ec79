"""Turns a name of the backend registry into an execution of a memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from qlam_qiskit.backends import BackendSpec, OpenBackend, open_backend
from qlam_qiskit.engine import Readout
from qlam_qiskit.network.execution import ExactExecution, Execution
from qlam_qiskit.network.primitives import PrimitiveExecution
from qlam_qiskit.template import MemoryCircuit

ExecutionFactory = Callable[[MemoryCircuit, Readout, int, tuple[int, ...]], Execution]


@dataclass
class BackendExecutions:
    """Makes the executions of a model's memories on one backend, which it opens once.

    ``shots`` overrides the registry's; ``seed`` fixes what the backend and the gradient draw.
    """

    spec: BackendSpec
    shots: int | None = None
    seed: int | None = None
    precision: str | None = None
    _backend: OpenBackend | None = field(default=None, init=False)

    def __call__(
        self, memory: MemoryCircuit, readout: Readout, steps: int, readout_steps: tuple[int, ...]
    ) -> Execution:
        """Make an execution of ``memory`` over ``steps`` steps, read after ``readout_steps``."""
        if self.spec.kind == "exact":
            precision = self.precision or self.spec.precision
            return ExactExecution.of(memory, readout, readout_steps, precision=precision, threads=self.spec.threads)
        if self._backend is None:
            self._backend = open_backend(self.spec, shots=self.shots, seed=self.seed)
        return PrimitiveExecution(
            memory,
            readout,
            self._backend,
            steps=steps,
            readout_steps=readout_steps,
            gradient=self.spec.gradient,
            seed=self.seed,
        )

    @property
    def used_shots(self) -> int | None:
        """Shots of each circuit execution; None where expectation values are exact."""
        return None if self._backend is None else self._backend.shots

    def random_states(self) -> list[dict]:
        """The states of the random generators that executions draw from, as JSON, for checkpoints."""
        return [] if self._backend is None else [self._backend.rng.bit_generator.state]
