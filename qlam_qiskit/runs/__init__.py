"""A run: its experiment, its folder, and the model that comes out of it."""

from qlam_qiskit.runs.experiment import Experiment
from qlam_qiskit.runs.experiments import find_experiments, load_experiment
from qlam_qiskit.runs.predictions import Predictions
from qlam_qiskit.runs.run_folder import RunFolder
from qlam_qiskit.runs.saved_run import Part, SavedRun

__all__ = ["Experiment", "Part", "Predictions", "RunFolder", "SavedRun", "find_experiments", "load_experiment"]
