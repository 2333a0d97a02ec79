"""What a model is made of and called with, checked where a caller hands it over: what does not fit is one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from qlam_qiskit.configuration import check
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model.settings import ModelSettings
from qlam_qiskit.templates import load_template


def settings_of(given: ModelSettings | Mapping[str, Any] | None) -> ModelSettings:
    """Return settings as they are, or checked from a mapping of their keys; raises ConfigurationError."""
    if given is None:
        return ModelSettings()
    if isinstance(given, Mapping):
        return check(ModelSettings, given, "model")
    if not isinstance(given, ModelSettings):
        raise ConfigurationError(
            f"a model's settings are a ModelSettings or a mapping of its keys, not {type(given).__name__}; "
            "a template is named by circuit="
        )
    return given


def circuit_of(given: MemoryCircuit | str | None, settings: ModelSettings) -> MemoryCircuit:
    """Return a circuit as it is, or that of a template by its name, or the one that ``settings`` name."""
    named = settings.circuit
    if given is None:
        return load_template(named.template, named.qubits, named.options)
    if isinstance(given, str):
        return load_template(given, named.qubits)
    if not isinstance(given, MemoryCircuit):
        raise ConfigurationError(
            f"a model's circuit is a MemoryCircuit or a template's name, not {type(given).__name__}; "
            "MemoryCircuit(update, inputs, weights) says which parameters of a circuit are which"
        )
    return given


def check_tokens(tokens: torch.Tensor, steps: int, token_size: int) -> None:
    """Raise ConfigurationError unless tokens are a tensor of real numbers of shape (B, steps, token_size)."""
    if not isinstance(tokens, torch.Tensor):
        raise ConfigurationError(f"tokens are a torch tensor, not {type(tokens).__name__}")
    if tokens.is_complex():
        raise ConfigurationError(f"tokens are real numbers, not {str(tokens.dtype).removeprefix('torch.')}")
    if tokens.ndim != 3 or tokens.shape[1:] != (steps, token_size):
        raise ConfigurationError(f"tokens must be (samples, {steps}, {token_size}), not {tuple(tokens.shape)}")
