"""The memory as a network of qiskit-machine-learning and as a torch module, wherever it runs."""

from qlam_qiskit.network.connector import MemoryConnector
from qlam_qiskit.network.execution import ExactExecution, Execution
from qlam_qiskit.network.memory import MemoryNetwork
from qlam_qiskit.network.primitives import PrimitiveExecution

__all__ = ["ExactExecution", "Execution", "MemoryConnector", "MemoryNetwork", "PrimitiveExecution"]
