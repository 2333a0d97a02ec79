"""What the JSON of run folders and results must hold: one checked model for each kind of record.

A record that passes is handed on as the plain mapping that it is; keys that no reader needs may be there too.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qlam_qiskit.configuration import one_line
from qlam_qiskit.errors import RunError
from qlam_qiskit.workspace import append_line, open_regular

_MOST_BYTES = 2**26

Count = Annotated[int, Field(ge=1, lt=2**63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Error = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Record(BaseModel):
    """Base of every record: types are strict, further keys are let through."""

    model_config = ConfigDict(extra="allow", strict=True)

    # What is said of a file that is no JSON, and of JSON that is no record.
    no_json: ClassVar[str] = "damaged: not JSON"
    no_record: ClassVar[str] = "damaged: not a JSON object"


def _check_figures(name: str, accuracy: float | None, *errors: float | None) -> None:
    """Raise ValueError where a record has neither an accuracy nor the errors of numbers."""
    if accuracy is None and None in errors:
        raise ValueError(f"{name}: missing")


class Refit(Record):
    """Of which weights a refitted run is."""

    weights: str | None = None


class RunDescription(Record):
    """run.json: the task, the model's shape, the circuit's fingerprint, versions."""

    task: str
    steps: Count
    token_size: Count
    classes: Count
    answers: Count
    parameters: Annotated[int, Field(ge=0, lt=2**63)]
    qubits: Count | None = None
    circuit_fingerprint: str | None = None
    circuit_digest: str | None = None
    noisy_circuit_digest: str | None = None
    backend: str = "exact"
    backend_settings: dict[str, Any] = {}
    versions: dict[str, str] = {}
    refit: Refit = Refit()


class RunResult(Record):
    """result.json: how well the test set was answered, and how long training took."""

    task: str
    test_accuracy: Fraction | None = None
    test_nrmse: Error | None = None
    test_mae: Error | None = None
    test_r2: float | None = None
    test_loss: float
    test_samples: Count
    best_epoch: Annotated[int, Field(ge=0, lt=2**63)]
    parameters: Annotated[int, Field(ge=0, lt=2**63)]
    train_seconds: Seconds
    validation_accuracy: Fraction | None = None
    train_accuracy: Fraction | None = None
    test_noise: str | None = None
    clean_test_accuracy: Fraction | None = None

    @model_validator(mode="after")
    def _check_figures(self) -> RunResult:
        _check_figures("test_accuracy", self.test_accuracy, self.test_nrmse, self.test_mae, self.test_r2)
        return self


class EpochMetrics(Record):
    """A line of metrics.jsonl."""

    epoch: Count
    train_loss: float
    train_accuracy: Fraction | None = None
    train_nrmse: Error | None = None
    validation_loss: float = math.nan
    validation_accuracy: Fraction = 0.0
    validation_noise: str | None = None
    validation_nrmse: Error = 0.0
    seconds: Seconds = 0.0

    @model_validator(mode="after")
    def _check_figures(self) -> EpochMetrics:
        _check_figures("train_accuracy", self.train_accuracy, self.train_nrmse)
        return self


class EvaluationRecord(Record):
    """A line of evaluations.jsonl."""

    accuracy: Fraction | None = None
    nrmse: Error | None = None
    mae: Error | None = None
    r2: float | None = None
    samples: Count
    backend: str
    shots: Count | None
    noise: str | None = None
    part: Literal["test", "validation", "train"] = "test"
    mitigated: bool = False
    loss: float = math.nan

    @model_validator(mode="after")
    def _check_figures(self) -> EvaluationRecord:
        _check_figures("accuracy", self.accuracy, self.nrmse, self.mae, self.r2)
        return self


class PackedAnswers(Record):
    """Which answers are right, (samples, answers), as base64 of one bit each."""

    shape: Annotated[list[Count], Field(min_length=2, max_length=2)]
    bits: str

    @model_validator(mode="after")
    def _check_size(self) -> PackedAnswers:
        try:
            held = len(base64.b64decode(self.bits, validate=True))
        except ValueError:
            raise ValueError("bits: not base64") from None
        if held != (math.prod(self.shape) + 7) // 8:
            raise ValueError(f"bits: {held} bytes are not one bit for each of {self.shape}")
        return self


class TrackedAs(Record):
    """tracking.json: what each tracker knows the run as, by the tracker's name."""

    __pydantic_extra__: dict[str, str | None]


_OF_CLASSES = ("test_accuracy", "validation_accuracy", "correct")  # of a run of a comparison


class Environment(Record):
    """Where a run of a comparison was trained; on which GPU, if on any."""

    processor: str
    gpu: str | None = None


class ComparisonRecord(Record):
    """One training of a comparison: what it is of."""

    no_json: ClassVar[str] = "cannot be read: not JSON"
    no_record: ClassVar[str] = "not a comparison's record"

    case: str
    model: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    multiplier: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    variant: dict[str, Any] = {}
    experiment: dict[str, Any]
    validation_accuracy: Fraction | None = None
    validation_nrmse: Error | None = None

    @model_validator(mode="after")
    def _check_validation(self) -> ComparisonRecord:
        if not {"validation_accuracy", "validation_nrmse"} & self.model_fields_set:
            raise ValueError("validation_accuracy: missing")
        return self


class FinalRecord(ComparisonRecord):
    """A run of a comparison that was tested: right answers were counted, or errors of numbers, one for each sample."""

    task: str
    parameters: Annotated[int, Field(ge=0, lt=2**63)]
    train_samples: Count
    test_samples: Count
    test_accuracy: Fraction | None = None
    test_nrmse: Error | None = None
    train_seconds: Seconds
    correct: PackedAnswers | None = None
    errors: list[Error] | None = None
    metrics: list[EpochMetrics] = []
    environment: Environment = Environment(processor="unknown")

    @model_validator(mode="after")
    def _check_test(self) -> FinalRecord:
        of_numbers = "test_nrmse" in self.model_fields_set
        names = ("test_nrmse", "validation_nrmse", "errors") if of_numbers else _OF_CLASSES
        for name in names:
            if getattr(self, name) is None:
                raise ValueError(f"{name}: missing")
        if of_numbers and len(self.errors) != self.test_samples:
            raise ValueError(f"errors: {len(self.errors)} are not one for each of {self.test_samples} test samples")
        return self


def read_json(path: Path, kind: type[Record]) -> dict[str, Any]:
    """Read a JSON file that holds one record; raises RunError naming the file, and the key that is wrong."""
    try:
        values = json.loads(_read(path))
    except FileNotFoundError:
        raise RunError(f"{path}: missing; the run folder is not complete") from None
    except (ValueError, RecursionError):
        raise RunError(f"{path}: {kind.no_json}") from None
    return _checked(values, kind, str(path))


def read_lines(path: Path, kind: type[Record]) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON-lines file, none where there is no such file.

    A line that was cut short by the death of its process is passed over: each record stands alone. Raises RunError
    naming the line and the key where a sound line holds something else.
    """
    try:
        content = _read(path)
    except FileNotFoundError:
        return
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            continue
        yield _checked(values, kind, f"{path}, line {number}")


def append_record(path: Path, values: dict[str, Any]) -> None:
    """Add a record to a JSON-lines file, on a line of its own even where the last one was cut short."""
    append_line(path, json.dumps(values))


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(content) > _MOST_BYTES:
        raise RunError(f"{path}: damaged: larger than {_MOST_BYTES:,} bytes")
    return content


def _said(kind: type[Record], error: ValidationError) -> str:
    return one_line(kind, error).removeprefix("file: ")  # where it is the record as a whole


def _checked(values: Any, kind: type[Record], source: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise RunError(f"{source}: {kind.no_record}")
    try:
        kind.model_validate(values)
    except ValidationError as error:
        raise RunError(f"{source}: damaged: {_said(kind, error)}") from None
    return values
