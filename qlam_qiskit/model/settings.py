"""The ``model:`` section of an experiment."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from qlam_qiskit.configuration import Settings
from qlam_qiskit.errors import ConfigurationError


class CircuitSettings(Settings):
    """The memory circuit: a template by name or path, its qubits n, and the template's own options."""

    template: str = "ring"
    qubits: int = Field(6, ge=1, le=16)
    options: dict[str, Any] = Field(default_factory=dict)


class EmbeddingSettings(Settings):
    """How tokens become embeddings e_t: a linear map, or a causal convolution over ``kernel`` tokens with GELU."""

    kind: Literal["linear", "convolution"] = "convolution"
    width: int = Field(32, ge=1, le=16_384)
    kernel: int = Field(16, ge=1, le=65_536)


class QuerySettings(Settings):
    """Where queries come from: learned, made from the last token, or given with each sample (``size`` numbers)."""

    kind: Literal["learned", "last_token", "given"] = "learned"
    count: int = Field(1, ge=1, le=1024)
    size: int | None = Field(None, ge=1, le=65_536)


class ReadoutSettings(Settings):
    """What is read, ``times`` times at even intervals: bitstring probabilities, Z strings up to a weight, or emissions.

    ``kind: probabilities`` reads y_j = 2^n p_j - 1 of every bitstring j, 0 where it is as likely as any other.
    ``kind: emissions`` reads what ancillas emit, as means over the steps since the reading before: one circuit holds
    all readings, and the memory itself is never measured. ``pooling: mean`` reads the mean state over these steps
    instead of the ``last`` one; a backend that executes circuits needs one for each step then.
    With ``normalize: batch`` the head sees readouts standardized over the samples that run together, and over steps
    where every step is answered, to a standard deviation of ``spread``; see
    :class:`~qlam_qiskit.model.normalization.ReadoutNormalization`.
    """

    kind: Literal["probabilities", "z_strings", "emissions"] = "probabilities"
    pooling: Literal["last", "mean"] = "last"
    max_weight: int = Field(2, ge=1, le=16)
    times: int = Field(1, ge=1, le=65_536)
    normalize: Literal["batch"] | None = None
    spread: float = Field(1.0, gt=0, le=1e6)

    @model_validator(mode="after")
    def _check_spread(self) -> ReadoutSettings:
        if self.spread != 1.0 and self.normalize is None:
            raise ValueError("spread is that of normalized readouts: it needs normalize: batch")
        return self


class NoiseSettings(Settings):
    """Noise injected while training; a model is validated and tested with it too, and elsewhere evaluated without.

    Attributes
    ----------
    pauli
        The probability that X, Y or Z, one as likely as another, strikes a qubit of the memory in one step, exactly:
        as a channel after each step.
    device
        A fake device, such as FakeTorino, whose errors the memory suffers instead, exactly: those of its calibration
        when the run begins, on the chain of qubits that suits the circuit best, as channels of the circuit.
    shots
        Scatter readouts as far as that many shots would.
    """

    pauli: float | None = Field(None, ge=0, le=1)
    device: str | None = None
    shots: int | None = Field(None, ge=1, le=10_000_000)

    @model_validator(mode="after")
    def _check_source(self) -> NoiseSettings:
        if self.pauli is not None and self.device is not None:
            raise ValueError("give pauli, equal errors on all qubits, or device, those of its calibration, not both")
        return self

    def __str__(self) -> str:
        """Name the noise in a few words, such as "FakeTorino, 1,024 shots"; empty where there is none."""
        parts = [] if self.device is None else [self.device]
        if self.pauli is not None:
            parts.append(f"Pauli errors of {self.pauli:g}")
        if self.shots is not None:
            parts.append(f"{self.shots:,} shots")
        return ", ".join(parts)


class ModelSettings(Settings):
    """A QLAM model.

    Attributes
    ----------
    circuit, embedding, queries, readout, noise
        See their classes; the same for every layer and register.
    registers
        Registers side by side, each with its own encoder, weights and queries; their readouts are concatenated.
    layers
        Memories in a row: the readouts after every step are the next layer's tokens.
    time_scale
        s: the size of input angles (radians), small where sequences are long.
    time_scale_decades
        Spread of s over the angles, from the first to the last, in powers of ten around ``time_scale``.
    weight_scale
        The same for trainable angles: theta = weight_scale * theta'.
    weight_std
        Standard deviation of theta at the start (radians).
    time_step
        With ``selective`` the token also sets how far a step goes: all its angles, trained ones included, are
        multiplied by a positive number that a linear map makes of its embedding, one for each register.
    time_step_start
        That number at first, near which all tokens begin: small where most of them should change nothing.
    directions
        With ``both`` the last half of the registers, H // 2 of them, read the sequence backwards.
    """

    kind: Literal["qlam"] = "qlam"
    circuit: CircuitSettings = CircuitSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    queries: QuerySettings = QuerySettings()
    readout: ReadoutSettings = ReadoutSettings()
    noise: NoiseSettings = NoiseSettings()
    registers: int = Field(1, ge=1, le=256)
    layers: int = Field(1, ge=1, le=16)
    time_scale: float = Field(0.05, gt=0, le=1e6)
    time_scale_decades: float = Field(0.0, ge=0, le=20)
    weight_scale: float = Field(0.05, ge=1e-6, le=1e6)
    weight_std: float = Field(0.1, ge=0, le=1e6)
    time_step: Literal["fixed", "selective"] = "fixed"
    time_step_start: float = Field(1.0, ge=1e-6, le=1e3)
    directions: Literal["forward", "both"] = "forward"

    @model_validator(mode="after")
    def _check_choices(self) -> ModelSettings:
        if self.directions == "both" and self.registers < 2:
            raise ValueError("directions: both needs at least 2 registers, of which half read backwards")
        if self.time_step_start != 1 and self.time_step == "fixed":
            raise ValueError("time_step_start is that of time_step: selective")
        if self.readout.kind == "emissions" and (self.queries.kind != "learned" or self.queries.count != 1):
            raise ValueError("readout.kind: emissions is of ancillas, which no query turns: leave queries out")
        return self


def readout_steps(steps: int, times: int) -> tuple[int, ...]:
    """Return the steps after which a sequence is read, evenly spaced up to the last; ConfigurationError if too many."""
    if times > steps:
        raise ConfigurationError(f"model.readout.times: at most the {steps} steps of a sequence (got {times})")
    return tuple(round(steps * (k + 1) / times) - 1 for k in range(times))
