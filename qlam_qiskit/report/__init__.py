"""A look at a trained run: one self-contained HTML page, the same figures as files, and the numbers in them."""

from qlam_qiskit.report.findings import Findings
from qlam_qiskit.report.gallery import FIGURES
from qlam_qiskit.report.page import Written, build_report, write_figures

__all__ = ["FIGURES", "Findings", "Written", "build_report", "write_figures"]
