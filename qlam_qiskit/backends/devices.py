"""Finds a fake device of qiskit-ibm-runtime by name, forgiving case and a missing ``Fake`` or ``V2``."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING

from qlam_qiskit.errors import ConfigurationError

if TYPE_CHECKING:
    from qiskit.providers import BackendV2


def fake_device(name: str) -> BackendV2:
    """Return the fake device ``name`` (``FakeTorino``, ``fake_torino``, ``torino``).

    Raises ConfigurationError with the nearest names when there is none.
    """
    devices = _devices()
    key = _simplified(name)
    if key not in devices:
        near = difflib.get_close_matches(key, devices, n=3, cutoff=0.5)
        suggestion = (
            f"did you mean {', '.join(devices[match] for match in near)}?" if near else "see FakeTorino, for one"
        )
        raise ConfigurationError(f"no fake device {name!r} in qiskit-ibm-runtime; {suggestion}")
    from qiskit_ibm_runtime import fake_provider

    return getattr(fake_provider, devices[key])()


@cache
def _devices() -> dict[str, str]:
    """Map simplified names to class names."""
    from qiskit_ibm_runtime import fake_provider
    from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

    found = {}
    for name in dir(fake_provider):
        member = getattr(fake_provider, name)
        if isinstance(member, type) and issubclass(member, FakeBackendV2) and member is not FakeBackendV2:
            found[_simplified(name)] = name
    return found


def _simplified(name: str) -> str:
    return name.lower().replace("_", "").removeprefix("fake").removesuffix("v2")
