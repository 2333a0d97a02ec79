"""Trained models measured again: on the exact engine, on Aer, and on devices through the job ledger."""

from qlam_qiskit.evaluation.evaluate import evaluate, evaluate_submission
from qlam_qiskit.evaluation.on_device import Prepared, Sent, prepare, summary
from qlam_qiskit.evaluation.refit import refit
from qlam_qiskit.evaluation.verdict import described

__all__ = [
    "Prepared",
    "Sent",
    "described",
    "evaluate",
    "evaluate_submission",
    "prepare",
    "refit",
    "summary",
]
