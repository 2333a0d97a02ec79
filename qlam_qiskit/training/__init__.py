"""Experiments and their training, into run folders that can be resumed and evaluated."""

from qlam_qiskit.runs.experiment import Experiment
from qlam_qiskit.runs.experiments import find_experiments, load_experiment
from qlam_qiskit.runs.run_folder import RunFolder
from qlam_qiskit.training.running import train
from qlam_qiskit.training.trainer import Interrupted, Reporter

__all__ = [
    "Experiment",
    "Interrupted",
    "Reporter",
    "RunFolder",
    "find_experiments",
    "load_experiment",
    "train",
]
