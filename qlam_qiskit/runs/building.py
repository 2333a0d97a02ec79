"""Builds the model of an experiment on its data, wherever its memory runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from qlam_qiskit.baselines import Baseline, FixedSettings, ReservoirSettings, count_parameters
from qlam_qiskit.data import SequenceData
from qlam_qiskit.engine import open_device
from qlam_qiskit.errors import ConfigurationError, RunError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.network import BackendExecutions, ExecutionFactory
from qlam_qiskit.runs.experiment import AnyModelSettings
from qlam_qiskit.runs.memory_need import check_model_memory
from qlam_qiskit.runs.run_folder import RunFolder


def build_model(
    settings: AnyModelSettings,
    data: SequenceData,
    execution: ExecutionFactory | None,
    seed: int,
    circuit: MemoryCircuit | None = None,
) -> QLAM | Baseline:
    """Build a model with weights drawn from ``seed``; without an execution it runs on the exact engine.

    Its memories have the ``circuit`` given; without one, the template that the settings name is executed.

    Raises ConfigurationError when a baseline should run on a backend that executes circuits.
    """
    check_model_memory(settings, data)
    torch.manual_seed(seed)
    sizes = {
        "steps": data.steps,
        "token_size": data.token_size,
        "classes": data.num_classes,
        "answers": 1 if data.every_step else data.num_answers,
        "every_step": data.every_step,
    }
    spec = execution.spec if isinstance(execution, BackendExecutions) else None
    on_gpu = spec is not None and spec.kind == "exact" and spec.device == "cuda"
    if not isinstance(settings, ModelSettings):
        if spec is not None and spec.kind != "exact":
            raise ConfigurationError(
                f"a model of kind {settings.kind} has no circuit, so it cannot run on backend {spec.name!r}; "
                "use one of kind exact"
            )
        baseline = Baseline(settings, **sizes)
        # Those that stay as they are drawn are solved for, and run on the processor.
        return baseline.to(open_device("cuda")) if on_gpu and not isinstance(settings, FixedSettings) else baseline
    model = QLAM(settings, **sizes, execution=execution, circuit=circuit)
    if on_gpu:  # what makes the angles, beside the memory; the head is small
        model.layers.to(open_device("cuda"))
    if isinstance(settings, ReservoirSettings):
        model.layers.requires_grad_(False)
    return model


def describe(model: QLAM | Baseline, data: SequenceData) -> Mapping[str, Any]:
    """Say what a run is of: task, sizes, trained parameters, and the fingerprint of its memory circuit, if any."""
    circuit = {}
    if isinstance(model, QLAM):
        circuit = {"qubits": model.circuit.num_qubits, "circuit_fingerprint": model.circuit.fingerprint}
    return {
        "task": data.task,
        "steps": data.steps,
        "token_size": data.token_size,
        "classes": data.num_classes,
        "answers": data.num_answers,
        **circuit,
        "parameters": count_parameters(model),
    }


def check_description(folder: RunFolder, model: QLAM | Baseline, data: SequenceData) -> None:
    """Compare a run's description with what its experiment builds now; raises RunError when they differ."""
    then = folder.description()
    for key, value in describe(model, data).items():
        if then.get(key) != value:
            raise RunError(
                f"{folder.path}: a run of another model: its {key.replace('_', ' ')} was {then.get(key)}, "
                f"its experiment now gives {value}"
            )
