"""Builds the model of an experiment on its data, wherever its memory runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from qlam_qiskit.data import SequenceData
from qlam_qiskit.errors import RunError
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.network.selection import ExecutionFactory
from qlam_qiskit.train.run_folder import RunFolder


def build_model(settings: ModelSettings, data: SequenceData, execution: ExecutionFactory | None, seed: int) -> QLAM:
    """Build a model with weights drawn from ``seed``; without an execution it runs on the exact engine."""
    torch.manual_seed(seed)
    return QLAM(
        settings,
        steps=data.steps,
        token_size=data.token_size,
        num_classes=data.num_classes,
        num_answers=data.num_answers,
        execution=execution,
    )


def describe(model: QLAM, data: SequenceData) -> Mapping[str, Any]:
    """Say what a run is of: task, sizes, parameters, and the fingerprint of its memory circuit."""
    memory = model.layers[0].memory.neural_network.memory
    return {
        "task": data.task,
        "steps": data.steps,
        "token_size": data.token_size,
        "classes": data.num_classes,
        "answers": data.num_answers,
        "qubits": memory.num_qubits,
        "circuit_fingerprint": memory.fingerprint,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def check_description(folder: RunFolder, model: QLAM, data: SequenceData) -> None:
    """Compare a run's description with what its experiment builds now; raises RunError when they differ."""
    then = folder.description()
    for key, value in describe(model, data).items():
        if then.get(key) != value:
            raise RunError(
                f"{folder.path}: a run of another model: its {key.replace('_', ' ')} was {then.get(key)}, "
                f"its experiment now gives {value}"
            )
