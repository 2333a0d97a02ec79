"""The open engine: memories with channels, as density matrices in the Pauli basis, trained by exact gradients."""

from qlam_qiskit.engine.open.open_engine import OpenEngine, OpenTape
from qlam_qiskit.engine.open.plan import OpenPlan, compile_open_plan

__all__ = ["OpenEngine", "OpenPlan", "OpenTape", "compile_open_plan"]
