"""A run's folder: what was asked for, how it went, and the weights; all of it JSON, YAML, QPY or safetensors.

experiment.yaml     the experiment, every key written out
run.json            the task, the model's shape, the circuit's fingerprint, the backend, versions
circuits.qpy        the memory's circuit: update and query
noisy_circuits.qpy  the same with the errors that it is trained with, if any
metrics.jsonl       one line for each finished epoch
checkpoints/        last.safetensors and best.safetensors; while it trains, previous.safetensors
result.json         the test set's accuracy, written when training has finished
evaluations.jsonl   one line for each later evaluation
card.yaml           a model card, if someone has written one
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from qlam_qiskit.configuration import check, read_yaml
from qlam_qiskit.errors import BusyError, ConfigurationError, RunError
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.runs.experiment import Experiment
from qlam_qiskit.runs.pretrained import PREFIX, check_new_name, find_pretrained, is_pretrained, pretrained_folder
from qlam_qiskit.runs.records import (
    EpochMetrics,
    EvaluationRecord,
    RunDescription,
    RunResult,
    TrackedAs,
    append_record,
    read_json,
    read_lines,
)
from qlam_qiskit.suggestions import did_you_mean
from qlam_qiskit.workspace import make_private_folder, open_regular, run_names, workspace, write_atomically, write_file

_LOCK = ".lock"


class RunFolder:
    """The files of one run; one that is ``pretrained``, which came with the package, is never written to."""

    def __init__(self, path: Path, *, pretrained: bool = False) -> None:
        self.path = path
        self.pretrained = pretrained

    @property
    def reference(self) -> str:
        """By what the run is opened again: its path, or its name among those that came with the package."""
        return f"{PREFIX}{self.path.name}" if self.pretrained else str(self.path)

    @property
    def additions(self) -> Path:
        """Where evaluations, pages and figures are kept: here, or of a pretrained run in the workspace."""
        return workspace() / "pretrained" / self.path.name if self.pretrained else self.path

    def addition(self, name: str) -> Path:
        """Return the path of a file that is made of the run, in a folder that there is; raises RunError."""
        if self.pretrained:
            with self.written():
                make_private_folder(self.additions)
        return self.additions / name

    @property
    def last(self) -> Path:
        """The newest checkpoint, from which training resumes."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def previous(self) -> Path:
        """The checkpoint before the newest, kept until training ends."""
        return self.path / "checkpoints" / "previous.safetensors"

    @property
    def best(self) -> Path:
        """The checkpoint that is evaluated."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def circuit(self) -> Path:
        """The memory's circuit, which a baseline lacks."""
        return self.path / "circuits.qpy"

    @property
    def noisy_circuit(self) -> Path:
        """The memory's circuit with the errors that the model is trained with, where there are any."""
        return self.path / "noisy_circuits.qpy"

    @property
    def card(self) -> Path:
        """The model card, if there is one."""
        return self.path / "card.yaml"

    def weights_digest(self) -> str:
        """Hash the checkpoint that is evaluated, so that results can be matched to it wherever the folder lies."""
        try:
            with open_regular(self.best) as file:
                return hashlib.sha256(file.read()).hexdigest()[:16]
        except OSError as error:
            raise RunError(f"{self.best}: cannot be read: {error.strerror}") from None

    @classmethod
    def create(cls, experiment: Experiment, name: str, out: Path | None) -> RunFolder:
        """Make a new folder for a run: ``out``, or one named after the experiment in the workspace.

        Whatever kills or fails this leaves a folder in which nothing was begun, which is then taken for a new one.
        Raises ConfigurationError when the folder is in use or cannot be made.
        """
        for path in [out] if out else _numbered(workspace() / name):
            check_new_name(path)
            folder = cls(path)
            with folder.written():
                try:
                    if out is None:
                        make_private_folder(path)
                    else:
                        path.mkdir(parents=True, exist_ok=True)
                except FileExistsError:
                    if not os.path.lexists(path):  # it is a folder above that is none
                        raise
                    taken = True
                else:
                    taken = not folder.is_vacant()
            if not taken:
                folder._make(experiment)
                return folder
            if out is not None:
                break
        raise ConfigurationError(f"{path}: already exists; continue it with --resume, or choose another --out")

    def _make(self, experiment: Experiment) -> None:
        with self.locked(), self.written():
            if not self.is_vacant():
                raise ConfigurationError(f"{self.path}: another process has just begun a run here")
            self.sweep()
            (self.path / "checkpoints").mkdir(exist_ok=True)
            # Last of all: without this file nothing was begun.
            write_atomically(self.path / "experiment.yaml", dump_yaml(experiment.model_dump()))

    def is_vacant(self) -> bool:
        """Whether nothing was begun in the folder, which there is: it holds nothing, or what a killed process left."""
        if not self.path.is_dir():
            return False
        left = {_LOCK, "checkpoints"}
        return all(
            path.name in left or path.name.startswith(".experiment.yaml.") for path in self.path.iterdir()
        ) and not any((self.path / "checkpoints").glob("[!.]*"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training here meanwhile; raises BusyError when one is. It ends with its process."""
        if self.pretrained:
            raise ConfigurationError(f"{self.reference}: comes with the package, and stays as it is")
        lock = FileLock(self.path / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise BusyError(f"{self.path}: another process is training this run; wait for it, or stop it") from None
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        try:
            yield
        finally:
            lock.release()

    def is_busy(self) -> bool:
        """Whether another process is training here at this moment."""
        if not self.path.is_dir():
            return False
        try:
            with self.locked():
                return False
        except BusyError:
            return True

    @contextmanager
    def written(self) -> Iterator[None]:
        """Turn a full disk, a missing right and the like into one line."""
        try:
            yield
        except (ConnectionError, TimeoutError):
            raise  # of a backend
        except OSError as error:
            raise RunError(f"{self.additions}: cannot be written: {error.strerror or error}") from None

    def unlock_file(self) -> None:
        """Remove the lock's file, for whoever holds the lock and removes the folder."""
        (self.path / _LOCK).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what processes left that were killed while they wrote a file; for whoever holds the lock."""
        names = (
            "experiment.yaml",
            "run.json",
            self.circuit.name,
            self.noisy_circuit.name,
            "metrics.jsonl",
            "result.json",
        )
        checkpoints = (self.last, self.previous, self.best)
        for path in (*(self.path / name for name in names), *checkpoints):
            for leftover in path.parent.glob(f".{path.name}.*"):
                leftover.unlink(missing_ok=True)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run by path, by name in the workspace, or as ``pretrained:NAME``; raises RunError when it is none."""
        if is_pretrained(path):
            return cls(pretrained_folder(path), pretrained=True)
        for candidate in (path, workspace() / path):
            if (candidate / "experiment.yaml").is_file():
                return cls(candidate, pretrained=candidate.resolve() in find_pretrained().values())
        near = did_you_mean(path.name, run_names())
        if not near and str(path) in find_pretrained():
            near = f"; did you mean {PREFIX}{path}?"
        if path.exists():
            raise RunError(f"{path}: not a run folder (it has no experiment.yaml){near}")
        raise RunError(f"{path}: no such run, neither a folder nor a name in {workspace()}{near}")

    @classmethod
    def latest(cls, name: str) -> RunFolder:
        """Return the newest run of an experiment in the workspace, begun or not; raises RunError when there is none."""
        newest = None
        for path in _numbered(workspace() / name):
            if not path.exists():
                break
            newest = path
        if newest is None:
            raise RunError(f"no run of {name!r} to resume in {workspace()}")
        return cls(newest)

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

    def tracked_as(self) -> dict[str, str | None]:
        """Read tracking.json, what trackers know the run as; empty where none does."""
        path = self.path / "tracking.json"
        return read_json(path, TrackedAs) if path.exists() else {}

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file of the run."""
        write_file(self.path / name, json.dumps(values, indent=2) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Read the metrics of all finished epochs."""
        rows = list(read_lines(self.path / "metrics.jsonl", EpochMetrics))
        if any(row.keys() != rows[0].keys() for row in rows):
            raise RunError(f"{self.path / 'metrics.jsonl'}: damaged: its lines differ in their keys")
        return rows

    def evaluations(self) -> list[dict[str, Any]]:
        """Read the evaluations of the run, the oldest first."""
        folders = dict.fromkeys((self.path, self.additions))
        return [row for folder in folders for row in read_lines(folder / "evaluations.jsonl", EvaluationRecord)]

    def keep_metrics(self, epochs: int) -> None:
        """Drop the metrics of epochs that will be trained again."""
        kept = [json.dumps(row) + "\n" for row in self.metrics() if row["epoch"] <= epochs]
        write_file(self.path / "metrics.jsonl", "".join(kept))

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Add one line to a JSON-lines file."""
        append_record(self.addition(name), dict(row))


def _numbered(path: Path) -> Iterator[Path]:
    """Yield path, path-2, path-3, ..."""
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.name}-{number}")
        number += 1
