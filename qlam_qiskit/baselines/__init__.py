"""Classical sequence models, and a fixed random quantum memory, that QLAM is compared with on equal terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.baselines.classifier import Baseline as Baseline
    from qlam_qiskit.baselines.settings import BaselineSettings as BaselineSettings
    from qlam_qiskit.baselines.settings import DelaySettings as DelaySettings
    from qlam_qiskit.baselines.settings import EchoStateSettings as EchoStateSettings
    from qlam_qiskit.baselines.settings import FixedSettings as FixedSettings
    from qlam_qiskit.baselines.settings import LinearRecurrentSettings as LinearRecurrentSettings
    from qlam_qiskit.baselines.settings import RecurrentSettings as RecurrentSettings
    from qlam_qiskit.baselines.settings import ReservoirSettings as ReservoirSettings
    from qlam_qiskit.baselines.settings import SelectiveSettings as SelectiveSettings
    from qlam_qiskit.baselines.settings import StateSpaceSettings as StateSpaceSettings
    from qlam_qiskit.baselines.settings import TransformerSettings as TransformerSettings
    from qlam_qiskit.baselines.sizing import count_parameters as count_parameters
    from qlam_qiskit.baselines.sizing import fit_size as fit_size

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "classifier": "Baseline",
        "settings": (
            "BaselineSettings DelaySettings EchoStateSettings FixedSettings LinearRecurrentSettings RecurrentSettings "
            "ReservoirSettings SelectiveSettings StateSpaceSettings TransformerSettings"
        ),
        "sizing": "count_parameters fit_size",
    },
)
