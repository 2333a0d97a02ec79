"""The QLAM model: embeddings, angle encoder, quantum memories, queries and readout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.model.embedding import make_embedding as make_embedding
    from qlam_qiskit.model.normalization import FEWEST_SAMPLES as FEWEST_SAMPLES
    from qlam_qiskit.model.padding import at_steps as at_steps
    from qlam_qiskit.model.padding import reading_times as reading_times
    from qlam_qiskit.model.padding import reversed_within as reversed_within
    from qlam_qiskit.model.padding import without_padding as without_padding
    from qlam_qiskit.model.qlam import QLAM as QLAM
    from qlam_qiskit.model.sampling import engine_arguments as engine_arguments
    from qlam_qiskit.model.sampling import estimator_pubs as estimator_pubs
    from qlam_qiskit.model.sampling import readouts_from_emissions as readouts_from_emissions
    from qlam_qiskit.model.sampling import readouts_from_expectations as readouts_from_expectations
    from qlam_qiskit.model.sampling import readouts_from_probabilities as readouts_from_probabilities
    from qlam_qiskit.model.sampling import sampler_pubs as sampler_pubs
    from qlam_qiskit.model.sampling import sequence_pubs as sequence_pubs
    from qlam_qiskit.model.settings import EmbeddingSettings as EmbeddingSettings
    from qlam_qiskit.model.settings import ModelSettings as ModelSettings
    from qlam_qiskit.model.settings import readout_steps as readout_steps

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "embedding": "make_embedding",
        "normalization": "FEWEST_SAMPLES",
        "padding": "at_steps reading_times reversed_within without_padding",
        "qlam": "QLAM",
        "sampling": "engine_arguments estimator_pubs readouts_from_emissions readouts_from_expectations "
        "readouts_from_probabilities sampler_pubs sequence_pubs",
        "settings": "EmbeddingSettings ModelSettings readout_steps",
    },
)
