"""Finds the trained runs that come with the package by their names, ``pretrained:NAME``; nothing is written to them."""

from __future__ import annotations

from pathlib import Path

from qlam_qiskit.errors import ConfigurationError, RunError
from qlam_qiskit.suggestions import did_you_mean

PREFIX = "pretrained:"


def find_pretrained() -> dict[str, Path]:
    """List the trained runs that come with the package; ``Run.open("pretrained:NAME")`` opens one.

    Returns
    -------
    dict
        Name to folder.
    """
    folder = Path(__file__).resolve().parents[1] / "pretrained"
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/experiment.yaml"))}


def is_pretrained(path: Path) -> bool:
    """Whether a run is called ``pretrained:...``, which no folder of a user's can be."""
    return str(path).startswith(PREFIX)


def pretrained_folder(path: Path) -> Path:
    """Return the folder of ``pretrained:NAME``; raises RunError when none of that name came with the package."""
    found, name = find_pretrained(), str(path).removeprefix(PREFIX)
    if name not in found:
        near = did_you_mean(name, found)
        raise RunError(f"{path}: no such run comes with the package; there are: {', '.join(found)}{near}")
    return found[name]


def check_new_name(path: Path) -> None:
    """Raise ConfigurationError where a new run would be called like one that comes with the package."""
    if is_pretrained(path) or is_pretrained(Path(path.name)):
        raise ConfigurationError(f"{path}: only runs that come with the package are called {PREFIX}NAME")
