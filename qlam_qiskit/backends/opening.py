"""Opens an entry of the registry: finds the device or the factory that it names, and nothing else.

Qiskit's simulators and the service's client are imported here only when a kind needs them.
"""

from __future__ import annotations

import importlib
from operator import attrgetter

import numpy as np

from qlam_qiskit.backends.allowance import VARIABLE, may_run
from qlam_qiskit.backends.devices import fake_device
from qlam_qiskit.backends.opened import IdealAer, OpenBackend, SimulatedDevice
from qlam_qiskit.backends.specs import AerSpec, BackendSpec, ExactSpec, FakeSpec, IBMSpec, ProviderSpec
from qlam_qiskit.configuration import whole
from qlam_qiskit.errors import BackendError, ConfigurationError, kind_and_reason
from qlam_qiskit.redaction import scrub


def open_backend(spec: BackendSpec, *, shots: int | None = None, seed: int | None = None) -> OpenBackend:
    """Open the backend that ``spec`` describes; ``shots`` and ``seed`` take the place of the entry's own.

    Raises BackendError for kind exact, whose engine runs no circuits one by one, and when a device or a
    service cannot be reached; ConfigurationError when the entry names what does not exist.
    """
    shots = spec.shots if shots is None else whole("shots", shots)
    if seed is not None:
        seed = whole("seed", seed, 0)
    rng = np.random.default_rng(spec.seed if seed is None else seed)
    match spec:
        case ExactSpec():
            raise BackendError(f"backend {spec.name} is the exact engine, which runs no Qiskit circuits; name another")
        case AerSpec(noise=None):
            return _ideal_aer(spec, shots, rng)
        case AerSpec():
            return _simulated(spec, spec.noise, spec.method, shots, rng)
        case FakeSpec():
            return _simulated(spec, spec.device, "automatic", shots, rng)
        case IBMSpec():
            from qlam_qiskit.backends.ibm import open_ibm

            return open_ibm(spec, shots, rng)
        case ProviderSpec():
            return _provided(spec, shots, rng)


def _ideal_aer(spec: AerSpec, shots: int | None, rng: np.random.Generator) -> OpenBackend:
    from qiskit_aer import AerSimulator

    # Zero lets Aer run as many circuits side by side as there are cores.
    simulator = AerSimulator(method=spec.method, max_parallel_experiments=0)
    return IdealAer(spec.name, spec, simulator, shots, rng)


def _simulated(
    spec: AerSpec | FakeSpec, device: str, method: str, shots: int | None, rng: np.random.Generator
) -> OpenBackend:
    from qlam_qiskit.backends.simulation import DeviceSimulator

    if device.startswith("ibm_"):
        from qlam_qiskit.backends.ibm import find_device

        calibrated = find_device(device)
    else:
        calibrated = fake_device(device)
    return SimulatedDevice(spec.name, spec, DeviceSimulator(calibrated, method), shots, rng)


def _provided(spec: ProviderSpec, shots: int | None, rng: np.random.Generator) -> OpenBackend:
    from qiskit.providers import BackendV2

    if not may_run(spec.factory):
        raise ConfigurationError(
            f"backend {spec.name}: factory {spec.factory} is not allowed to run; if you trust it, say --allow-factory "
            f"{spec.factory} or set {VARIABLE}={spec.factory}"
        )
    module, _, function = spec.factory.partition(":")
    try:
        factory = attrgetter(function)(importlib.import_module(module))
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"backend {spec.name}: factory {spec.factory}: no module named {error.name!r} is installed"
        ) from None
    except AttributeError:
        raise ConfigurationError(f"backend {spec.name}: factory {spec.factory}: {module} has no {function}") from None
    except (Exception, SystemExit) as error:
        scrub(error)
        raise BackendError(f"backend {spec.name}: importing {module} failed: {kind_and_reason(error)}") from error
    try:
        backend = factory(**spec.options)
    except (Exception, SystemExit) as error:
        scrub(error)
        raise BackendError(f"backend {spec.name}: factory {spec.factory} failed: {kind_and_reason(error)}") from error
    if not isinstance(backend, BackendV2):
        raise BackendError(
            f"backend {spec.name}: factory {spec.factory} returned {type(backend).__name__}, not a BackendV2"
        )
    return OpenBackend(spec.name, spec, backend, shots, rng)
