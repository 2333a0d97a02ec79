"""What an entry of the backend registry may say: one frozen, checked model per kind of backend.

An entry's own name is ``BackendSpec.name``; the device it runs on is ``.device``, spelled ``name:`` in the
file. Combinations that the service refuses are refused here, when the file is read, not after a job was paid
for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from qlam_qiskit.configuration import Settings, at_line, check
from qlam_qiskit.errors import ConfigurationError

Gradient: TypeAlias = Literal["adjoint", "param_shift", "spsa"]
Shots: TypeAlias = Annotated[int, Field(ge=1, le=10_000_000)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]

# The registry name travels into a model under this key, which a file cannot use.
_ENTRY = "(entry)"


class _Spec(Settings):
    name: str = Field(alias=_ENTRY)
    gradient: Gradient = "adjoint"
    seed: Seed | None = None


class ExactSpec(_Spec):
    """The exact engine: analytic expectation values and adjoint gradients.

    With ``noise``, the name of a fake device, the memory suffers the errors of its calibration, exactly: each is a
    channel of the circuit. With ``shots`` readouts are drawn, as many times, from exact probabilities; gradients stay
    those of the expectation values. With ``device: cuda`` the memory runs on the current CUDA device, forward and
    backward, and a model that an experiment describes makes its angles there too; tokens and readouts are copied, and
    the head stays on the CPU. ``threads`` are the CPU's.
    """

    kind: Literal["exact"]
    precision: Literal["float32", "float64"] = "float32"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    gradient: Literal["adjoint"] = "adjoint"
    noise: str | None = None
    shots: Shots | None = None

    @model_validator(mode="after")
    def _threads_are_the_cpus(self) -> ExactSpec:
        if self.device == "cuda" and self.threads is not None:
            raise ValueError("threads: only with device: cpu")
        return self


class AerSpec(_Spec):
    """Aer: ideal, with shots, or with the noise of a fake or real device's calibration.

    With neither noise nor shots, expectation values are exact. With noise, 1,024 shots unless said otherwise,
    and the method is chosen from the number of qubits and shots unless said otherwise.
    """

    kind: Literal["aer"]
    method: Literal["automatic", "statevector", "density_matrix", "matrix_product_state"] = "automatic"
    shots: Shots | None = None
    noise: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _shots_with_noise(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("noise") is not None and values.get("shots") is None:
            return {**values, "shots": 1024}
        return values


class _DeviceSpec(_Spec):
    """A device: bounds above or under which nothing is sent before a person has said so.

    ``min_fidelity`` is for unitary memories. ``min_contrast`` is the least ratio of the noisy to the ideal spread of
    the readouts over samples; it is what judges a memory that forgets, whose fidelity says nothing.
    """

    device: str = Field(alias="name")
    max_qpu_seconds: Annotated[float, Field(gt=0, strict=False)] | None = None
    min_fidelity: Annotated[float, Field(ge=0, le=1, strict=False)] | None = None
    min_contrast: Annotated[float, Field(ge=0, strict=False)] | None = None


class FakeSpec(_DeviceSpec):
    """A fake IBM device: run here on Aer from its calibration, planned and priced as the device itself."""

    kind: Literal["fake"]
    shots: Shots = 1024


class Twirling(Settings):
    """Pauli twirling: of two-qubit gates, of measurements, and into how many randomized circuits."""

    gates: bool = False
    measure: bool = False
    randomizations: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    shots_per_randomization: Annotated[int, Field(ge=1, le=10_000_000)] | None = None


class ServiceLimits(Settings):
    """What one job may hold; the defaults are IBM Quantum's documented limits (they may move).

    ``executions`` counts circuits after broadcasting times shots; ``control_instructions`` is per qubit;
    ``payload_mb`` is the encoded job in megabytes; ``job_seconds`` and ``parameters`` are per job too.
    """

    executions: Annotated[int, Field(ge=1)] = 10_000_000
    control_instructions: Annotated[int, Field(ge=1)] = 26_800_000
    payload_mb: Annotated[float, Field(gt=0, strict=False)] = 50.0
    job_seconds: Annotated[float, Field(gt=0, le=10_800, strict=False)] = 10_800.0
    parameters: Annotated[int, Field(ge=1)] = 10_000_000


class IBMSpec(_DeviceSpec):
    """A device of IBM Quantum (``name: least_busy`` takes the shortest queue), with the service's options.

    Credentials are never here: they come from ``QISKIT_IBM_TOKEN`` or Qiskit's saved account. ``max_qpu_seconds`` is
    the cap of one submission's planned QPU time, above which nothing is sent before a person has said so; every entry
    has one.

    ``lookup_seconds`` is how long a command looks for a job whose sending got no clear answer, before it says that it
    is unknown whether the job was accepted: at least as long as the service may take to list a job. Such a job is
    never sent again by itself.
    """

    kind: Literal["ibm"]
    max_qpu_seconds: Annotated[float, Field(gt=0, strict=False)] = 60.0
    channel: Literal["ibm_quantum_platform", "ibm_cloud"] | None = None
    instance: str | None = None
    plan: Literal["open", "pay-as-you-go", "flex", "premium", "on-prem"] | None = None
    mode: Literal["job", "batch", "session"] = "job"
    primitive: Literal["sampler", "estimator"] = "sampler"
    generation: Literal["auto", "v2", "executor"] = "auto"
    shots: Shots = 4096
    fractional_gates: bool = False
    resilience_level: Literal[0, 1, 2] | None = None
    measure_mitigation: bool | None = None
    zne: bool = False
    zne_amplifier: Literal["gate_folding", "gate_folding_front", "gate_folding_back", "pea"] | None = None
    pec: bool = False
    dynamical_decoupling: Literal["XX", "XpXm", "XY4"] | None = None
    twirling: Twirling = Twirling()
    rep_delay: Annotated[float, Field(gt=0, strict=False)] | None = None
    max_execution_time: Annotated[int, Field(ge=1, le=10_800)] | None = None
    lookup_seconds: Annotated[float, Field(ge=0, le=86_400, strict=False)] = 600.0
    limits: ServiceLimits = ServiceLimits()

    @model_validator(mode="after")
    def _refuse_what_the_service_refuses(self) -> IBMSpec:
        rules = (
            (
                self.mode == "session" and self.plan == "open",
                "the open plan has no sessions; use mode: batch",
            ),
            (
                self.fractional_gates and self.twirling.gates,
                "fractional_gates cannot be combined with twirling.gates",
            ),
            (self.fractional_gates and self.pec, "fractional_gates cannot be combined with pec"),
            (
                self.fractional_gates and self.zne_amplifier == "pea",
                "fractional_gates cannot be combined with zne_amplifier: pea",
            ),
            (
                self.fractional_gates and self.resilience_level == 2,
                "fractional_gates cannot be combined with resilience_level: 2, which twirls gates",
            ),
            (self.zne and self.pec, "zne and pec cannot be combined"),
            (
                self.pec and self.resilience_level == 2,
                "pec cannot be combined with resilience_level: 2, which extrapolates",
            ),
            (self.zne_amplifier is not None and not self.zne, "zne_amplifier needs zne: true"),
            (
                self.primitive == "sampler" and bool(self._estimator_only()),
                f"{', '.join(self._estimator_only())}: only with primitive: estimator",
            ),
        )
        for broken, message in rules:
            if broken:
                raise ValueError(message)
        return self

    def _estimator_only(self) -> list[str]:
        given = {
            "resilience_level": self.resilience_level is not None,
            "measure_mitigation": self.measure_mitigation is not None,
            "zne": self.zne,
            "pec": self.pec,
        }
        return [key for key, present in given.items() if present]


class ProviderSpec(_Spec):
    """Any other ``BackendV2``: ``factory`` is ``package.module:callable``, ``options`` its keywords.

    The factory runs only when it was allowed; see :func:`qlam_qiskit.backends.allow_factory`.
    """

    kind: Literal["provider"]
    factory: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")]
    options: dict[str, Any] = Field(default_factory=dict)
    shots: Shots = 1024


BackendSpec: TypeAlias = ExactSpec | AerSpec | FakeSpec | IBMSpec | ProviderSpec

_KINDS: dict[str, type[BackendSpec]] = {
    "exact": ExactSpec,
    "aer": AerSpec,
    "fake": FakeSpec,
    "ibm": IBMSpec,
    "provider": ProviderSpec,
}


def make_spec(name: str, values: Mapping[str, Any], source: str) -> BackendSpec:
    """Check one entry of the registry; ``source`` opens the message of a ConfigurationError."""
    kind = values.get("kind")
    if kind is None:
        raise ConfigurationError(f"{source}: missing key kind; kinds: {', '.join(_KINDS)}")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ConfigurationError(
            f"{source}: unknown kind {kind!r}; kinds: {', '.join(_KINDS)}{at_line(values, 'kind')}"
        )
    model = _KINDS[kind]
    valid = sorted(field.alias or key for key, field in model.model_fields.items() if field.alias != _ENTRY)
    for key in values:
        if key not in valid:
            raise ConfigurationError(
                f"{source}: unknown key {key} for kind {kind}; valid keys: {', '.join(valid)}{at_line(values, key)}"
            )
    entry = dict(values) if not isinstance(values, dict) else values.copy()
    entry[_ENTRY] = name
    return check(model, entry, source)
