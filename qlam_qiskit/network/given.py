"""Executions on whatever a caller has: a backend's name, an entry of the registry, or an object of Qiskit's own.

Any ``BackendV2`` will do, and any V2 sampler or estimator: that is Qiskit's own currency.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2, BaseEstimatorV2, BaseSamplerV2
from qiskit.providers import BackendV2
from qiskit.transpiler import PassManager, generate_preset_pass_manager

from qlam_qiskit.backends import BackendSpec, load_registry
from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network.execution import Execution
from qlam_qiskit.network.primitives import PrimitiveExecution
from qlam_qiskit.network.selection import BackendExecutions, ExecutionFactory

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

AnyBackend: TypeAlias = str | BackendSpec | BackendV2 | BaseSamplerV2 | BaseEstimatorV2

_SHOTS = 1024


def executions_on(backend: AnyBackend, *, shots: int | None = None, seed: int | None = None) -> ExecutionFactory:
    """Return what makes the executions of a model's memories on ``backend``.

    Parameters
    ----------
    backend
        A name in the registry (``backends.yaml``), one of its entries, a Qiskit ``BackendV2``, which is sampled, or a
        V2 sampler or estimator. Circuits are transpiled for the backend, and for a primitive's backend if it tells it.
    shots
        Of each circuit execution; by default the registry's, or 1,024 on a ``BackendV2``. A primitive has its own.
    seed
        Fixes what a backend of the registry draws.

    Raises
    ------
    ConfigurationError
        For an unknown name, or an object of another kind.
    """
    if isinstance(backend, str):
        return BackendExecutions(load_registry().spec(backend), shots=shots, seed=seed)
    if isinstance(backend, BackendSpec):
        return BackendExecutions(backend, shots=shots, seed=seed)
    if isinstance(backend, BackendV2):
        given = _Given(backend, BackendSamplerV2(backend=backend, options={"default_shots": shots or _SHOTS}), None)
    elif isinstance(backend, BaseSamplerV2):
        given = _Given(_backend_of(backend), backend, None)
    elif isinstance(backend, BaseEstimatorV2):
        given = _Given(_backend_of(backend), None, backend)
    else:
        raise ConfigurationError(
            "a backend is a name in backends.yaml, an entry of it, a BackendV2, or a V2 sampler or estimator, not "
            f"{type(backend).__name__}"
        )

    def make(memory: MemoryCircuit, readout: Readout, steps: int, readout_steps: tuple[int, ...]) -> Execution:
        return PrimitiveExecution(memory, readout, given, steps=steps, readout_steps=readout_steps)

    return make


@dataclass(frozen=True)
class _Given:
    """A caller's primitive, with what a :class:`PrimitiveExecution` asks of an open backend."""

    backend: BackendV2 | None
    _sampler: BaseSamplerV2 | None
    _estimator: BaseEstimatorV2 | None
    rng: np.random.Generator = field(default_factory=np.random.default_rng, repr=False)

    @property
    def shots(self) -> int | None:
        """Not None where bitstrings are drawn; their number is the sampler's own business."""
        return _SHOTS if self._sampler is not None else None

    def sampler(self) -> BaseSamplerV2:
        return self._sampler

    def estimator(self) -> BaseEstimatorV2:
        return self._estimator

    def isa(self, circuit: QuantumCircuit) -> QuantumCircuit:
        return circuit if self.backend is None else self._transpiler.run(circuit)

    @cached_property
    def _transpiler(self) -> PassManager:
        return generate_preset_pass_manager(3, backend=self.backend, seed_transpiler=0)


def _backend_of(primitive: Any) -> BackendV2 | None:
    """Return the backend that a primitive says it runs on; Qiskit's statevector primitives have none."""
    if isinstance(primitive, BackendSamplerV2 | BackendEstimatorV2):
        return primitive.backend
    found = getattr(primitive, "backend", None) or getattr(primitive, "_backend", None)
    found = found() if callable(found) and not isinstance(found, BackendV2) else found
    return found if isinstance(found, BackendV2) else None
