"""Data sets as sequences of tokens: images, synthetic long-range tasks, and files of the user's own."""

from qlam_qiskit.data.download import Fetched, fetch_dataset
from qlam_qiskit.data.loading import DatasetInfo, list_datasets, load_data
from qlam_qiskit.data.sequences import SequenceData, Split, Targets, validation_split
from qlam_qiskit.data.settings import MOST_SAMPLES, DataSettings
from qlam_qiskit.data.views import view_images

__all__ = [
    "MOST_SAMPLES",
    "DataSettings",
    "DatasetInfo",
    "Fetched",
    "SequenceData",
    "Split",
    "Targets",
    "fetch_dataset",
    "list_datasets",
    "load_data",
    "validation_split",
    "view_images",
]
