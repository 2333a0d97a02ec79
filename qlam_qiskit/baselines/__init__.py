"""Classical sequence models, and a fixed random quantum memory, that QLAM is compared with on equal terms."""

from qlam_qiskit.baselines.classifier import Baseline
from qlam_qiskit.baselines.settings import (
    BaselineSettings,
    RecurrentSettings,
    ReservoirSettings,
    StateSpaceSettings,
    TransformerSettings,
)
from qlam_qiskit.baselines.sizing import count_parameters, fit_size

__all__ = [
    "Baseline",
    "BaselineSettings",
    "RecurrentSettings",
    "ReservoirSettings",
    "StateSpaceSettings",
    "TransformerSettings",
    "count_parameters",
    "fit_size",
]
