"""The exact engine: compiles circuits of Qiskit standard gates, runs batches of sequences, differentiates them."""

from qlam_qiskit.engine.exact import ExactEngine, Gradients, Tape
from qlam_qiskit.engine.plan import Plan, compile_plan
from qlam_qiskit.engine.readout import Readout

__all__ = ["ExactEngine", "Gradients", "Plan", "Readout", "Tape", "compile_plan"]
