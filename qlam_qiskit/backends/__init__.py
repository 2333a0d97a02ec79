"""Where circuits run: the registry of backends by name, and opening one of them.

This package knows nothing of models. Simulators and the service's client are imported when a backend is
opened.
"""

from qlam_qiskit.backends.allowance import allow_factory
from qlam_qiskit.backends.opened import OpenBackend
from qlam_qiskit.backends.opening import open_backend
from qlam_qiskit.backends.registry import Registry, load_registry
from qlam_qiskit.backends.specs import (
    AerSpec,
    BackendSpec,
    ExactSpec,
    FakeSpec,
    IBMSpec,
    ProviderSpec,
    ServiceLimits,
    make_spec,
)

__all__ = [
    "AerSpec",
    "BackendSpec",
    "ExactSpec",
    "FakeSpec",
    "IBMSpec",
    "OpenBackend",
    "ProviderSpec",
    "Registry",
    "ServiceLimits",
    "allow_factory",
    "load_registry",
    "make_spec",
    "open_backend",
]
