"""A trained model out of its run folder."""

from __future__ import annotations

from qlam_qiskit.data import SequenceData
from qlam_qiskit.model import QLAM
from qlam_qiskit.network.selection import ExecutionFactory
from qlam_qiskit.train.building import build_model, check_description
from qlam_qiskit.train.checkpoint import load_checkpoint, load_weights
from qlam_qiskit.train.run_folder import RunFolder


def load_run(folder: RunFolder, data: SequenceData, execution: ExecutionFactory | None = None) -> QLAM:
    """Rebuild a run's model with its best weights, by default on the exact engine.

    Raises RunError when the folder is damaged or of another model.
    """
    experiment = folder.experiment()
    checkpoint = load_checkpoint(folder.best)
    model = build_model(experiment.model, data, execution, experiment.seed)
    check_description(folder, model, data)
    load_weights(model, checkpoint, folder.best)
    return model.eval()
