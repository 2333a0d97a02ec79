"""Experiments and their training, into run folders that can be resumed and evaluated."""

from qlam_qiskit.errors import Interrupted
from qlam_qiskit.runs import Experiment, RunFolder, find_experiments, load_experiment
from qlam_qiskit.training.joining import joined
from qlam_qiskit.training.running import has_begun, train, train_on
from qlam_qiskit.training.trainer import Reporter, Trainer

__all__ = [
    "Experiment",
    "Interrupted",
    "Reporter",
    "RunFolder",
    "Trainer",
    "find_experiments",
    "has_begun",
    "joined",
    "load_experiment",
    "train",
    "train_on",
]
