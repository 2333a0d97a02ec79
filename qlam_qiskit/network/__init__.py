"""The memory as a network of qiskit-machine-learning and as a torch module, wherever it runs.

For circuits of any other kind there are an estimator and its gradient on the exact engine.
"""

from qlam_qiskit.network.adjoint_estimator import AdjointEstimator
from qlam_qiskit.network.adjoint_gradient import AdjointEstimatorGradient
from qlam_qiskit.network.connector import MemoryConnector
from qlam_qiskit.network.execution import ExactExecution, Execution
from qlam_qiskit.network.memory import MemoryNetwork
from qlam_qiskit.network.primitives import PrimitiveExecution

__all__ = [
    "AdjointEstimator",
    "AdjointEstimatorGradient",
    "ExactExecution",
    "Execution",
    "MemoryConnector",
    "MemoryNetwork",
    "PrimitiveExecution",
]
