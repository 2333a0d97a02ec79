"""IBM Quantum: reaching the service, finding the device, and the service's primitives of either generation.

Credentials come from the environment (``QISKIT_IBM_TOKEN``) or Qiskit's saved account, through Qiskit's own
client; this module never reads them except to keep them out of messages.
"""

from __future__ import annotations

import importlib.util
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from qlam_qiskit import redaction
from qlam_qiskit.backends.opened import OpenBackend
from qlam_qiskit.backends.specs import IBMSpec
from qlam_qiskit.errors import BackendError

_CRN = re.compile(r"crn:v1:[^:\s]*:[^:\s]*:quantum-computing:[^:\s]+:a/[^:\s]+:[^:\s]+:[^:\s]*:[^:\s]*")
_NO_INSTANCE = (
    "instance: {} is not the CRN of an instance (crn:v1:bluemix:public:quantum-computing:REGION:a/ACCOUNT:ID::); "
    "copy it from the instances page of IBM Quantum into QISKIT_IBM_INSTANCE, the entry or the saved account"
)

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
    from qiskit_ibm_runtime import Batch, IBMBackend, QiskitRuntimeService, Session


@dataclass(frozen=True)
class IBMOpenBackend(OpenBackend):
    """A device of IBM Quantum; the first primitive opens the batch or session and :meth:`close` closes it."""

    def sampler(self) -> BaseSamplerV2:
        """Return the service's sampler in the entry's mode, with the entry's options."""
        return runtime_primitive(self.spec, "sampler", self.mode, shots=self.shots)

    def estimator(self) -> BaseEstimatorV2:
        """Return the service's estimator in the entry's mode, with the entry's options."""
        return runtime_primitive(self.spec, "estimator", self.mode, shots=self.shots)

    def isa(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Transpile ``circuit``; raises BackendError when it has control flow that the options cannot run."""
        refuse_control_flow(self.spec, circuit)
        return super().isa(circuit)

    def allowance_s(self) -> float | None:
        """Return what the instance's usage limit leaves, seconds; raises BackendError when it cannot be asked."""
        with _service_errors("asking for the usage"):
            usage = self.backend.service.usage()
        return 0.0 if usage.get("usage_limit_reached") else usage.get("usage_remaining_seconds")

    def close(self) -> None:
        """Close the batch or session if one was opened; jobs that were sent still run."""
        opened = self.__dict__.pop("mode", None)
        if opened is not None and opened is not self.backend:
            with _service_errors("closing the batch or session"):
                opened.close()

    @cached_property
    def mode(self) -> IBMBackend | Batch | Session:
        """What primitives are made with: the device itself (mode job), a batch, or a session."""
        if self.spec.mode == "job":
            return self.backend
        from qiskit_ibm_runtime import Batch, Session

        with _service_errors(f"opening a {self.spec.mode}"):
            return (Batch if self.spec.mode == "batch" else Session)(backend=self.backend)


def open_ibm(spec: IBMSpec, shots: int, rng: np.random.Generator) -> IBMOpenBackend:
    """Reach the service and find the entry's device; raises BackendError saying which of the two failed."""
    device = find_device(spec.device, service=connect(spec), fractional_gates=spec.fractional_gates)
    return IBMOpenBackend(spec.name, spec, device, shots, rng)


def credentials() -> tuple[bool, str]:
    """Tell whether there are credentials, and where they come from or what to do; never what they are."""
    if os.environ.get("QISKIT_IBM_TOKEN"):
        return True, "from QISKIT_IBM_TOKEN"
    from qiskit_ibm_runtime import QiskitRuntimeService

    if QiskitRuntimeService.saved_accounts():
        return True, "from Qiskit's saved account"
    remedy = "set QISKIT_IBM_TOKEN, or save an account once with QiskitRuntimeService.save_account(token=...)"
    return False, f"none found; {remedy}"


def connect(spec: IBMSpec | None = None) -> QiskitRuntimeService:
    """Log in at the service with the environment's or the saved credentials; raises BackendError."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    with _service_errors("reading the saved accounts"):
        found, said = credentials()
    if not found:
        raise BackendError(f"credentials: {said}")
    choices = {"channel": spec.channel, "instance": spec.instance} if spec is not None else {}
    # The client asks for an explicit instance on every start; one that is not named is meant to be chosen for
    # us.
    instance = choices.get("instance") or os.environ.get("QISKIT_IBM_INSTANCE")
    given = {key: value for key, value in {**choices, "instance": instance}.items() if value is not None}
    _check_instance(instance)
    with _service_errors("logging in"):
        try:
            return QiskitRuntimeService(**given)
        except AttributeError:
            # The client takes an instance apart that is none; its name comes from a saved account then.
            raise BackendError(_NO_INSTANCE.format("of the saved account")) from None


def _check_instance(instance: str | None) -> None:
    if instance is not None and instance.startswith("crn:") and not _CRN.fullmatch(instance):
        raise BackendError(_NO_INSTANCE.format(repr(redact(instance))))


def find_device(
    name: str, *, service: QiskitRuntimeService | None = None, fractional_gates: bool = False
) -> IBMBackend:
    """Return the device ``name`` with its calibration; ``least_busy`` is the one with the shortest queue."""
    service = connect() if service is None else service
    with _service_errors(f"finding device {name}"):
        if name == "least_busy":
            return service.least_busy(use_fractional_gates=fractional_gates)
        return service.backend(name, use_fractional_gates=fractional_gates)


def runtime_primitive(
    spec: IBMSpec, kind: str, mode: Any, *, shots: int | None = None, tags: Sequence[str] = ()
) -> BaseSamplerV2 | BaseEstimatorV2:
    """Make the service's ``sampler`` or ``estimator`` of the generation that the entry chooses.

    ``mode`` is a backend, batch or session; ``tags`` are put on every job, so that it can be found again.
    """
    options = runtime_options(spec, kind, shots=shots, tags=tags)
    if uses_executor(spec):
        from qiskit_ibm_runtime.executor_estimator import Estimator
        from qiskit_ibm_runtime.executor_sampler import Sampler

        return (Sampler if kind == "sampler" else Estimator)(mode=mode, options=options)
    from qiskit_ibm_runtime import EstimatorV2, SamplerV2

    with warnings.catch_warnings():
        # The generation is the entry's own choice; the client announces its end every time one is made.
        warnings.filterwarnings("ignore", message=r"The (Sampler|Estimator)V2 class is deprecated")
        return (SamplerV2 if kind == "sampler" else EstimatorV2)(mode=mode, options=options)


def uses_executor(spec: IBMSpec) -> bool:
    """Tell whether the client-side generation of primitives (program ``executor``) runs for this entry."""
    if spec.generation == "auto":
        return importlib.util.find_spec("qiskit_ibm_runtime.executor_sampler") is not None
    return spec.generation == "executor"


def runtime_options(spec: IBMSpec, kind: str, *, shots: int | None = None, tags: Sequence[str] = ()) -> dict[str, Any]:
    """Spell the entry's options as primitives take them; both generations read the same keys."""
    # What the entry leaves open is for the resilience level to choose.
    chosen = spec.twirling.model_fields_set
    twirling: dict[str, Any] = {
        "enable_gates": spec.twirling.gates if "gates" in chosen else None,
        "enable_measure": spec.twirling.measure if "measure" in chosen else None,
        "num_randomizations": spec.twirling.randomizations,
        "shots_per_randomization": spec.twirling.shots_per_randomization,
    }
    options: dict[str, Any] = {
        "default_shots": spec.shots if shots is None else shots,
        "twirling": _given(twirling),
        "environment": {"job_tags": list(tags)},
        **_given({"max_execution_time": spec.max_execution_time}),
    }
    if spec.rep_delay is not None:
        options["execution"] = {"rep_delay": spec.rep_delay}
    if spec.dynamical_decoupling is not None:
        options["dynamical_decoupling"] = {"enable": True, "sequence_type": spec.dynamical_decoupling}
    if kind == "estimator":
        resilience = _given({"measure_mitigation": spec.measure_mitigation})
        if spec.zne:
            resilience["zne_mitigation"] = True
            resilience["zne"] = _given({"amplifier": spec.zne_amplifier})
        if spec.pec:
            resilience["pec_mitigation"] = True
        options["resilience"] = resilience
        options.update(_given({"resilience_level": spec.resilience_level}))
    return options


def refuse_control_flow(spec: IBMSpec, circuit: QuantumCircuit) -> None:
    """Raise BackendError when ``circuit`` holds control flow and the entry's options cannot go with it."""
    if not circuit.has_control_flow_op():
        return
    if spec.primitive == "estimator":
        raise BackendError(f"backend {spec.name}: the service's estimator runs no circuits with control flow")
    if spec.dynamical_decoupling is not None:
        raise BackendError(f"backend {spec.name}: dynamical_decoupling cannot be combined with control flow")


def redact(text: object) -> str:
    """Turn ``text`` into one line without credentials, those of Qiskit's saved accounts among them."""
    try:
        from qiskit_ibm_runtime import QiskitRuntimeService

        for account in QiskitRuntimeService.saved_accounts().values():
            redaction.remember_secret(str(account.get("token", "")))
    except Exception:
        # A damaged account file holds nothing that could be recognized; the patterns still apply.
        return redaction.redact(text)
    return redaction.redact(text)


@contextmanager
def _service_errors(doing: str) -> Iterator[None]:
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"IBM Quantum: {doing} failed: {type(error).__name__}: {redact(str(error))}") from None


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
