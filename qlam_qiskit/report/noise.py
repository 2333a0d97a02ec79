"""A memory under the errors of devices: which ones a report looks at, and the circuit with their errors in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from qlam_qiskit.backends import BackendSpec, fake_device, load_registry, make_spec
from qlam_qiskit.errors import ConfigurationError, PlanningError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM
from qlam_qiskit.planning import noisy_memory
from qlam_qiskit.report.registers import MOST_NUMBERS
from qlam_qiskit.runs import SavedRun

_MOST_QUBITS = 6  # of a register whose density matrices are followed


def circuits_with_errors(
    run: SavedRun, model: QLAM, asked: Sequence[str], backends: Path | None
) -> tuple[dict[str, MemoryCircuit], str | None]:
    """Write devices' errors into a run's memory: of that which it was trained for, and of those asked for.

    Where none is asked for, they are those on which the run was evaluated. Returns the circuits by the device's name,
    and why there are not more. Raises ConfigurationError when what is asked for does not fit the run.
    """
    reason = why_not_followed(run.circuit.num_qubits, run.data.steps)
    if len(model.layers) > 1:
        reason = "with several layers, the angles of one depend on what is measured of the one before"
    if reason and asked:
        raise ConfigurationError(f"--noise {asked[0]}: {reason}")
    if reason:
        return {}, reason
    found, settings = {}, run.experiment.model
    if settings.noise.device is not None:
        found[settings.noise.device] = run.noisy_circuit or model.noisy_circuit()
    for name in _devices(run, asked, backends):
        try:
            if name not in found:
                emissions = settings.readout.kind == "emissions"
                found[name] = noisy_memory(run.circuit, fake_device(name), emissions=emissions)
        except PlanningError as error:
            if asked:
                raise ConfigurationError(f"--noise {name}: {error}") from None
            reason = f"on {name}, {error}"
    return found, reason


def why_not_followed(qubits: int, steps: int) -> str | None:
    """Say why a register's density matrices cannot be followed; None where they can."""
    if qubits <= _MOST_QUBITS and steps << 2 * qubits <= MOST_NUMBERS:
        return None
    return (
        f"density matrices are followed up to {_MOST_QUBITS} qubits and {MOST_NUMBERS:,} numbers, and this memory "
        f"takes {steps:,} steps of {qubits} qubits"
    )


def _devices(run: SavedRun, asked: Sequence[str], backends: Path | None) -> Iterator[str]:
    """Yield the devices that are asked for, or on which the run was evaluated."""
    entries = load_registry(backends).backends
    evaluated = dict.fromkeys(row["backend"] for row in run.evaluations)
    for name in asked or [name for name in evaluated if name in entries]:
        spec = entries[name] if name in entries else make_spec(name, {"kind": "fake", "name": name}, "--noise")
        device = _simulated(spec)
        if device is not None:
            yield device
        elif asked:
            raise ConfigurationError(f"--noise {name}: that backend is no device that is simulated here")


def _simulated(spec: BackendSpec) -> str | None:
    """Return the device whose calibration an entry simulates here; None of any other entry."""
    name = {"fake": "device", "aer": "noise", "exact": "noise"}.get(spec.kind)
    device = getattr(spec, name) if name else None
    # The calibration of a device of the service is asked of the service: a report needs no network.
    return None if device is None or device.startswith("ibm_") else device
