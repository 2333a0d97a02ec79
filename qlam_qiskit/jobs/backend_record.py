"""What is written down about a submission's backend, and reaching the same backend again from that."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qiskit import QuantumCircuit

from qlam_qiskit.backends import IBMSpec, OpenBackend, make_spec, open_backend
from qlam_qiskit.jobs.connections.base import Connection
from qlam_qiskit.jobs.connections.local import LocalConnection
from qlam_qiskit.jobs.records import SubmissionRecord
from qlam_qiskit.planning.readout import Calibration

_PACKAGES = ("qlam-qiskit", "qiskit", "qiskit-aer", "qiskit-ibm-runtime", "samplomatic", "numpy")


def describe(backend: OpenBackend, circuits: Iterable[QuantumCircuit]) -> dict[str, Any]:
    """Write down a backend in JSON: settings, device, instance, seed, calibration and versions; no credentials."""
    spec = backend.spec
    instance = backend.backend.service.active_instance() if isinstance(spec, IBMSpec) else None
    return {
        "spec": spec.model_dump(mode="json", by_alias=True, exclude={"name"}, exclude_unset=True),
        "shots": backend.shots,
        "device": backend.backend.name,
        "instance": instance,
        "seed": int(backend.rng.integers(2**32)),  # the next of the backend's own seeds, one for each submission
        "calibration": Calibration.of_circuits(backend.backend, circuits).to_json(),
        "versions": _versions(),
    }


def reach(record: SubmissionRecord, backend: OpenBackend | None = None) -> Connection:
    """Return a connection to the backend of a submission, through ``backend`` where it is open already.

    Nothing is opened and nobody is asked before the connection is used.
    """
    details = record.details
    spec = make_spec(record.backend, details["spec"], f"submission {record.id}")
    if isinstance(spec, IBMSpec):
        from qlam_qiskit.jobs.connections.ibm import ServiceConnection

        device = None if backend is None else backend.backend
        return ServiceConnection(spec, details["device"], details["instance"], device)
    if backend is not None:
        return LocalConnection(lambda: backend, details["seed"])
    return LocalConnection(lambda: open_backend(spec, shots=details["shots"]), details["seed"])


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
