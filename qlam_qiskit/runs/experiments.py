"""Finds experiments by name: those that ship with the package, ``./experiments``, or a YAML file's path."""

from __future__ import annotations

from pathlib import Path

from qlam_qiskit.bundled import bundled_folder
from qlam_qiskit.configuration import check, override, read_yaml
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.runs.experiment import Experiment
from qlam_qiskit.suggestions import did_you_mean


def find_experiments() -> dict[str, Path]:
    """List the experiments that there are.

    Returns
    -------
    dict
        Name to YAML file; where a name occurs twice, the one in ``./experiments`` is taken.
    """
    found = {}
    for folder in (bundled_folder("experiments"), Path("experiments")):
        found.update({path.stem: path for path in sorted(folder.glob("*.yaml"))})
    return found


def load_experiment(
    name: str, assignments: tuple[str, ...] = (), *, seed: int | None = None, backend: str | None = None
) -> Experiment:
    """Read and check an experiment.

    Parameters
    ----------
    name
        One of :func:`find_experiments`, or a YAML file's path.
    assignments
        What to change: ``("training.epochs=3",)``, as ``--set`` on the command line.
    seed, backend
        Take the place of the file's.

    Returns
    -------
    Experiment
        Checked, and frozen.

    Raises
    ------
    ConfigurationError
        For an unknown name, an unknown key (listing the valid ones) or a wrong value.
    """
    path = experiment_path(name)
    values = override(read_yaml(path), assignments)
    if seed is not None:
        values["seed"] = seed
    if backend is not None:
        values["backend"] = backend
    return check(Experiment, values, str(path))


def experiment_path(name: str) -> Path:
    """Return the file of an experiment given by name or path."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    found = find_experiments()
    if name not in found:
        near = did_you_mean(name, found)
        raise ConfigurationError(f"unknown experiment {name!r}; available: {', '.join(sorted(found))}{near}")
    return found[name]
