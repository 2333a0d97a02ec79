"""Where circuits run: the registry of backends by name, and opening one of them.

This package knows nothing of models. Simulators and the service's client are imported when a backend is
opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.backends.allowance import allow_factory as allow_factory
    from qlam_qiskit.backends.allowance import withdraw_factory as withdraw_factory
    from qlam_qiskit.backends.checking import check_backend as check_backend
    from qlam_qiskit.backends.devices import fake_device as fake_device
    from qlam_qiskit.backends.ibm import connect as connect
    from qlam_qiskit.backends.ibm import find_device as find_device
    from qlam_qiskit.backends.ibm import runtime_options as runtime_options
    from qlam_qiskit.backends.ibm import runtime_primitive as runtime_primitive
    from qlam_qiskit.backends.ibm import uses_executor as uses_executor
    from qlam_qiskit.backends.mid_circuit import FASTER as FASTER
    from qlam_qiskit.backends.mid_circuit import RESETS as RESETS
    from qlam_qiskit.backends.mid_circuit import faster_operations as faster_operations
    from qlam_qiskit.backends.mid_circuit import final_measurements as final_measurements
    from qlam_qiskit.backends.mid_circuit import in_faster_forms as in_faster_forms
    from qlam_qiskit.backends.mid_circuit import is_open as is_open
    from qlam_qiskit.backends.mid_circuit import measurements as measurements
    from qlam_qiskit.backends.opened import OpenBackend as OpenBackend
    from qlam_qiskit.backends.opening import open_backend as open_backend
    from qlam_qiskit.backends.registry import Registry as Registry
    from qlam_qiskit.backends.registry import load_registry as load_registry
    from qlam_qiskit.backends.simulation import Described as Described
    from qlam_qiskit.backends.simulation import DeviceSimulator as DeviceSimulator
    from qlam_qiskit.backends.specs import AerSpec as AerSpec
    from qlam_qiskit.backends.specs import BackendSpec as BackendSpec
    from qlam_qiskit.backends.specs import ExactSpec as ExactSpec
    from qlam_qiskit.backends.specs import FakeSpec as FakeSpec
    from qlam_qiskit.backends.specs import IBMSpec as IBMSpec
    from qlam_qiskit.backends.specs import ProviderSpec as ProviderSpec
    from qlam_qiskit.backends.specs import Seed as Seed
    from qlam_qiskit.backends.specs import ServiceLimits as ServiceLimits
    from qlam_qiskit.backends.specs import Shots as Shots
    from qlam_qiskit.backends.specs import make_spec as make_spec
    from qlam_qiskit.backends.targets import part_of_target as part_of_target

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "mid_circuit": "FASTER RESETS faster_operations final_measurements in_faster_forms is_open measurements",
        "allowance": "allow_factory withdraw_factory",
        "checking": "check_backend",
        "devices": "fake_device",
        "ibm": "connect find_device runtime_options runtime_primitive uses_executor",
        "opened": "OpenBackend",
        "opening": "open_backend",
        "registry": "Registry load_registry",
        "simulation": "Described DeviceSimulator",
        "specs": "AerSpec BackendSpec ExactSpec FakeSpec IBMSpec ProviderSpec Seed ServiceLimits Shots make_spec",
        "targets": "part_of_target",
    },
)
