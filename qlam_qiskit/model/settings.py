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
    """What is read, ``times`` times at even intervals: all bitstring probabilities, or Z strings up to a weight.

    ``kind: probabilities`` reads y_j = 2^n p_j - 1 of every bitstring j, 0 where it is as likely as any other.
    With ``normalize: batch`` the head sees readouts standardized over the samples that run together, to a standard
    deviation of ``spread``; see :class:`~qlam_qiskit.model.normalization.ReadoutNormalization`.
    """

    kind: Literal["probabilities", "z_strings"] = "probabilities"
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
    """Noise injected while training, and never in evaluation.

    Attributes
    ----------
    pauli
        The probability that X, Y or Z, one as likely as another, strikes a qubit in one step.
    device
        Take that probability from the calibration of a fake device, such as FakeTorino.
    shots
        Scatter readouts as far as that many shots would.
    """

    pauli: float | None = Field(None, ge=0, le=1)
    device: str | None = None
    shots: int | None = Field(None, ge=1, le=10_000_000)

    @model_validator(mode="after")
    def _check_source(self) -> NoiseSettings:
        if self.pauli is not None and self.device is not None:
            raise ValueError("give pauli, the probability itself, or device, which has one, not both")
        return self


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


def readout_steps(steps: int, times: int) -> tuple[int, ...]:
    """Return the steps after which a sequence is read, evenly spaced up to the last; ConfigurationError if too many."""
    if times > steps:
        raise ConfigurationError(f"model.readout.times: at most the {steps} steps of a sequence (got {times})")
    return tuple(round(steps * (k + 1) / times) - 1 for k in range(times))
