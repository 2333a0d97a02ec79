"""Samplers, which say what is tried next, and pruners, which end trials that promise little: Optuna's, by name."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.extras import require
from qlam_qiskit.searching.space import Space, Value
from qlam_qiskit.suggestions import did_you_mean

GRID = "grid"
# A sampler from a seed of its own trial, and one that is the same for all trials of a study.
_SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": lambda own, shared: TPESampler(seed=own),
    "random": lambda own, shared: RandomSampler(seed=own),
    GRID: lambda own, shared: RandomSampler(seed=own),  # which draws nothing: the grid says all
    "cmaes": lambda own, shared: CmaEsSampler(seed=own, warn_independent_sampling=False),
    "gp": lambda own, shared: GPSampler(seed=own),
    "qmc": lambda own, shared: QMCSampler(scramble=True, seed=shared, warn_independent_sampling=False),
}
_PRUNERS: dict[str, Callable[[int], BasePruner]] = {
    "median": lambda epochs: MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 4)),
    "hyperband": lambda epochs: HyperbandPruner(min_resource=1, max_resource=epochs),
    "halving": lambda epochs: SuccessiveHalvingPruner(min_resource=max(1, epochs // 9)),
    "none": lambda epochs: NopPruner(),
}
SAMPLERS, PRUNERS = tuple(_SAMPLERS), tuple(_PRUNERS)


class Method:
    """How a study goes about its search; the same in every process that works on it.

    Each trial has a sampler with a seed of its own, so that processes draw different points, and one process alone
    draws the same ones again, however often it was stopped.

    Parameters
    ----------
    sampler, pruner
        Names, of ``SAMPLERS`` and ``PRUNERS``.
    seed
        What random numbers come from.
    epochs
        Of a whole training.

    Raises
    ------
    ConfigurationError
        For a name that is none, or a sampler whose package is missing.
    """

    def __init__(self, sampler: str, pruner: str, seed: int, epochs: int) -> None:
        for kind, name, known in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
            if name not in known:
                near = did_you_mean(name, known)
                raise ConfigurationError(f"unknown {kind} {name!r}; available: {', '.join(known)}{near}")
        if sampler == "cmaes":
            require("cmaes", "search", "sampler cmaes")
        self.name, self._seed = sampler, seed
        self.pruner = _PRUNERS[pruner](epochs)

    def sampler(self, ordinal: int) -> BaseSampler:
        """Return the sampler of the trial that is the study's ``ordinal``-th, from 0."""
        own = random.Random(f"{self._seed} {ordinal}").getrandbits(32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return _SAMPLERS[self.name](own, self._seed)

    def grid(self, space: Space) -> list[dict[str, Value]] | None:
        """Return the points of a grid, shuffled, lest few trials lie in one corner of it; None of other samplers."""
        if self.name != GRID:
            return None
        points = space.grid()
        random.Random(self._seed).shuffle(points)
        return points
