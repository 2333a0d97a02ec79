"""The ``model:`` section of an experiment on a baseline: ``kind`` says which."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from qlam_qiskit.configuration import Settings
from qlam_qiskit.model import EmbeddingSettings, ModelSettings


class BaselineReadout(Settings):
    """What the head sees, ``times`` times at even intervals, as QLAM is read.

    ``last`` is the model's output at each of these steps; ``mean`` its mean over the steps since the one before.
    """

    times: int = Field(1, ge=1, le=65_536)
    pooling: Literal["last", "mean"] = "last"


class _MeanReadout(BaselineReadout):
    pooling: Literal["last", "mean"] = "mean"


class _Baseline(Settings):
    embedding: EmbeddingSettings = EmbeddingSettings()
    readout: BaselineReadout = BaselineReadout()
    width: int = Field(32, ge=1, le=16_384)
    layers: int = Field(1, ge=1, le=64)


class _Causal(_Baseline):
    """With ``directions: both`` a second memory, as wide and with weights of its own, reads the sequence backwards.

    Its outputs stand beside those of the first, each read after so many steps of its own.
    """

    directions: Literal["forward", "both"] = "forward"


class RecurrentSettings(_Causal):
    """A vanilla (Elman, tanh) RNN, an LSTM or a GRU of ``width`` hidden units; biases of forget gates start at 1."""

    kind: Literal["rnn", "lstm", "gru"]


class TransformerSettings(_Baseline):
    """A pre-norm Transformer encoder: ``heads`` of attention over all tokens, then GELU between ``feedforward`` units.

    ``feedforward`` counts in multiples of ``width``. Learned positions cost T * width parameters, sinusoidal ones none.
    There is no key ``directions``: every output has seen all tokens, those after it too.
    """

    kind: Literal["transformer"]
    heads: int = Field(2, ge=1, le=1024)
    feedforward: int = Field(2, ge=1, le=64)
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    readout: _MeanReadout = _MeanReadout()

    @model_validator(mode="after")
    def _check_heads(self) -> TransformerSettings:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class _Stepped(_Causal):
    step_min: float = Field(0.001, gt=0, le=1e6)
    step_max: float = Field(0.1, gt=0, le=1e6)

    @model_validator(mode="after")
    def _check_steps(self) -> _Stepped:
        if self.step_min > self.step_max:
            raise ValueError(f"step_min {self.step_min} is larger than step_max {self.step_max}")
        return self


class StateSpaceSettings(_Stepped):
    """S4D, a diagonal state-space model of ``width`` channels with ``state`` real numbers each (arXiv 2206.11893).

    Attributes
    ----------
    state
        N; the layer holds N / 2 complex modes, and their conjugates are implied.
    initialization
        Eigenvalues -1/2 + i pi n (``lin``), or -1/2 + i N/pi (N/(2n+1) - 1) (``inv``).
    step_min, step_max
        Range of the step sizes, log-uniform over channels.
    dynamics_rate
        Step sizes and eigenvalues learn at this fraction of the rate of the rest, as published (0.001 next to 0.01).
    """

    kind: Literal["s4d"]
    state: int = Field(32, ge=2, le=65_536, multiple_of=2)
    initialization: Literal["lin", "inv"] = "lin"
    dynamics_rate: float = Field(0.1, gt=0, le=1e6)
    readout: _MeanReadout = _MeanReadout()


class LinearRecurrentSettings(_Causal):
    """A linear recurrent unit of ``width`` channels and ``state`` complex modes a layer (arXiv 2303.06349).

    Attributes
    ----------
    state
        Modes of a layer, shared by its channels.
    radius_min, radius_max
        Range of the eigenvalues' absolute values at first.
    phase_max
        Their largest angle a step at first, in radians; small where what counts lies many steps apart.
    dynamics_rate
        Eigenvalues and the drives' norms learn at this fraction of the rate of the rest.
    """

    kind: Literal["lru"]
    state: int = Field(32, ge=1, le=65_536)
    radius_min: float = Field(0.9, ge=0, lt=1)
    radius_max: float = Field(0.999, gt=0, lt=1)
    phase_max: float = Field(0.314, gt=0, le=6.2832)
    dynamics_rate: float = Field(0.1, gt=0, le=1e6)
    readout: _MeanReadout = _MeanReadout()

    @model_validator(mode="after")
    def _check_radii(self) -> LinearRecurrentSettings:
        if self.radius_min >= self.radius_max:
            raise ValueError(f"radius_min {self.radius_min} is not smaller than radius_max {self.radius_max}")
        return self


class SelectiveSettings(_Stepped):
    """S6, the selective state-space model of Mamba: twice ``width`` channels of ``state`` numbers (arXiv 2312.00752).

    Attributes
    ----------
    state
        N, numbers that each channel keeps.
    step_min, step_max
        Range of the step sizes at first, log-uniform over channels.
    """

    kind: Literal["mamba"]
    state: int = Field(16, ge=1, le=65_536)
    readout: _MeanReadout = _MeanReadout()


class ReservoirSettings(ModelSettings):
    """A QLAM whose embedding, encoder, queries and memory stay as they were drawn: only the head is trained.

    With ``fit: ridge`` it is solved in closed form instead, as is usual for reservoirs that predict numbers.
    """

    kind: Literal["reservoir"]
    fit: Literal["gradient", "ridge"] = "gradient"


class _Fixed(Settings):
    """Nothing is trained but the head, which ridge regression solves; the penalty is chosen on validation samples."""

    readout: BaselineReadout = BaselineReadout()


class DelaySettings(_Fixed):
    """A linear regression on the last ``width`` tokens."""

    kind: Literal["delays"]
    width: int = Field(20, ge=1, le=16_384)


class EchoStateSettings(_Fixed):
    """An echo state network of ``width`` random units (Jaeger 2001).

    Attributes
    ----------
    spectral_radius
        The largest absolute value of the eigenvalues of its random weights.
    leak
        How much of a unit is new at every step.
    input_scale
        Inputs' weights and biases lie between minus this and this.
    """

    kind: Literal["echo_state"]
    width: int = Field(100, ge=1, le=16_384)
    spectral_radius: float = Field(0.9, gt=0, le=100)
    leak: float = Field(1.0, gt=0, le=1)
    input_scale: float = Field(0.5, gt=0, le=1e6)


FixedSettings: TypeAlias = DelaySettings | EchoStateSettings
BaselineSettings: TypeAlias = (
    RecurrentSettings
    | TransformerSettings
    | StateSpaceSettings
    | LinearRecurrentSettings
    | SelectiveSettings
    | FixedSettings
)
