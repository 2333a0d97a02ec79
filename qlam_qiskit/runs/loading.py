"""A trained model out of its run folder, and the samples that it was trained and is tested on."""

from __future__ import annotations

from typing import Literal

from qlam_qiskit.baselines import Baseline
from qlam_qiskit.data import SequenceData, Split, validation_split
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM
from qlam_qiskit.network.selection import ExecutionFactory
from qlam_qiskit.runs.building import build_model, check_description
from qlam_qiskit.runs.checkpoint import load_checkpoint, load_weights
from qlam_qiskit.runs.run_folder import RunFolder

Part = Literal["test", "validation", "train"]


def load_run(folder: RunFolder, data: SequenceData, execution: ExecutionFactory | None = None) -> QLAM | Baseline:
    """Rebuild a run's model with its best weights, by default on the exact engine.

    Raises RunError when the folder is damaged or of another model.
    """
    experiment = folder.experiment()
    checkpoint = load_checkpoint(folder.best)
    model = build_model(experiment.model, data, execution, experiment.seed)
    check_description(folder, model, data)
    load_weights(model, checkpoint, folder.best)
    return model.eval()


def load_qlam(folder: RunFolder, data: SequenceData, execution: ExecutionFactory | None = None) -> QLAM:
    """Rebuild a run's model for what only circuits can do; raises ConfigurationError when it is a baseline."""
    model = load_run(folder, data, execution)
    if not isinstance(model, QLAM):
        kind = folder.experiment().model.kind
        raise ConfigurationError(
            f"{folder.path}: a model of kind {kind} has no circuit, and runs on no backend with any"
        )
    return model


def part_of(folder: RunFolder, data: SequenceData, part: Part) -> Split:
    """Return the samples that a run was trained on, chose its best epoch by, or is tested on.

    Raises ConfigurationError where it held none out for validation.
    """
    if part == "test":
        return data.test
    experiment = folder.experiment()
    fraction = experiment.training.validation_fraction
    if fraction:
        training, validation = validation_split(data.train, fraction, experiment.seed)
        return training if part == "train" else validation
    if part == "validation":
        raise ConfigurationError(f"{folder.path}: trained on all samples (validation_fraction: 0), none to validate on")
    return data.train
