"""Finds comparisons by name: those that ship with the package, ``./experiments/comparisons``, or a file's path."""

from __future__ import annotations

from pathlib import Path

from qlam_qiskit.bundled import bundled_folder
from qlam_qiskit.compare.settings import Comparison
from qlam_qiskit.configuration import check, read_yaml
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.suggestions import did_you_mean


def find_comparisons() -> dict[str, Path]:
    """List comparisons by name; where a name occurs twice, the one under ``./experiments`` is taken."""
    found = {}
    for folder in (bundled_folder("experiments"), Path("experiments")):
        found.update({path.stem: path for path in sorted((folder / "comparisons").glob("*.yaml"))})
    return found


def load_comparison(name: str) -> Comparison:
    """Read and check a comparison given by name or path; raises ConfigurationError."""
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    else:
        found = find_comparisons()
        if name not in found:
            listed = ", ".join(sorted(found)) or "none"
            near = did_you_mean(name, found)
            raise ConfigurationError(f"unknown comparison {name!r}; available: {listed}{near}")
        path = found[name]
    return check(Comparison, read_yaml(path), str(path))
