"""From a comparison to experiments: every model sized to the budget, with its rate and seed written in."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from pydantic import ValidationError

from qlam_qiskit.baselines import count_parameters, fit_size
from qlam_qiskit.compare.settings import MULTIPLIER, Case, Comparison, predicts_numbers
from qlam_qiskit.configuration import override
from qlam_qiskit.data import SequenceData, load_data
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import ModelSettings
from qlam_qiskit.runs import build_model
from qlam_qiskit.training import Experiment

Stage: TypeAlias = Literal["trial", "finalist", "final"]
NO_VARIANT: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Job:
    """One training of a comparison: a final run, or a trial or finalist of the search.

    A finalist and the final run with the same rate and seed are the same training; only the final run is tested.
    """

    case: str
    model: str
    experiment: Experiment
    multiplier: float
    stage: Stage
    variant: Mapping[str, Any] = field(default_factory=dict)  # the alternatives that it takes

    @property
    def counts_errors(self) -> bool:
        """Whether numbers are predicted."""
        return predicts_numbers(self.experiment.data)

    @property
    def name(self) -> str:
        """What its record is named after."""
        if self.stage == "final":
            return self._joined(f"seed{self.experiment.seed}")
        taken = [f"{key.rpartition('.')[2]}-{_label(value)}" for key, value in self.variant.items()]
        return self._joined(f"x{self.multiplier:g}", *taken, "full" if self.stage == "finalist" else "")

    @property
    def training_name(self) -> str:
        """What its training is named after."""
        return self.name if self.stage == "trial" else self._joined(f"seed{self.experiment.seed}")

    @property
    def fingerprint(self) -> str:
        """A hash of what is trained and how; keys left at their defaults do not count."""
        text = json.dumps(self.experiment.model_dump(exclude_defaults=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _joined(self, *last: str) -> str:
        return "-".join(part for part in (self.case, self.model, *last) if part)


class Plan:
    """The experiments of one case of a comparison."""

    def __init__(self, comparison: Comparison, case: Case, data_dir: Path | None) -> None:
        self.comparison, self.case = comparison, case
        self._data_dir = data_dir
        self._sized: dict[tuple[str, str], dict[str, Any]] = {}

    @cached_property
    def data(self) -> SequenceData:
        """The sequences of the case."""
        data = load_data(self.case.data, self._data_dir)
        if data.every_step and data.targets is None:
            raise ConfigurationError("comparisons count right answers at the end, not at every step")
        return data

    def trials(self, model: str) -> list[Job]:
        """List the trials of the search for a model's rate; none where every rate is trained in full."""
        if not self.comparison.search.epochs:
            return []
        return [self.trial(model, point[MULTIPLIER]) for point in self.comparison.search.space().grid()]

    def trial(self, model: str, multiplier: float, variant: Mapping[str, Any] = NO_VARIANT) -> Job:
        """Return a short training of a model on a part of the samples."""
        search = self.comparison.search
        limit = min(search.train_limit, self.case.data.train_limit or search.train_limit)
        changes = {
            "data": {**self.case.data.model_dump(exclude_none=True), "train_limit": limit},
            "training": {"epochs": search.epochs},
        }
        return self._job("trial", model, multiplier, variant, self.comparison.seeds[0], changes)

    def fits(self, model: str, variant: Mapping[str, Any]) -> bool:
        """Whether a model with these alternatives has a size within the budget."""
        try:
            self._model(model, variant)
        except ConfigurationError:
            return False
        return True

    def finalist(self, model: str, multiplier: float, variant: Mapping[str, Any] = NO_VARIANT) -> Job:
        """Return the full training, for the search alone, of a model that did well in the trials."""
        return self._job("finalist", model, multiplier, variant, self.comparison.seeds[0], {})

    def final(self, model: str, multiplier: float, seed: int, variant: Mapping[str, Any] = NO_VARIANT) -> Job:
        """Return the full training of a model at the rate and with the alternatives that were found."""
        return self._job("final", model, multiplier, variant, seed, {})

    def _job(
        self,
        stage: Stage,
        model: str,
        multiplier: float,
        variant: Mapping[str, Any],
        seed: int,
        changes: dict[str, Any],
    ) -> Job:
        values = {
            "data": changes.get("data", self.case.data.model_dump(exclude_none=True)),
            "model": self._model(model, variant),
            "training": {**self.comparison.training.model_dump(), **changes.get("training", {})},
            "backend": "exact",
            "seed": seed,
        }
        space = self.comparison.search.space()
        experiment = space.apply(Experiment.model_validate(values), {MULTIPLIER: multiplier})
        return Job(self.case.name, model, experiment, multiplier, stage, variant)

    def _model(self, name: str, variant: Mapping[str, Any]) -> dict[str, Any]:
        """Return a model's settings with its size solved; raises ConfigurationError when none fits the budget."""
        key = name, json.dumps(variant)
        if key not in self._sized:
            self._sized[key] = self._fit(name, variant)
        return self._sized[key]

    def _fit(self, name: str, variant: Mapping[str, Any]) -> dict[str, Any]:
        contestant = self.comparison.models[name]
        values, key, budget = contestant.varied(variant), contestant.solved_key, self._budget
        if key is not None:
            step = values.get("heads", getattr(contestant.model, "heads", 1)) if key == "width" else 1
            size = fit_size(lambda size: self._count_at(values, key, size), budget, step=step)
            values = override(values, (f"{key}={size}",))
        count, tolerance = self._count(values), self.comparison.budget.tolerance
        if count - budget > tolerance * budget or (budget - count > tolerance * budget and not contestant.smaller):
            solved = f"; the nearest {key} is {size}, try another width of its embedding" if key else ""
            taken = "".join(f", {key} {value}" for key, value in variant.items())
            raise ConfigurationError(
                f"models.{name}{taken}: {count:,} parameters, "
                f"not within {tolerance:.0%} of the budget of {budget:,}{solved}"
            )
        return values

    def _count_at(self, values: dict[str, Any], key: str, size: int) -> float:
        """Count the parameters at a size; endless beyond the sizes that settings allow."""
        try:
            return self._count(override(values, (f"{key}={size}",)))
        except ValidationError:
            return math.inf

    @cached_property
    def _budget(self) -> int:
        parameters = self.comparison.budget.parameters
        if parameters is not None:
            return parameters
        return self._count(self.comparison.models[self.comparison.reference].model.model_dump())

    def _count(self, values: dict[str, Any]) -> int:
        experiment = Experiment.model_validate({"data": self.case.data.model_dump(exclude_none=True), "model": values})
        # A baseline is counted without memory or initial values; a QLAM compiles its circuit with NumPy all the same.
        where = nullcontext() if isinstance(experiment.model, ModelSettings) else torch.device("meta")
        with where:
            return count_parameters(build_model(experiment.model, self.data, None, 0))


def _label(value: Any) -> str:
    """Write a value as a part of a file's name."""
    return "-".join(re.findall(r"[-\w.]+", json.dumps(value)))
