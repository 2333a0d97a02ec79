"""What a device says of itself beyond its target: when it was calibrated, how long its qubits live, how it repeats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from qiskit.providers import BackendV2

# The service's default where a device does not say.
_REP_DELAY_S = 250e-6


def device_behind(backend: BackendV2) -> Any:
    """Return the device that a simulator stands for, or the backend itself."""
    return getattr(backend, "device", backend)


def calibrated_at(backend: BackendV2) -> str | None:
    """Return the time of the calibration, ISO 8601; None where there is none."""
    properties = getattr(device_behind(backend), "properties", None)
    found = properties() if callable(properties) else None
    return None if found is None else found.last_update_date.isoformat()


def rep_delay_s(backend: BackendV2) -> float:
    """Return the device's default delay between executions, seconds."""
    configuration = getattr(device_behind(backend), "configuration", None)
    default = getattr(configuration(), "default_rep_delay", None) if callable(configuration) else None
    return _REP_DELAY_S if default is None else float(default)


def lifetimes_us(backend: BackendV2, qubits: Iterable[int]) -> tuple[float | None, float | None]:
    """Return the median T1 and T2 of ``qubits``, microseconds; None where the device says nothing."""
    known = backend.target.qubit_properties or []
    of_qubits = [known[qubit] for qubit in qubits if qubit < len(known)]
    return _median_us(of_qubits, "t1"), _median_us(of_qubits, "t2")


def _median_us(properties: Iterable[Any], name: str) -> float | None:
    times = [time for entry in properties if (time := getattr(entry, name, None))]
    return round(1e6 * float(np.median(times)), 1) if times else None
