"""The QLAM model: embeddings, angle encoder, quantum memories, queries and readout."""

from qlam_qiskit.model.embedding import make_embedding
from qlam_qiskit.model.qlam import QLAM
from qlam_qiskit.model.sampling import (
    estimator_pubs,
    readouts_from_expectations,
    readouts_from_probabilities,
    sampler_pubs,
)
from qlam_qiskit.model.settings import EmbeddingSettings, ModelSettings, readout_steps

__all__ = [
    "QLAM",
    "EmbeddingSettings",
    "ModelSettings",
    "estimator_pubs",
    "make_embedding",
    "readout_steps",
    "readouts_from_expectations",
    "readouts_from_probabilities",
    "sampler_pubs",
]
