"""Finds circuit templates by name: those installed with the package, then ``./circuits``, then a path given.

A template is a Python file whose ``build(num_qubits, ...)`` returns a
:class:`~qlam_qiskit.memory_circuit.MemoryCircuit`; the file's name is the template's name. Where a name
occurs twice, the later place wins, so that a researcher's own ``./circuits/ring.py`` is the one that runs.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlam_qiskit.bundled import bundled_folder
from qlam_qiskit.errors import CircuitError, ConfigurationError, kind_and_reason
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.suggestions import did_you_mean

# What a template may raise to leave with; it must not take the program along.
_LEAVING = (Exception, SystemExit, KeyboardInterrupt)
_LONGEST_FILE = 1_000_000  # bytes


@dataclass(frozen=True)
class TemplateFile:
    """A template that was found: its name, its file, and the sentence that its docstring opens with."""

    name: str
    path: Path
    summary: str


def find_templates(extra: Path | None = None) -> dict[str, TemplateFile]:
    """List the templates of memory circuits that there are: those that ship, and those in ``./circuits``.

    Parameters
    ----------
    extra
        A folder of templates more, or one template file.

    Returns
    -------
    dict
        Name to file and summary; nothing is executed.

    Raises
    ------
    ConfigurationError
        When ``extra`` is not there.
    """
    found: dict[str, TemplateFile] = {}
    for place in (bundled_folder("circuits"), Path("circuits"), extra):
        if place is None:
            continue
        if not place.exists():
            if place is extra:
                raise ConfigurationError(f"{extra}: no such file or folder of templates")
            continue
        found |= _found_in(place)
    return found


def _found_in(place: Path) -> dict[str, TemplateFile]:
    # Path.resolve raises where a symbolic link leads to itself.
    return {
        path.stem: TemplateFile(path.stem, Path(os.path.realpath(path)), _summary(path))
        for path in _files(place)
        if not path.stem.startswith("_")
    }


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    try:
        return sorted(place.glob("*.py"))
    except OSError:
        return []


def load_template(
    name: str, num_qubits: int, options: dict[str, Any] | None = None, extra: Path | None = None
) -> MemoryCircuit:
    """Build a template's memory circuit.

    Parameters
    ----------
    name
        One of :func:`find_templates`, or the path of a template file.
    num_qubits
        Qubits of the memory, n.
    options
        Go to the file's ``build`` function by keyword.
    extra
        As in :func:`find_templates`.

    Returns
    -------
    MemoryCircuit
        Its update, inputs and weights.

    Raises
    ------
    ConfigurationError
        For an unknown name or option; the message lists the valid ones.
    CircuitError
        When the file cannot be run, or returns no MemoryCircuit.
    """
    if name.endswith(".py"):
        extra, name = Path(name), Path(name).stem
    return _build(find_templates(extra), name, num_qubits, options or {})


def load_installed_template(name: str, num_qubits: int, options: dict[str, Any] | None = None) -> MemoryCircuit:
    """Build a template that came with the package, whatever else bears its name; raises as :func:`load_template`."""
    return _build(_found_in(bundled_folder("circuits")), name, num_qubits, options or {})


def _build(templates: dict[str, TemplateFile], name: str, num_qubits: int, options: dict[str, Any]) -> MemoryCircuit:
    if name not in templates:
        near = did_you_mean(name, templates)
        raise ConfigurationError(f"unknown circuit template {name!r}; available: {', '.join(sorted(templates))}{near}")
    if num_qubits < 1:
        raise ConfigurationError(f"a memory has at least 1 qubit, not {num_qubits}")
    path = templates[name].path
    build = _load_build(path)
    _check_options(name, build, options)
    try:
        with redirect_stdout(sys.stderr):
            memory = build(num_qubits, **options)
    except (CircuitError, ConfigurationError):
        raise
    except _LEAVING as error:
        raise CircuitError(f"{path}: build({num_qubits}) failed: {kind_and_reason(error)}") from error
    if not isinstance(memory, MemoryCircuit):
        raise CircuitError(f"{path}: build must return a MemoryCircuit, not {type(memory).__name__}")
    return memory


def _load_build(path: Path) -> Callable[..., MemoryCircuit]:
    specification = importlib.util.spec_from_file_location(f"qlam_template_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise CircuitError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(specification)
    if not path.is_file():  # a pipe would be waited for
        raise CircuitError(f"{path}: cannot be imported: not a file")
    sys.modules[module.__name__] = module  # where dataclasses look up the file's annotations
    try:
        with redirect_stdout(sys.stderr):
            specification.loader.exec_module(module)
    except _LEAVING as error:
        del sys.modules[module.__name__]
        raise CircuitError(f"{path}: cannot be imported: {kind_and_reason(error)}") from error
    build = getattr(module, "build", None)
    if not callable(build):
        raise CircuitError(f"{path}: defines no function build(num_qubits, ...)")
    return build


def _check_options(name: str, build: Callable[..., MemoryCircuit], options: dict[str, Any]) -> None:
    try:
        parameters = list(inspect.signature(build).parameters.values())[1:]
    except (TypeError, ValueError):  # a built-in type, for one, says nothing of its parameters
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    valid = [parameter.name for parameter in parameters]
    for option in options:
        if option not in valid:
            listed = ", ".join(valid) or "none"
            raise ConfigurationError(f"unknown option {option!r} of circuit template {name!r}; valid options: {listed}")


def _summary(path: Path) -> str:
    """Read the first line of a file's docstring without running it."""
    import ast

    try:
        if not path.is_file() or path.stat().st_size > _LONGEST_FILE:
            return "(cannot be read)"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's own syntax
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return "(cannot be read)"
    lines = (docstring or "").strip().splitlines()
    return lines[0] if lines else ""
