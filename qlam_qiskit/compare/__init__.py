"""Comparisons: several models on one task under one budget, with records that can be checked and a table."""

from qlam_qiskit.compare.checking import check_records
from qlam_qiskit.compare.finding import find_comparisons, load_comparison
from qlam_qiskit.compare.running import Choice, compare
from qlam_qiskit.compare.settings import Comparison

__all__ = ["Choice", "Comparison", "check_records", "compare", "find_comparisons", "load_comparison"]
