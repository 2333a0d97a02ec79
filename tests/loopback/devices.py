"""The devices on offer: the configuration and properties files that ship with the runtime's fake backends."""

from __future__ import annotations

import copy
import functools
import inspect
import json
from pathlib import Path

from qiskit_ibm_runtime import fake_provider

_FOLDER = Path(fake_provider.__file__).parent / "backends"


@functools.cache
def _read(name: str, kind: str) -> dict:
    stem = name.removeprefix("ibm_")
    return json.loads((_FOLDER / stem / f"{kind}_{stem}.json").read_text(encoding="utf-8"))


def configuration(name: str) -> dict:
    """Return the configuration of ``ibm_torino`` and the like, under that name."""
    return copy.deepcopy(_read(name, "conf")) | {"backend_name": name}


def properties(name: str) -> dict:
    return copy.deepcopy(_read(name, "props")) | {"backend_name": name}


@functools.cache
def fake_backend(name: str):
    """Build the fake backend with the calibration of ``name``, for noisy execution."""
    wanted = f"fake_{name.removeprefix('ibm_')}"
    for _, kind in inspect.getmembers(fake_provider, inspect.isclass):
        if getattr(kind, "backend_name", None) == wanted:
            return kind()
    raise KeyError(f"no fake backend {wanted}")
