"""Quantum Long-Attention Memory: sequence models whose recurrent state is a quantum state.

The public names are loaded when they are used: ``import qlam_qiskit`` itself imports neither torch nor qiskit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.backends import load_registry as load_registry
    from qlam_qiskit.by_name import search as search
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
    from qlam_qiskit.runs import Experiment as Experiment
    from qlam_qiskit.runs import find_experiments as find_experiments
    from qlam_qiskit.runs import find_pretrained as find_pretrained
    from qlam_qiskit.runs import load_experiment as load_experiment
    from qlam_qiskit.templates import find_templates as find_templates
    from qlam_qiskit.templates import load_template as load_template

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "backends": "load_registry",
        "by_name": "search train",
        "data": "SequenceData load_data",
        "errors": "QlamError",
        "memory_circuit": "MemoryCircuit",
        "model": "ModelSettings QLAM",
        "network": "AdjointEstimator AdjointEstimatorGradient MemoryConnector MemoryNetwork",
        "run": "Plan Run Submission",
        "runs.experiment": "Experiment",
        "runs.experiments": "find_experiments load_experiment",
        "runs.pretrained": "find_pretrained",
        "templates": "find_templates load_template",
    },
)
