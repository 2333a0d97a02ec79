"""The results of a comparison: one small JSON file for each run and each step of the search, in a folder to commit."""

from __future__ import annotations

import base64
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from qlam_qiskit.compare.planning import Job
from qlam_qiskit.configuration import check
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.runs import ComparisonRecord, FinalRecord, read_json
from qlam_qiskit.training import Experiment
from qlam_qiskit.workspace import write_file


class Records:
    """The folder of a comparison's results: runs in it, the search's trials and finalists in its folder ``search``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, job: Job) -> Path:
        """Return the file of a job."""
        return (self.folder if job.stage == "final" else self.folder / "search") / f"{job.name}.json"

    def find(self, job: Job) -> dict[str, Any] | None:
        """Read the record of a job; None when there is none. Raises ConfigurationError when it is of another one."""
        path = self.path(job)
        if not path.exists():
            return None
        record = read_json(path, FinalRecord if job.stage == "final" else ComparisonRecord)
        then = check(Experiment, record["experiment"], str(path))
        if then != job.experiment:
            changed = ", ".join(sorted(differing_keys(then.model_dump(), job.experiment.model_dump())))
            raise ConfigurationError(
                f"{path}: of another configuration ({changed}); remove it, or give another folder with --out"
            )
        return record

    def write(self, job: Job, values: dict[str, Any]) -> None:
        """Keep a record, with what it is of."""
        path = self.path(job)
        record = {
            "case": job.case,
            "model": job.model,
            "seed": job.experiment.seed,
            "multiplier": job.multiplier,
            "variant": job.variant,
            "fingerprint": job.fingerprint,
            "experiment": job.experiment.model_dump(exclude_none=True),
            **values,
        }
        write_file(path, json.dumps(record, indent=1) + "\n", parents=True)

    def runs(self) -> list[dict[str, Any]]:
        """Read the records of all finished runs, by file name."""
        names = (path for path in sorted(self.folder.glob("*.json")) if path.name != "table.json")
        return [read_json(path, FinalRecord) for path in names]


def differing_keys(one: Any, other: Any, key: str = "") -> set[str]:
    """Name the dotted keys in which two nested mappings differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = [differing_keys(one.get(k), other.get(k), f"{key}.{k}" if key else k) for k in one.keys() | other]
        return set().union(*found)
    return set() if one == other else {key}


def pack(correct: np.ndarray) -> dict[str, Any]:
    """Write which answers are right, bool (N, M), as base64 of one bit each."""
    bits = np.packbits(correct.astype(np.uint8))
    return {"shape": list(correct.shape), "bits": base64.b64encode(bits.tobytes()).decode()}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """Read which answers are right, bool (N, M)."""
    count = int(np.prod(packed["shape"]))
    bits = np.frombuffer(base64.b64decode(packed["bits"]), np.uint8)
    return np.unpackbits(bits, count=count).reshape(packed["shape"]).astype(bool)


def environment(versions: dict[str, str], device: str = "cpu") -> dict[str, Any]:
    """Describe where a run was trained, as far as its numbers depend on it."""
    import torch

    return {
        "python": platform.python_version(),
        "versions": versions,
        "processor": f"{processor_name()} ({torch.backends.cpu.get_cpu_capability()})",
        **({} if device == "cpu" else {"gpu": torch.cuda.get_device_name()}),
        "threads": torch.get_num_threads(),
    }


def machine(record: dict[str, Any]) -> str:
    """Name the GPU that a run was trained on, or the processor."""
    place = record.get("environment", {})
    return place.get("gpu") or place.get("processor", "unknown")


def processor_name() -> str:
    """Return the processor's name as the kernel gives it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
