"""Searches for the best settings of an experiment, on Optuna, by any number of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.searching.results import Best as Best
    from qlam_qiskit.searching.results import Findings as Findings
    from qlam_qiskit.searching.running import Task as Task
    from qlam_qiskit.searching.running import search as search
    from qlam_qiskit.searching.space import Dimension as Dimension
    from qlam_qiskit.searching.space import DimensionSettings as DimensionSettings
    from qlam_qiskit.searching.space import Space as Space
    from qlam_qiskit.searching.training import ACCURACY as ACCURACY
    from qlam_qiskit.searching.training import NRMSE as NRMSE
    from qlam_qiskit.searching.training import best_first as best_first
    from qlam_qiskit.searching.training import format_metric as format_metric
    from qlam_qiskit.searching.training import train_trial as train_trial

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "results": "Best Findings",
        "running": "Task search",
        "space": "Dimension DimensionSettings Space",
        "training": "ACCURACY NRMSE best_first format_metric train_trial",
    },
)
