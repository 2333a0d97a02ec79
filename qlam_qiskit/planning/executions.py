"""How often the service executes what a primitive is asked for: shots, randomizations, and what mitigation adds.

The rules are those of the service's client (``calculate_twirling_shots``, ``finalize_estimator_options``) and of its
documentation; a shot that is asked for may be several that are executed and paid for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qlam_qiskit.backends import BackendSpec, IBMSpec

_LEVEL_BY_DEFAULT = 1
_FEWEST_SHOTS_OF_A_RANDOMIZATION = 64
_RANDOMIZATIONS = 32
_NOISE_FACTORS = (1.0, 3.0, 5.0)
# The client's and the service's default for how much sampling probabilistic error cancellation may add.
_LARGEST_PEC_OVERHEAD = 100


@dataclass(frozen=True)
class Mitigation:
    """What an estimator's options amount to, after the defaults of its resilience level.

    ``noise_factors`` are those of zero-noise extrapolation, (1.0,) without; ``sampling`` is by what factor error
    cancellation may multiply the shots.
    """

    twirls: bool
    learns_readout: bool
    noise_factors: tuple[float, ...]
    sampling: int
    learns_layers: bool


def mitigation_of(spec: BackendSpec | None) -> Mitigation:
    """Resolve an entry's options as the service does; nothing is mitigated where no estimator of a service runs."""
    if not isinstance(spec, IBMSpec):
        return Mitigation(False, False, (1.0,), 1, False)
    twirling = spec.twirling
    if spec.primitive != "estimator":
        return Mitigation(twirling.gates or twirling.measure, False, (1.0,), 1, False)
    level = _LEVEL_BY_DEFAULT if spec.resilience_level is None else spec.resilience_level
    gates = twirling.gates if "gates" in twirling.model_fields_set else level == 2
    measure = twirling.measure if "measure" in twirling.model_fields_set else level >= 1
    learns_readout = level >= 1 if spec.measure_mitigation is None else spec.measure_mitigation
    extrapolates = (spec.zne or level == 2) and not spec.pec
    pea = extrapolates and spec.zne_amplifier == "pea"
    return Mitigation(
        twirls=gates or measure or learns_readout or pea or spec.pec,
        learns_readout=learns_readout,
        noise_factors=_NOISE_FACTORS if extrapolates else (1.0,),
        sampling=_LARGEST_PEC_OVERHEAD if spec.pec else 1,
        learns_layers=pea or spec.pec,
    )


def uses_mitigation(spec: BackendSpec | None) -> bool:
    """Whether expectation values are corrected, so that they may leave the range of their observable."""
    found = mitigation_of(spec)
    return found.learns_readout or uses_extrapolation(spec)


def uses_extrapolation(spec: BackendSpec | None) -> bool:
    """Whether expectation values are extrapolated or made of weighted samples."""
    found = mitigation_of(spec)
    return len(found.noise_factors) > 1 or found.sampling > 1


def precision_shots(precision: float) -> int:
    """Return the shots that an estimator takes for a precision."""
    return math.ceil(1 / precision**2)


def executions_of_row(spec: BackendSpec | None, shots: int) -> int:
    """Return how often a circuit with one row of values is executed for ``shots``: whole randomizations."""
    if not mitigation_of(spec).twirls:
        return shots
    randomizations, each = spec.twirling.randomizations, spec.twirling.shots_per_randomization
    if each is None:
        if randomizations is None:
            spread = 0 if spec.primitive == "estimator" and spec.pec else math.ceil(shots / _RANDOMIZATIONS)
            each = max(_FEWEST_SHOTS_OF_A_RANDOMIZATION, spread)
        else:
            each = math.ceil(shots / randomizations)
    if randomizations is None:
        randomizations = math.ceil(shots / each)
    return randomizations * each
