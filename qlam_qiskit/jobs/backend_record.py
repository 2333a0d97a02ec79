"""What is written down about a submission's backend, and reaching the same backend again from that."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from qiskit import QuantumCircuit

from qlam_qiskit.backends import BackendSpec, IBMSpec, OpenBackend, Seed, Shots, make_spec, open_backend
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.jobs.connections.base import Connection
from qlam_qiskit.jobs.connections.local import LocalConnection
from qlam_qiskit.jobs.errors import DamagedRowError
from qlam_qiskit.jobs.policy import Policy
from qlam_qiskit.jobs.records import SubmissionRecord
from qlam_qiskit.planning import Calibration
from qlam_qiskit.versions import installed_versions

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
        "versions": {"python": platform.python_version(), **installed_versions(*_PACKAGES)},
    }


def reach(record: SubmissionRecord, backend: OpenBackend | None = None) -> Connection:
    """Return a connection to the backend of a submission, through ``backend`` where it is open already.

    Nothing is opened and nobody is asked before the connection is used.
    """
    details = _details(record)
    spec = _spec(record)
    if isinstance(spec, IBMSpec):
        from qlam_qiskit.jobs.connections.ibm import ServiceConnection

        device = None if backend is None else backend.backend
        return ServiceConnection(spec, details.device, details.instance, device)
    if backend is not None:
        return LocalConnection(lambda: backend, details.seed)
    return LocalConnection(lambda: open_backend(spec, shots=details.shots), details.seed)


def usual_policy(record: SubmissionRecord) -> Policy:
    """Return how patient to be with the backend of a submission, by its entry."""
    spec = _spec(record)
    return Policy(lookup_seconds=spec.lookup_seconds) if isinstance(spec, IBMSpec) else Policy()


class _Details(BaseModel):
    """What is needed of a submission's details to reach its backend."""

    model_config = ConfigDict(strict=True)

    spec: dict[str, Any]
    device: str
    instance: str | None
    shots: Shots | None
    seed: Seed


def _details(record: SubmissionRecord) -> _Details:
    try:
        return _Details.model_validate(record.details)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise _damaged(record, f"{where}: {problem['msg']}") from None


def _spec(record: SubmissionRecord) -> BackendSpec:
    try:
        return make_spec(record.backend, _details(record).spec, "spec")
    except ConfigurationError as error:
        raise _damaged(record, str(error)) from None


def _damaged(record: SubmissionRecord, what: str) -> DamagedRowError:
    return DamagedRowError(f"table submissions ({record.id}), column details: damaged: {what}", record.id)
