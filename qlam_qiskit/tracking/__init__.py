"""What a training tells the trackers that a group looks at: TensorBoard, MLflow, Weights & Biases, or one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.tracking.tracker import TRACKERS as TRACKERS
    from qlam_qiskit.tracking.tracker import Tracker as Tracker
    from qlam_qiskit.tracking.tracker import check_trackers as check_trackers
    from qlam_qiskit.tracking.tracking import Tracking as Tracking

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {"tracker": "TRACKERS Tracker check_trackers", "tracking": "Tracking"},
)
