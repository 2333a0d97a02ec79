"""Reads ``backends.yaml``: which backends there are by name, and which one runs when none is named.

The file is the one given, else ``QLAM_BACKENDS``, else ``./backends.yaml``, else the one that ships with the
package. Credentials have no place in it, so a file that holds any is refused, without repeating them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from qlam_qiskit.backends.specs import BackendSpec, make_spec
from qlam_qiskit.configuration import at_line, read_yaml
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.suggestions import did_you_mean

_SECRET_KEY = re.compile(r"token|api_?key|password|passwd|secret|credential|authorization|bearer", re.IGNORECASE)
# An IBM Cloud API key, a JSON web token, an Authorization header.
_SECRET_VALUE = re.compile(r"^[A-Za-z0-9_-]{44}$|^eyJ[\w-]+\.[\w-]+\.|^Bearer\s", re.IGNORECASE)


@dataclass(frozen=True)
class Registry:
    """The backends of one file, by name; ``default`` is the one used when none is named."""

    default: str
    backends: Mapping[str, BackendSpec]
    source: Path

    def spec(self, name: str | BackendSpec | None = None) -> BackendSpec:
        """Return the entry ``name``, or the default; an entry is returned as it is.

        Raises ConfigurationError listing the names.
        """
        if isinstance(name, BackendSpec):
            return name
        name = self.default if name is None else name
        if not isinstance(name, str):
            raise ConfigurationError(
                f"a backend is a name in backends.yaml or an entry of it here, not {type(name).__name__}; "
                "a model takes any backend or primitive of Qiskit: QLAM(backend=...), Run.model(...)"
            )
        if name not in self.backends:
            raise ConfigurationError(
                f"no backend named {name!r} in {self.source}; there are: {', '.join(self.backends)}"
                f"{did_you_mean(name, self.backends)}"
            )
        return self.backends[name]


def load_registry(path: Path | None = None) -> Registry:
    """Read the registry of backends.

    Parameters
    ----------
    path
        Its YAML file; by default the one that ``QLAM_BACKENDS`` names, ``./backends.yaml``, or the built-in one.

    Returns
    -------
    Registry
        Entries by name; ``.spec(name)`` returns one.

    Raises
    ------
    ConfigurationError
        When the file is missing or not valid.
    """
    source = _locate(path)
    raw = _read(source)
    for key in raw:
        if key not in ("default", "backends"):
            raise ConfigurationError(f"{source}: unknown key {key}; valid keys: backends, default{at_line(raw, key)}")
    entries = raw.get("backends")
    if not isinstance(entries, dict) or not entries:
        raise ConfigurationError(f"{source}: backends: expected a mapping of names to settings, with one at least")
    backends = {}
    for name, values in entries.items():
        where = f"{source}: backends.{name}"
        if not isinstance(name, str):
            raise ConfigurationError(f"{where}: a backend's name is text; put it in quotes{at_line(entries, name)}")
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            raise ConfigurationError(f"{where}: expected a mapping of keys to values{at_line(entries, name)}")
        backends[name] = make_spec(name, values, where)
    default = raw.get("default")
    if default is None:
        raise ConfigurationError(f"{source}: missing key default; one of: {', '.join(backends)}")
    if not isinstance(default, str) or default not in backends:
        raise ConfigurationError(f"{source}: default: no backend named {default!r}; there are: {', '.join(backends)}")
    return Registry(default, MappingProxyType(backends), source)


def _locate(path: Path | None) -> Path:
    if path is not None:
        return Path(path)
    if named := os.environ.get("QLAM_BACKENDS"):
        return Path(named)
    here = Path("backends.yaml")
    return here if here.is_file() else Path(str(files("qlam_qiskit.backends") / "backends.yaml"))


def _read(source: Path) -> dict[str, Any]:
    refusal = "credentials do not belong in this file; set QISKIT_IBM_TOKEN or save a Qiskit account instead"
    try:
        raw = read_yaml(source)
    except ConfigurationError as error:
        # A YAML error quotes the line it stands in, and that line may be the one with the token.
        if "not valid YAML" in str(error) and _may_hold_secrets(source):
            raise ConfigurationError(f"{source}: not valid YAML, and {refusal}") from None
        raise
    for where in _secrets(raw):
        raise ConfigurationError(f"{source}: {where}: {refusal}")
    return raw


def _may_hold_secrets(source: Path) -> bool:
    text = source.read_bytes().decode("utf-8", "replace")
    return bool(_SECRET_KEY.search(text)) or any(map(_SECRET_VALUE.match, re.split(r"[\s,:'\"{}\[\]]+", text)))


def _secrets(value: Any, where: str = "") -> Iterator[str]:
    """Yield where a credential stands, by the look of its key or of its value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            shown = "a key" if _SECRET_VALUE.match(str(key)) else key
            here = f"{where}.{shown}" if where else str(shown)
            if _SECRET_VALUE.match(str(key)) or (_SECRET_KEY.search(str(key)) and not isinstance(inner, dict)):
                yield here
            yield from _secrets(inner, here)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secrets(inner, f"{where}[{index}]")
    elif isinstance(value, str) and _SECRET_VALUE.match(value):
        yield where
