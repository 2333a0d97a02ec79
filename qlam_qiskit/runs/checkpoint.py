"""Checkpoints: one safetensors file each, with tensors, the rest as JSON in its header, and a digest of both.

Nothing is pickled. A file that is cut short, altered, or of another model is refused with one line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save

from qlam_qiskit.errors import RunError
from qlam_qiskit.workspace import open_regular, write_file

_FORMAT = "qlam-checkpoint-1"


@dataclass(frozen=True)
class Checkpoint:
    """Named tensors, and a JSON object beside them."""

    tensors: Mapping[str, torch.Tensor]
    state: Mapping[str, Any]

    def group(self, name: str) -> dict[str, torch.Tensor]:
        """Return the tensors whose names begin with ``name/``, without that beginning."""
        start = f"{name}/"
        return {key[len(start) :]: value for key, value in self.tensors.items() if key.startswith(start)}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file that was there stays until the new one is complete and on disk."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    state = json.dumps(checkpoint.state, sort_keys=True)
    metadata = {"format": _FORMAT, "state": state, "digest": _digest(tensors, state)}
    write_file(path, save(tensors, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; raises RunError when it is missing, damaged, or no checkpoint of this package."""
    from safetensors import safe_open

    try:
        with open_regular(path):
            pass  # a pipe would be waited for
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except FileNotFoundError:
        raise RunError(f"{path}: no such checkpoint") from None
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise RunError(f"{path}: the checkpoint is damaged: {reason}") from None
    if metadata.get("format") != _FORMAT:
        raise RunError(f"{path}: not a checkpoint of this package (format {metadata.get('format')!r})")
    try:
        if metadata.get("digest") != _digest(tensors, metadata["state"]):
            raise RunError(f"{path}: the checkpoint is damaged: its contents do not match its digest")
        state = json.loads(metadata["state"])
        if not isinstance(state.get("epoch", 0), int):
            raise ValueError("epoch is no number")
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: the checkpoint is damaged: {' '.join(str(error).split())}") from None
    return Checkpoint(tensors, state)


def load_weights(module: torch.nn.Module, checkpoint: Checkpoint, path: Path) -> None:
    """Put a checkpoint's weights into a model; raises RunError when they are those of another model."""
    weights = checkpoint.group("model")
    # Runs whose Pauli errors were drawn at random kept their probability as a weight.
    weights = {name: tensor for name, tensor in weights.items() if not name.endswith(".pauli_noise.probability")}
    expected = module.state_dict()
    if weights.keys() != expected.keys():
        names = ", ".join(sorted(weights.keys() ^ expected.keys()))
        raise RunError(f"{path}: the weights of another model (they differ in {names})")
    for name, tensor in expected.items():
        if weights[name].shape != tensor.shape:
            shapes = f"{tuple(weights[name].shape)}, this model needs {tuple(tensor.shape)}"
            raise RunError(f"{path}: the weights of another model ({name} has shape {shapes})")
    module.load_state_dict(weights)


def _digest(tensors: Mapping[str, torch.Tensor], state: str) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
