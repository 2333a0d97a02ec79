"""An experiment: one YAML file that says what is trained, on what, and how."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from qlam_qiskit.baselines import (
    FixedSettings,
    LinearRecurrentSettings,
    RecurrentSettings,
    ReservoirSettings,
    SelectiveSettings,
    StateSpaceSettings,
    TransformerSettings,
)
from qlam_qiskit.configuration import Settings
from qlam_qiskit.data import DataSettings
from qlam_qiskit.model import ModelSettings


class TrainingSettings(Settings):
    """How a model is trained: Adam under a one-cycle schedule.

    Attributes
    ----------
    epochs, batch_size
        Passes over the training samples, and samples of one step.
    circuit_rate, head_rate
        Peak learning rates of everything before the readout, and of the linear head.
    clip
        Largest norm of the gradient; larger ones are scaled down.
    weight_decay
        Decoupled decay of the matrices of linear and recurrent maps, the head's among them. Biases, angles and rates
        do not decay: a rate would go to one half.
    validation_fraction
        Part of the training samples that is held out to choose the best epoch; 0 trains on all and keeps the last.
    checkpoint_seconds
        Save at least this often within an epoch.
    """

    epochs: int = Field(10, ge=1, le=100_000)
    batch_size: int = Field(128, ge=1, le=1_000_000)
    circuit_rate: float = Field(0.012, gt=0)
    head_rate: float = Field(0.02, gt=0)
    clip: float = Field(0.5, gt=0)
    weight_decay: float = Field(0.0, ge=0, le=1e6)
    validation_fraction: float = Field(0.1, ge=0, lt=1)
    checkpoint_seconds: float = Field(60.0, gt=0)


def _qlam_by_default(values: Any) -> Any:
    return {"kind": "qlam", **values} if isinstance(values, dict) else values


_ByKind = Annotated[
    ModelSettings
    | ReservoirSettings
    | RecurrentSettings
    | TransformerSettings
    | StateSpaceSettings
    | LinearRecurrentSettings
    | SelectiveSettings
    | FixedSettings,
    Field(discriminator="kind"),
]
AnyModelSettings: TypeAlias = Annotated[_ByKind, BeforeValidator(_qlam_by_default)]


class Experiment(Settings):
    """One experiment: what ``train`` takes, and a YAML file in ``experiments/`` says.

    Attributes
    ----------
    description
        What it is, in a sentence.
    data
        Which sequences, and their tokens.
    model
        A QLAM, or a baseline that ``kind`` names.
    training
        Epochs, batches, learning rates.
    backend
        A name in backends.yaml, where the memories run; by default that file's default.
    seed
        Fixes the weights at the start, the order of samples, and what a backend draws.
    """

    description: str = ""
    data: DataSettings
    model: AnyModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    backend: str | None = None
    seed: int = Field(0, ge=0, lt=2**32)
