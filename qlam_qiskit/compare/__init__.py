"""Comparisons: several models on one task under one budget, with records that can be checked and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.compare.checking import check_records as check_records
    from qlam_qiskit.compare.finding import find_comparisons as find_comparisons
    from qlam_qiskit.compare.finding import load_comparison as load_comparison
    from qlam_qiskit.compare.metric import metric_of as metric_of
    from qlam_qiskit.compare.running import Choice as Choice
    from qlam_qiskit.compare.running import compare as compare
    from qlam_qiskit.compare.settings import Comparison as Comparison
    from qlam_qiskit.compare.tables import make_table as make_table
    from qlam_qiskit.compare.tables import sentence as sentence
    from qlam_qiskit.compare.tables import task_name as task_name
    from qlam_qiskit.compare.tables import to_markdown as to_markdown
    from qlam_qiskit.compare.tables import written_seconds as written_seconds

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "checking": "check_records",
        "finding": "find_comparisons load_comparison",
        "metric": "metric_of",
        "running": "Choice compare",
        "settings": "Comparison",
        "tables": "make_table sentence task_name to_markdown written_seconds",
    },
)
