"""Trained models measured again: on the exact engine, on Aer, and on devices through the job ledger."""

from qlam_qiskit.evaluation.evaluate import evaluate, evaluate_submission
from qlam_qiskit.evaluation.on_device import Prepared, Sent, prepare, summary
from qlam_qiskit.evaluation.refit import refit

__all__ = [
    "Prepared",
    "Sent",
    "evaluate",
    "evaluate_submission",
    "prepare",
    "refit",
    "summary",
]
