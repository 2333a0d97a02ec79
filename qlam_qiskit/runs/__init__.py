"""A run: its experiment, its folder, and the model that comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.runs.building import build_model as build_model
    from qlam_qiskit.runs.building import check_description as check_description
    from qlam_qiskit.runs.building import describe as describe
    from qlam_qiskit.runs.checkpoint import Checkpoint as Checkpoint
    from qlam_qiskit.runs.checkpoint import load_checkpoint as load_checkpoint
    from qlam_qiskit.runs.checkpoint import load_weights as load_weights
    from qlam_qiskit.runs.checkpoint import save_checkpoint as save_checkpoint
    from qlam_qiskit.runs.circuit_file import read_circuit as read_circuit
    from qlam_qiskit.runs.circuit_file import write_circuit as write_circuit
    from qlam_qiskit.runs.experiment import AnyModelSettings as AnyModelSettings
    from qlam_qiskit.runs.experiment import Experiment as Experiment
    from qlam_qiskit.runs.experiment import TrainingSettings as TrainingSettings
    from qlam_qiskit.runs.experiments import find_experiments as find_experiments
    from qlam_qiskit.runs.experiments import load_experiment as load_experiment
    from qlam_qiskit.runs.export import export_run as export_run
    from qlam_qiskit.runs.export import remove_run as remove_run
    from qlam_qiskit.runs.export import repeating_command as repeating_command
    from qlam_qiskit.runs.memory_need import check_model_memory as check_model_memory
    from qlam_qiskit.runs.model_card import ModelCard as ModelCard
    from qlam_qiskit.runs.objective import epoch_figures as epoch_figures
    from qlam_qiskit.runs.objective import losses as losses
    from qlam_qiskit.runs.objective import mean_loss as mean_loss
    from qlam_qiskit.runs.objective import quality as quality
    from qlam_qiskit.runs.objective import scores as scores
    from qlam_qiskit.runs.overview import Overview as Overview
    from qlam_qiskit.runs.overview import accuracies as accuracies
    from qlam_qiskit.runs.overview import find_runs as find_runs
    from qlam_qiskit.runs.predictions import Estimates as Estimates
    from qlam_qiskit.runs.predictions import Predictions as Predictions
    from qlam_qiskit.runs.predictions import outputs as outputs
    from qlam_qiskit.runs.pretrained import check_new_name as check_new_name
    from qlam_qiskit.runs.pretrained import find_pretrained as find_pretrained
    from qlam_qiskit.runs.records import ComparisonRecord as ComparisonRecord
    from qlam_qiskit.runs.records import FinalRecord as FinalRecord
    from qlam_qiskit.runs.records import read_json as read_json
    from qlam_qiskit.runs.run_folder import RunFolder as RunFolder
    from qlam_qiskit.runs.saved_run import Part as Part
    from qlam_qiskit.runs.saved_run import SavedRun as SavedRun

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "building": "build_model check_description describe",
        "checkpoint": "Checkpoint load_checkpoint load_weights save_checkpoint",
        "circuit_file": "read_circuit write_circuit",
        "experiment": "AnyModelSettings Experiment TrainingSettings",
        "experiments": "find_experiments load_experiment",
        "export": "export_run remove_run repeating_command",
        "memory_need": "check_model_memory",
        "model_card": "ModelCard",
        "objective": "epoch_figures losses mean_loss quality scores",
        "overview": "Overview accuracies find_runs",
        "predictions": "Estimates Predictions outputs",
        "pretrained": "check_new_name find_pretrained",
        "records": "ComparisonRecord FinalRecord read_json",
        "run_folder": "RunFolder",
        "saved_run": "Part SavedRun",
    },
)
