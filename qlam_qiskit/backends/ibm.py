"""IBM Quantum: reaching the service, finding the device, and the service's primitives of either generation.

Credentials come from the environment (``QISKIT_IBM_TOKEN``) or Qiskit's saved account, through Qiskit's own
client; this module never reads them, but for keeping them out of messages.
"""

from __future__ import annotations

import importlib.util
import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from qlam_qiskit.backends.opened import OpenBackend
from qlam_qiskit.backends.specs import IBMSpec
from qlam_qiskit.errors import BackendError
from qlam_qiskit.redaction import redact, remember_secret, scrub

_CRN = re.compile(r"crn:v1:[^:\s]*:[^:\s]*:quantum-computing:[^:\s]+:a/[^:\s]+:[^:\s]+:[^:\s]*:[^:\s]*")
_NO_INSTANCE = (
    "instance: {} is not the CRN of an instance (crn:v1:bluemix:public:quantum-computing:REGION:a/ACCOUNT:ID::); "
    "copy it from the instances page of IBM Quantum into QISKIT_IBM_INSTANCE, the entry or the saved account"
)

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
    from qiskit_ibm_runtime import Batch, IBMBackend, QiskitRuntimeService, Session

AnswerT = TypeVar("AnswerT")


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
        usage = ask("asking for the usage", self.backend.service.usage)
        return 0.0 if usage.get("usage_limit_reached") else usage.get("usage_remaining_seconds")

    def close(self) -> None:
        """Close the batch or session if one was opened; jobs that were sent still run."""
        opened = self.__dict__.pop("mode", None)
        if opened is not None and opened is not self.backend:
            ask("closing the batch or session", opened.close)

    @cached_property
    def mode(self) -> IBMBackend | Batch | Session:
        """What primitives are made with: the device itself (mode job), a batch, or a session."""
        if self.spec.mode == "job":
            return self.backend
        from qiskit_ibm_runtime import Batch, Session

        mode_class = Batch if self.spec.mode == "batch" else Session
        return ask(f"opening a {self.spec.mode}", lambda: mode_class(backend=self.backend))


def open_ibm(spec: IBMSpec, shots: int, rng: np.random.Generator) -> IBMOpenBackend:
    """Reach the service and find the entry's device; raises BackendError saying which of the two failed."""
    device = find_device(spec.device, service=connect(spec), fractional_gates=spec.fractional_gates)
    return IBMOpenBackend(spec.name, spec, device, shots, rng)


def credentials() -> tuple[bool, str]:
    """Tell whether there are credentials, and where they come from or what to do; never what they are."""
    if os.environ.get("QISKIT_IBM_TOKEN"):
        return True, "from QISKIT_IBM_TOKEN"
    from qiskit_ibm_runtime import QiskitRuntimeService

    if ask("reading the saved accounts", QiskitRuntimeService.saved_accounts):
        return True, "from Qiskit's saved account"
    remedy = "set QISKIT_IBM_TOKEN, or save an account once with QiskitRuntimeService.save_account(token=...)"
    return False, f"none found; {remedy}"


def connect(spec: IBMSpec | None = None) -> QiskitRuntimeService:
    """Log in at the service with the environment's or the saved credentials; raises BackendError."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    remember_tokens()
    found, said = credentials()
    if not found:
        raise BackendError(f"credentials: {said}")
    choices = {"channel": spec.channel, "instance": spec.instance} if spec is not None else {}
    # The client asks for an explicit instance on every start; one that is not named is meant to be chosen for
    # us.
    instance = choices.get("instance") or os.environ.get("QISKIT_IBM_INSTANCE")
    given = {key: value for key, value in {**choices, "instance": instance}.items() if value is not None}
    _check_instance(instance)
    try:
        return ask("logging in", lambda: QiskitRuntimeService(**given))
    except BackendError as error:
        failure = error
    # The client takes an instance apart that is none; its name comes from a saved account then.
    raise BackendError(_NO_INSTANCE.format("of the saved account")) if "AttributeError" in str(failure) else failure


def _check_instance(instance: str | None) -> None:
    if instance is not None and instance.startswith("crn:") and not _CRN.fullmatch(instance):
        raise BackendError(_NO_INSTANCE.format(repr(redact(instance))))


def find_device(
    name: str, *, service: QiskitRuntimeService | None = None, fractional_gates: bool = False
) -> IBMBackend:
    """Return the device ``name`` with its calibration; ``least_busy`` is the one with the shortest queue."""
    chosen = connect() if service is None else service

    def find() -> IBMBackend:
        if name == "least_busy":
            return chosen.least_busy(use_fractional_gates=fractional_gates)
        return chosen.backend(name, use_fractional_gates=fractional_gates)

    device = ask(f"finding device {name}", find)
    # Asked for now: the client would ask when a circuit is transpiled, where nobody expects the service to fail.
    ask(f"reading the calibration of {device.name}", lambda: device.target)
    return device


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


def remember_tokens() -> None:
    """Have every key and token of the client hidden from now on: those it sends, and those it is given in return."""
    from ibm_cloud_sdk_core import IAMTokenManager

    original = IAMTokenManager.request_token
    if getattr(original, "remembers", False):
        return

    @wraps(original)
    def request_token(manager: IAMTokenManager) -> dict[str, Any]:
        remember_secret(manager.apikey)
        try:
            answer = original(manager)
        except Exception as error:
            scrub(error)  # the client prints it in a warning
            manager.request_time = 0  # lest the client wait for a minute before it tries again
            raise
        if isinstance(answer, dict):
            for name in ("access_token", "refresh_token", "delegated_refresh_token"):
                remember_secret(answer.get(name))
        return answer

    request_token.remembers = True
    IAMTokenManager.request_token = request_token


def ask(doing: str, request: Callable[[], AnswerT]) -> AnswerT:
    """Make a request to the service; raises BackendError, which holds no credential and no other exception."""
    try:
        return request()
    except BackendError:
        raise
    except Exception as error:
        message = f"IBM Quantum: {doing} failed: {type(error).__name__}: {redact(error)}"
    raise BackendError(message)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
