"""A run's folder: what was asked for, how it went, and the weights; all of it JSON, YAML or safetensors.

experiment.yaml     the experiment, every key written out
run.json            the task, the model's shape, the circuit's fingerprint, versions
metrics.jsonl       one line for each finished epoch
checkpoints/        last.safetensors and best.safetensors
result.json         the test set's accuracy, written when training has finished
evaluations.jsonl   one line for each later evaluation
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qlam_qiskit.configuration import check, read_yaml
from qlam_qiskit.errors import ConfigurationError, RunError
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.runs.experiment import Experiment
from qlam_qiskit.runs.records import (
    EpochMetrics,
    EvaluationRecord,
    RunDescription,
    RunResult,
    append_line,
    read_json,
    read_lines,
)
from qlam_qiskit.workspace import workspace, write_atomically


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def last(self) -> Path:
        """The newest checkpoint, from which training resumes."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        """The checkpoint that is evaluated."""
        return self.path / "checkpoints" / "best.safetensors"

    def weights_digest(self) -> str:
        """Hash the checkpoint that is evaluated, so that results can be matched to it wherever the folder lies."""
        try:
            return hashlib.sha256(self.best.read_bytes()).hexdigest()[:16]
        except OSError as error:
            raise RunError(f"{self.best}: cannot be read: {error.strerror}") from None

    @classmethod
    def create(cls, experiment: Experiment, name: str, out: Path | None) -> RunFolder:
        """Make a new folder for a run: ``out``, or one named after the experiment in the workspace."""
        for path in [out] if out else _numbered(workspace() / name):
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if out is None:
                    continue
                if not path.is_dir() or any(path.iterdir()):
                    raise ConfigurationError(
                        f"{path}: already exists; continue it with --resume, or choose another --out"
                    ) from None
            except OSError as error:
                raise ConfigurationError(f"{path}: cannot be made: {error.strerror}") from None
            break
        folder = cls(path)
        (path / "checkpoints").mkdir()
        write_atomically(path / "experiment.yaml", dump_yaml(experiment.model_dump()))
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run by its path, or by its name in the workspace; raises RunError when it is none."""
        for candidate in (path, workspace() / path):
            if (candidate / "experiment.yaml").is_file():
                return cls(candidate)
        raise RunError(f"{path}: not a run folder (it has no experiment.yaml)")

    @classmethod
    def latest(cls, name: str) -> RunFolder:
        """Open the newest run of an experiment in the workspace; raises RunError when there is none."""
        newest = None
        for path in _numbered(workspace() / name):
            if not path.exists():
                break
            newest = path
        if newest is None:
            raise RunError(f"no run of {name!r} to resume in {workspace()}")
        return cls.open(newest)

    def experiment(self) -> Experiment:
        """Read the experiment that the run was started with."""
        path = self.path / "experiment.yaml"
        try:
            return check(Experiment, read_yaml(path), str(path))
        except ConfigurationError as error:
            raise RunError(str(error)) from None

    def description(self) -> dict[str, Any]:
        """Read run.json."""
        return read_json(self.path / "run.json", RunDescription)

    def result(self) -> dict[str, Any] | None:
        """Read result.json; None while training has not finished."""
        path = self.path / "result.json"
        return read_json(path, RunResult) if path.exists() else None

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file of the run."""
        write_atomically(self.path / name, json.dumps(values, indent=2) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Read the metrics of all finished epochs."""
        rows = list(read_lines(self.path / "metrics.jsonl", EpochMetrics))
        if any(row.keys() != rows[0].keys() for row in rows):
            raise RunError(f"{self.path / 'metrics.jsonl'}: damaged: its lines differ in their keys")
        return rows

    def evaluations(self) -> list[dict[str, Any]]:
        """Read the evaluations of the run, the oldest first."""
        return list(read_lines(self.path / "evaluations.jsonl", EvaluationRecord))

    def keep_metrics(self, epochs: int) -> None:
        """Drop the metrics of epochs that will be trained again."""
        kept = [json.dumps(row) + "\n" for row in self.metrics() if row["epoch"] <= epochs]
        write_atomically(self.path / "metrics.jsonl", "".join(kept))

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Add one line to a JSON-lines file."""
        append_line(self.path / name, dict(row))


def _numbered(path: Path) -> Iterator[Path]:
    """Yield path, path-2, path-3, ..."""
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.name}-{number}")
        number += 1
