"""The memory as a network of qiskit-machine-learning and as a torch module, wherever it runs.

For circuits of any other kind there are an estimator and its gradient on the exact engine.
"""

from qlam_qiskit.network.adjoint_estimator import AdjointEstimator
from qlam_qiskit.network.adjoint_gradient import AdjointEstimatorGradient
from qlam_qiskit.network.connector import MemoryConnector
from qlam_qiskit.network.execution import ExactExecution, Execution
from qlam_qiskit.network.given import AnyBackend, executions_on
from qlam_qiskit.network.memory import MemoryNetwork
from qlam_qiskit.network.own_times import Group, group_by_times
from qlam_qiskit.network.primitives import PrimitiveExecution, memory_observables
from qlam_qiskit.network.selection import BackendExecutions, ExecutionFactory
from qlam_qiskit.network.spans import Spans, emission_means, lengths_of_spans, measured_steps

__all__ = [
    "AdjointEstimator",
    "AdjointEstimatorGradient",
    "AnyBackend",
    "BackendExecutions",
    "ExactExecution",
    "Execution",
    "ExecutionFactory",
    "Group",
    "MemoryConnector",
    "MemoryNetwork",
    "PrimitiveExecution",
    "Spans",
    "emission_means",
    "executions_on",
    "group_by_times",
    "lengths_of_spans",
    "measured_steps",
    "memory_observables",
]
