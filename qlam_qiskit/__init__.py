"""Quantum Long-Attention Memory: sequence models whose recurrent state is a quantum state.

The public names are loaded when they are used: ``import qlam_qiskit`` itself imports neither torch nor qiskit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qlam_qiskit.backends import load_registry as load_registry
    from qlam_qiskit.by_name import train as train
    from qlam_qiskit.data import SequenceData as SequenceData
    from qlam_qiskit.data import load_data as load_data
    from qlam_qiskit.errors import QlamError as QlamError
    from qlam_qiskit.memory_circuit import MemoryCircuit as MemoryCircuit
    from qlam_qiskit.model import QLAM as QLAM
    from qlam_qiskit.model import ModelSettings as ModelSettings
    from qlam_qiskit.network import AdjointEstimator as AdjointEstimator
    from qlam_qiskit.network import AdjointEstimatorGradient as AdjointEstimatorGradient
    from qlam_qiskit.network import MemoryConnector as MemoryConnector
    from qlam_qiskit.network import MemoryNetwork as MemoryNetwork
    from qlam_qiskit.run import Plan as Plan
    from qlam_qiskit.run import Run as Run
    from qlam_qiskit.run import Submission as Submission
    from qlam_qiskit.runs.experiment import Experiment as Experiment
    from qlam_qiskit.runs.experiments import find_experiments as find_experiments
    from qlam_qiskit.runs.experiments import load_experiment as load_experiment
    from qlam_qiskit.templates import find_templates as find_templates
    from qlam_qiskit.templates import load_template as load_template

__version__ = "0.1.0"

# Public name -> the module that defines it.
_MODULES = {
    "AdjointEstimator": "network",
    "AdjointEstimatorGradient": "network",
    "Experiment": "runs.experiment",
    "MemoryCircuit": "memory_circuit",
    "MemoryConnector": "network",
    "MemoryNetwork": "network",
    "ModelSettings": "model",
    "Plan": "run",
    "QLAM": "model",
    "QlamError": "errors",
    "Run": "run",
    "SequenceData": "data",
    "Submission": "run",
    "find_experiments": "runs.experiments",
    "find_templates": "templates",
    "load_data": "data",
    "load_experiment": "runs.experiments",
    "load_registry": "backends",
    "load_template": "templates",
    "train": "by_name",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
