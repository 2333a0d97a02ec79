"""What a benchmark ran on: hardware and versions, nothing that names the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.frameworks import cores
from qlam_qiskit.compare.records import processor_name

_PACKAGES = (
    "qlam-qiskit",
    "numpy",
    "numba",
    "torch",
    "qiskit",
    "qiskit-aer",
    "qiskit-machine-learning",
    "tensorcircuit-ng",
    "cotengra",
    "jax",
    "pennylane",
    "pennylane-lightning",
)


def describe() -> dict[str, Any]:
    """Return processor, cores, memory, system and the versions of what is installed."""
    return {
        "processor": processor_name(),
        "cores": cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": _system(),
        "python": platform.python_version(),
        "versions": {package: found for package in _PACKAGES if (found := _version(package)) is not None},
    }


def _system() -> str:
    try:
        return f"{platform.system()}, {platform.freedesktop_os_release()['PRETTY_NAME']}"
    except OSError:
        return platform.system()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
