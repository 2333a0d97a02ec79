"""The ``data:`` section of an experiment: which data set, its tokens, the sizes of synthetic tasks."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from qlam_qiskit.configuration import Settings

DatasetName = Literal["digits", "mnist", "fashion_mnist", "cifar10", "copying", "recall", "series", "npz", "file"]
System = Literal["narma10", "mackey_glass", "henon", "lorenz"]
View = Literal["pixels", "rows", "patches"]
ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]

MOST_SAMPLES = 100_000_000

_COMMON = ("dataset", "train_limit", "test_limit")
_IMAGES = {"view": "pixels", "patch": None, "permuted": False, "shift": None, "flip": None}
_SAMPLES = {"train_samples": 5000, "test_samples": 1000, "seed": 0}
# The options of each data set, with their defaults.
_OPTIONS: dict[str, dict[str, Any]] = {
    "digits": _IMAGES,
    "mnist": _IMAGES,
    "fashion_mnist": _IMAGES,
    "cifar10": _IMAGES,
    "copying": {"symbols": 5, "alphabet": 8, "delay": 20, **_SAMPLES},
    "recall": {"pairs": 4, "keys": 8, "values": 8, "delay": 0, **_SAMPLES},
    "series": {
        "system": "narma10",
        "steps": 200,
        "horizon": 1,
        "washout": 20,
        "train_samples": 100,
        "test_samples": 50,
        "seed": 0,
    },
    "npz": {"path": None},
    "file": {
        "path": None,
        "test_path": None,
        "tokens": None,
        "labels": None,
        "sample": None,
        "task": "classification",
        "every_step": False,
        "normalize": True,
        "test_fraction": 0.2,
        "split_seed": 0,
    },
}


class DataSettings(Settings):
    """A data set and its options; an option of another data set is an error, one left out takes its default.

    Options of data sets other than the chosen one are None.

    Attributes
    ----------
    train_limit, test_limit
        Keep the first samples only.
    view
        One token per pixel (row by row), per row, or per square patch of ``patch`` by ``patch`` pixels.
    permuted
        Shuffle the steps by one permutation, the same for every sample and every run.
    shift, flip
        While training, move each image by up to ``shift`` pixels down or up and right or left, and mirror every second
        one, drawn anew in every epoch; the images that are held out and tested stay as they are.
    path
        A file of the user's own, for the data sets "npz" and "file".
    test_path
        A second file with the test part. Without one, the other half of a pair of ``.ts`` files, the split "test" of a
        saved data set, or else ``test_fraction`` of the samples.
    tokens, labels
        Columns of a table, by name or by a pattern such as ``t*``: of tokens by default all others.
    sample
        In a table with a row for each step: the column that says which sample a row belongs to.
    task
        "classification", or "regression" of the numbers in ``labels``, by the mean squared error.
    every_step
        Answer after every step, not only after the last.
    normalize
        Bring each number of a token to mean 0 and standard deviation 1 over the training part.
    test_fraction, split_seed
        The part of the samples that is tested on, where a file does not say which, and what they are drawn from.
    symbols, alphabet, delay
        Copying: how many symbols to remember, out of how many, and the blank steps before they are asked for.
    pairs, keys, values, delay
        Recall: how many key-value pairs, of how many keys and values, and the blank steps before the query.
    system, steps, horizon, washout
        Series: "narma10", "mackey_glass" (tau = 17), "henon" or "lorenz" (its x); the number ``horizon`` steps ahead
        is to be told after each of ``steps`` steps but the first ``washout``.
    train_samples, test_samples, seed
        Size of a synthetic task, and what it is generated from.
    """

    dataset: DatasetName
    train_limit: int | None = Field(None, ge=1, le=MOST_SAMPLES)
    test_limit: int | None = Field(None, ge=1, le=MOST_SAMPLES)
    view: View | None = None
    patch: int | None = Field(None, ge=1, le=1024)
    permuted: bool | None = None
    shift: int | None = Field(None, ge=1, le=8)
    flip: bool | None = None
    path: str | None = Field(None, min_length=1, max_length=4096)
    test_path: str | None = Field(None, min_length=1, max_length=4096)
    tokens: ColumnName | list[ColumnName] | None = None
    labels: ColumnName | list[ColumnName] | None = None
    sample: ColumnName | None = None
    task: Literal["classification", "regression"] | None = None
    every_step: bool | None = None
    normalize: bool | None = None
    test_fraction: float | None = Field(None, gt=0, lt=1)
    split_seed: int | None = Field(None, ge=0, lt=2**32)
    symbols: int | None = Field(None, ge=1, le=1024)
    alphabet: int | None = Field(None, ge=2, le=4096)
    delay: int | None = Field(None, ge=0, le=1_000_000)
    pairs: int | None = Field(None, ge=1, le=4096)
    keys: int | None = Field(None, ge=1, le=4096)
    values: int | None = Field(None, ge=2, le=4096)
    system: System | None = None
    steps: int | None = Field(None, ge=1, le=1_000_000)
    horizon: int | None = Field(None, ge=1, le=100_000)
    washout: int | None = Field(None, ge=0, le=1_000_000)
    train_samples: int | None = Field(None, ge=1, le=MOST_SAMPLES)
    test_samples: int | None = Field(None, ge=1, le=MOST_SAMPLES)
    seed: int | None = Field(None, ge=0, lt=2**64)

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("dataset") not in get_args(DatasetName):
            return given
        defaults = _OPTIONS[given["dataset"]]
        return given | {name: value for name, value in defaults.items() if given.get(name) is None}

    @model_validator(mode="after")
    def _check_options(self) -> DataSettings:
        options = _OPTIONS[self.dataset]
        for name in type(self).model_fields:
            if name not in _COMMON and name not in options and getattr(self, name) is not None:
                valid = ", ".join((*options, *_COMMON[1:]))
                raise ValueError(f"{name} is not an option of data set {self.dataset}, whose options are {valid}")
        if self.view == "patches" and self.patch is None:
            raise ValueError("view patches needs patch, the side of a patch in pixels")
        if self.view != "patches" and self.patch is not None:
            raise ValueError(f"patch is an option of view patches, not of view {self.view}")
        if self.dataset in ("npz", "file") and self.path is None:
            raise ValueError(f"data set {self.dataset} needs path, the file that holds it")
        if self.dataset == "series" and self.washout >= self.steps:
            raise ValueError(f"washout {self.washout} leaves nothing of {self.steps} steps to be told")
        if self.dataset == "recall" and self.pairs > self.keys:
            raise ValueError(f"{self.pairs} pairs need as many different keys, but keys is {self.keys}")
        return self
