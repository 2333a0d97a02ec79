"""The QLAM model: embeddings, angle encoder, quantum memories, queries and readout."""

from qlam_qiskit.model.qlam import QLAM
from qlam_qiskit.model.settings import ModelSettings

__all__ = ["QLAM", "ModelSettings"]
