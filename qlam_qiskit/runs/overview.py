"""The runs of a workspace at a glance: what each was, how well it did, and how long ago."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from qlam_qiskit.errors import QlamError
from qlam_qiskit.runs.run_folder import RunFolder
from qlam_qiskit.workspace import workspace


@dataclass(frozen=True)
class Overview:
    """One run; what its files do not say is None.

    Attributes
    ----------
    name, path
        Its folder.
    task, backend
        What it was trained on, and where.
    accuracy
        Of the test set, a fraction; None while training has not finished, and where numbers are predicted.
    nrmse
        The error of predicted numbers in the test set, relative to their standard deviation.
    epochs
        How many have finished.
    parameters
        How many are trained.
    evaluations
        How many later evaluations were kept.
    changed
        When training last wrote to it, in seconds since 1970.
    problem
        What is wrong with the folder.
    """

    name: str
    path: Path
    task: str | None = None
    backend: str | None = None
    accuracy: float | None = None
    epochs: int = 0
    parameters: int | None = None
    evaluations: int = 0
    changed: float = 0.0
    problem: str | None = None
    nrmse: float | None = None

    @classmethod
    def of(cls, folder: RunFolder) -> Overview:
        """Read a run's small files; never raises for what is in them."""
        path = folder.path
        written = [path / name for name in ("experiment.yaml", "metrics.jsonl", "result.json")]
        changed = max((file.stat().st_mtime for file in written if file.exists()), default=0.0)
        try:
            description, result = folder.description(), folder.result() or {}
            return cls(
                path.name,
                path,
                description.get("task"),
                description.get("backend"),
                result.get("test_accuracy"),
                len(folder.metrics()),
                description.get("parameters"),
                len(folder.evaluations()),
                changed,
                nrmse=result.get("test_nrmse"),
            )
        except (QlamError, AttributeError) as error:
            return cls(path.name, path, changed=changed, problem=str(error))

    @property
    def reached(self) -> str:
        """How well it did: the test set's accuracy or NRMSE, or the epoch that training has come to."""
        if self.accuracy is not None:
            return f"{self.accuracy:.2%}"
        if self.nrmse is not None:
            return f"NRMSE {self.nrmse:.3f}"
        return "damaged" if self.problem else f"epoch {self.epochs}"

    @property
    def age(self) -> float:
        """Seconds since training last wrote to it."""
        return max(0.0, time.time() - self.changed)


def accuracies(folder: RunFolder) -> tuple[float | None, dict[str, float]]:
    """Return a run's accuracy in the test set without noise, and on each noisy backend that of the most samples."""
    result = folder.result() or {}
    clean = result.get("clean_test_accuracy")
    tested = [row for row in folder.evaluations() if row.get("part", "test") == "test" and "accuracy" in row]
    most = sorted(tested, key=lambda row: row["samples"])
    noisy = {row["backend"]: row["accuracy"] for row in most if row["backend"] != "exact"}
    return result.get("test_accuracy") if clean is None else clean, noisy


def find_runs(home: Path | None = None) -> list[Overview]:
    """List the runs in the workspace, the latest first."""
    home = home or workspace()
    folders = [RunFolder(path.parent) for path in home.glob("*/experiment.yaml") if path.is_file()]
    return sorted((Overview.of(folder) for folder in folders), key=lambda run: -run.changed)
