"""Circuits for a device and their price: chains of qubits, tiles, economical gates, jobs, seconds, fidelity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.planning.chains import find_chains as find_chains
    from qlam_qiskit.planning.chains import typical_chain as typical_chain
    from qlam_qiskit.planning.contrast import predict_contrast as predict_contrast
    from qlam_qiskit.planning.device import device_behind as device_behind
    from qlam_qiskit.planning.device_noise import noisy_memory as noisy_memory
    from qlam_qiskit.planning.executions import executions_of_row as executions_of_row
    from qlam_qiskit.planning.executions import precision_shots as precision_shots
    from qlam_qiskit.planning.executions import uses_extrapolation as uses_extrapolation
    from qlam_qiskit.planning.executions import uses_mitigation as uses_mitigation
    from qlam_qiskit.planning.isa import Pub as Pub
    from qlam_qiskit.planning.isa import check_isa as check_isa
    from qlam_qiskit.planning.limits import quick_seconds as quick_seconds
    from qlam_qiskit.planning.plan import Plan as Plan
    from qlam_qiskit.planning.plan import make_plan as make_plan
    from qlam_qiskit.planning.readout import Calibration as Calibration
    from qlam_qiskit.planning.readout import count_outcomes as count_outcomes
    from qlam_qiskit.planning.readout import frequencies as frequencies
    from qlam_qiskit.planning.readout import nearest_probabilities as nearest_probabilities
    from qlam_qiskit.planning.readout import undo_readout_errors as undo_readout_errors
    from qlam_qiskit.planning.sequence_pub import SequencePub as SequencePub
    from qlam_qiskit.planning.tiling import Placement as Placement

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "device": "device_behind",
        "contrast": "predict_contrast",
        "chains": "find_chains typical_chain",
        "device_noise": "noisy_memory",
        "executions": "executions_of_row precision_shots uses_extrapolation uses_mitigation",
        "isa": "Pub check_isa",
        "limits": "quick_seconds",
        "plan": "Plan make_plan",
        "readout": "Calibration count_outcomes frequencies nearest_probabilities undo_readout_errors",
        "sequence_pub": "SequencePub",
        "tiling": "Placement",
    },
)
