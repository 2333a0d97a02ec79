"""The frameworks compared, each in the fastest forms found for it.

A framework's module has ``prepare(problem, **options)``, which returns two functions: one runs a forward and a backward
pass and returns once its numbers are there, the other turns what that returned into an Answer.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from benchmarks.problem import Answer, Problem

Pass = tuple[Callable[[], Any], Callable[[Any], Answer]]


@dataclass(frozen=True)
class Framework:
    """A module of this package with options for it.

    ``needs`` maps modules that must be importable to the distributions that have them; ``environment`` holds variables
    that its process starts with; ``samples`` is how many of a batch are computed where all would take minutes: its
    times are then scaled up linearly.
    """

    title: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    samples: int | None = None

    def missing(self) -> list[str]:
        """Name the distributions that are not installed."""
        return [package for module, package in self.needs.items() if importlib.util.find_spec(module) is None]

    def prepare(self, problem: Problem) -> Pass:
        """Import the framework, and lay out circuit and arrays in its own types."""
        return import_module(f"benchmarks.frameworks.{self.module}").prepare(problem, **self.options)


def cores() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_JAX = {"jax": "jax"}
_ON_CPU = {"JAX_PLATFORMS": "cpu"}
# XLA runs the small loops of a step on one thread; as many devices as cores keep all of them busy.
_ALL_CORES = {
    **_ON_CPU,
    "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={cores()}".strip(),
}

FRAMEWORKS = {
    "ours": Framework("qlam-qiskit", "ours"),
    "reference": Framework("qlam-qiskit, float64", "ours", {"precision": "float64"}),
    "tensorcircuit": Framework(
        "TensorCircuit-NG on JAX: jit, vmap, scan",
        "tensorcircuit_jax",
        needs={"tensorcircuit": "tensorcircuit-ng", **_JAX},
        environment=_ON_CPU,
    ),
    "tensorcircuit_tuned": Framework(
        "TensorCircuit-NG on JAX, tuned by hand",
        "tensorcircuit_jax",
        {"tuned": True},
        {"tensorcircuit": "tensorcircuit-ng", "cotengra": "cotengra", **_JAX},
        _ALL_CORES,
    ),
    "tensorcircuit_mixed": Framework(
        "TensorCircuit-NG's DMCircuit on JAX: jit, vmap, scan",
        "tensorcircuit_jax",
        needs={"tensorcircuit": "tensorcircuit-ng", **_JAX},
        environment=_ON_CPU,
    ),
    "pennylane_mixed": Framework(
        "PennyLane default.mixed on torch: backprop, broadcasting",
        "pennylane_torch",
        {"device": "default.mixed"},
        {"pennylane": "pennylane"},
    ),
    "pennylane_torch": Framework(
        "PennyLane default.qubit on torch: backprop, broadcasting", "pennylane_torch", needs={"pennylane": "pennylane"}
    ),
    "pennylane_jax": Framework(
        "PennyLane default.qubit on JAX, tuned by hand",
        "pennylane_jax",
        needs={"pennylane": "pennylane", **_JAX},
        environment=_ALL_CORES,
    ),
    "pennylane_lightning": Framework(
        "PennyLane lightning.qubit: adjoint",
        "pennylane_torch",
        {"device": "lightning.qubit"},
        {"pennylane": "pennylane", "pennylane_lightning": "pennylane-lightning"},
        {"OMP_NUM_THREADS": "1"},  # faster than more on registers this small
        samples=4,
    ),
    "qiskit_estimator": Framework(
        "TorchConnector, EstimatorQNN on Aer: parameter shift",
        "qiskit_estimator",
        needs={"qiskit_machine_learning": "qiskit-machine-learning", "qiskit_aer": "qiskit-aer"},
    ),
    "qiskit_adjoint": Framework(
        "TorchConnector, EstimatorQNN on Aer: our AdjointEstimatorGradient",
        "qiskit_estimator",
        {"adjoint": True},
        {"qiskit_machine_learning": "qiskit-machine-learning", "qiskit_aer": "qiskit-aer"},
    ),
}
