"""The space of a search: which keys of an experiment are tried, and over what values."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import Field, model_validator

from qlam_qiskit.configuration import Settings, check, read_yaml
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.runs import Experiment

Value: TypeAlias = int | float | str | bool | None
Number, Whole = float, int  # of which a class below has fields
_FORMS = ("float", "int", "choices")
_MOST_POINTS, _MOST_CORNERS = 100_000, 256


class DimensionSettings(Settings):
    """The values of one key: exactly one of ``float``, ``int`` and ``choices``.

    Attributes
    ----------
    float, int
        The lowest and the highest number.
    choices
        A list of values, of any kind.
    log
        Search the logarithm, for what is only known to an order of magnitude.
    step
        Take only lowest + k * step.
    points
        How many values a grid takes of a range without a step, evenly from the lowest to the highest.
    multiply
        The value is no key's own: these keys of the experiment, all numbers, are multiplied by it.
    """

    float: list[Number] | None = Field(None, min_length=2, max_length=2)
    int: list[Whole] | None = Field(None, min_length=2, max_length=2)
    choices: list[Any] | None = Field(None, min_length=1, max_length=1000)
    log: bool = False
    step: Number | None = Field(None, gt=0)
    points: Whole = Field(3, ge=2, le=1000)
    multiply: list[str] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _check_form(self) -> DimensionSettings:
        given = [form for form in _FORMS if getattr(self, form) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(_FORMS)} is needed (got {' and '.join(given) or 'none'})")
        bounds = self.float or self.int
        if bounds is None:
            wrong = [name for name in ("log", "step") if name in self.model_fields_set]
            if wrong:
                raise ValueError(f"{wrong[0]} is of numbers; choices are taken as they stand")
            if len({json.dumps(choice, sort_keys=True, default=str) for choice in self.choices or ()}) < len(
                self.choices or ()
            ):
                raise ValueError("choices: each only once")
            return self
        if not bounds[0] < bounds[1]:
            raise ValueError(f"the lowest number comes first, and the highest is larger (got {bounds})")
        if self.log and bounds[0] <= 0:
            raise ValueError(f"log needs numbers above 0 (got {bounds[0]})")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.int and self.step is not None and self.step != int(self.step):
            raise ValueError(f"step: a whole number, as of int (got {self.step})")
        return self


@dataclass(frozen=True)
class Dimension:
    """One dimension of a space: a key of the experiment, or a name for a factor of several.

    Attributes
    ----------
    name
        The dotted key, or what a factor is called.
    settings
        Its values.
    """

    name: str
    settings: DimensionSettings

    @property
    def keys(self) -> list[str]:
        """The keys of the experiment that it changes."""
        return self.settings.multiply or [self.name]

    @property
    def labels(self) -> dict[Value, Any] | None:
        """What a storage keeps of each choice, which is a word or a number, and the choice; None of numbers."""
        if self.settings.choices is None:
            return None
        plain = (str, int, float, bool, type(None))
        return {
            choice if isinstance(choice, plain) else json.dumps(choice, sort_keys=True): choice
            for choice in self.settings.choices
        }

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest number; with a step, the highest one that is on it."""
        low, high = self.settings.int or self.settings.float
        if (step := self.settings.step) is None:
            return low, high
        return low, low + math.floor((high - low) / step + 1e-9) * (int(step) if self.settings.int else step)

    def grid(self) -> list[Value]:
        """List the values that a grid has of it, in order."""
        if (labels := self.labels) is not None:
            return list(labels)
        whole, step = self.settings.int is not None, self.settings.step
        low, high = self.bounds
        if whole and not self.settings.log and (step is not None or high - low < self.settings.points):
            return list(range(low, high + 1, int(step or 1)))
        if step is not None:
            return [low + k * step for k in range(round((high - low) / step) + 1)]
        ends = (math.log(low), math.log(high)) if self.settings.log else (low, high)
        fractions = [k / (self.settings.points - 1) for k in range(self.settings.points)]
        between = [ends[0] + fraction * (ends[1] - ends[0]) for fraction in fractions]
        values = [math.exp(value) if self.settings.log else value for value in between]
        values[0], values[-1] = low, high
        return list(dict.fromkeys(round(value) for value in values)) if whole else values

    def holds(self, value: Any) -> bool:
        """Whether a value of an experiment is one that a search may come to."""
        if (labels := self.labels) is not None:
            return value in list(labels.values())
        if isinstance(value, bool) or not isinstance(value, int if self.settings.int else int | float):
            return False
        low, high = self.bounds
        steps = (value - low) / (self.settings.step or 1)
        on_step = self.settings.step is None or math.isclose(steps, round(steps), abs_tol=1e-9)
        return low <= value <= high and on_step


class Space:
    """Every experiment that a search may train.

    Parameters
    ----------
    dimensions
        What varies; no two of them change the same key.
    """

    def __init__(self, dimensions: list[Dimension]) -> None:
        self.dimensions = dimensions
        if not dimensions:
            raise ConfigurationError("a search space needs at least one key")
        keys = [key for dimension in dimensions for key in dimension.keys]
        for key in keys:
            if keys.count(key) > 1 or any(other.startswith(f"{key}.") for other in keys):
                raise ConfigurationError(f"search space: {key} is changed twice")

    @classmethod
    def read(cls, path: Path) -> Space:
        """Read a YAML file of keys and their values; raises ConfigurationError."""
        return cls.of(read_yaml(path), str(path))

    @classmethod
    def of(cls, values: Mapping[str, Any], source: str = "search space") -> Space:
        """Make a space from a mapping as a file holds it: dotted keys, or sections; a list is that of ``choices``."""
        dimensions = []
        for key, given in _flat(values, source):
            try:
                dimensions.append(Dimension(key, check(DimensionSettings, given, f"{source}: {key}")))
            except ConfigurationError as error:  # of the dimension as a whole, which is no file
                raise ConfigurationError(str(error).replace(": file: ", ": ", 1)) from None
        return cls(dimensions)

    @classmethod
    def around(cls, experiment: Experiment) -> Space:
        """Return the space to begin with: both learning rates a decade around the experiment's, and a memory's scales.

        The scales of angles decide how long a memory remembers, and are searched by a factor of 4 up and down.
        """
        wide = {"training.circuit_rate": 10.0, "training.head_rate": 10.0}
        if experiment.model.kind == "qlam":
            wide |= {"model.time_scale": 4.0, "model.weight_scale": 4.0}
        values = experiment.model_dump()
        found = {key: (value_at(values, key), factor) for key, factor in wide.items()}
        return cls.of(
            {
                key: {"float": [float(f"{bound:.6g}") for bound in (value / factor, value * factor)], "log": True}
                for key, (value, factor) in found.items()
            }
        )

    def description(self) -> dict[str, Any]:
        """Return the space as plain values, which :meth:`of` reads."""
        return {
            dimension.name: dimension.settings.model_dump(exclude_defaults=True, exclude_none=True)
            for dimension in self.dimensions
        }

    def apply(self, experiment: Experiment, point: Mapping[str, Any]) -> Experiment:
        """Return the experiment at a point; raises ConfigurationError when there is none.

        ``point`` has a value for each dimension's name (without one the experiment's stays); of a choice that is no
        word or number, its label.
        """
        values, whole = experiment.model_dump(exclude_unset=True), experiment.model_dump()
        for dimension in self.dimensions:
            if dimension.name not in point:
                continue
            value = point[dimension.name]
            if (labels := dimension.labels) is not None:
                if value not in labels:
                    listed = ", ".join(map(str, labels))
                    raise ConfigurationError(f"search space: {dimension.name}: {value!r} is none of {listed}")
                value = labels[value]
            for key in dimension.keys:
                given = value
                if dimension.settings.multiply:
                    before = value_at(whole, key)
                    if isinstance(before, bool) or not isinstance(before, int | float):
                        raise ConfigurationError(f"search space: {dimension.name}: {key} is no number to multiply")
                    given = value * before
                _set(values, key, given)
        return check(Experiment, values, "search space")

    def check(self, experiment: Experiment) -> None:
        """Try every dimension's first and last value on an experiment; raises ConfigurationError where one never fits.

        A value may need others: it is tried alone, then with the first and last ones of the other dimensions.
        """
        if not experiment.training.validation_fraction:
            raise ConfigurationError(
                "training.validation_fraction is 0, but a search compares trials on validation samples: set it to 0.1"
            )
        whole = experiment.model_dump()
        ends = {dimension.name: (dimension.grid()[0], dimension.grid()[-1]) for dimension in self.dimensions}
        for dimension in self.dimensions:
            for value in ends[dimension.name]:
                self._try({**ends, dimension.name: (value,)}, dimension, experiment)
            if dimension.settings.multiply:
                continue
            if isinstance(value_at(whole, dimension.name), int) and dimension.settings.float:
                raise ConfigurationError(f"search space: {dimension.name} is a whole number: give int, not float")

    def _try(self, ends: dict[str, tuple[Value, ...]], dimension: Dimension, experiment: Experiment) -> None:
        corners = (dict(zip(ends, corner, strict=True)) for corner in itertools.product(*ends.values()))
        (value,), failure = ends[dimension.name], None
        for point in itertools.chain([{dimension.name: value}], itertools.islice(corners, _MOST_CORNERS)):
            try:
                self.apply(experiment, point)
                return
            except ConfigurationError as error:
                failure = failure or error
        raise failure

    def grid(self) -> list[dict[str, Value]]:
        """List the points of the grid, the last dimension varying fastest; raises ConfigurationError for too many."""
        axes = [dimension.grid() for dimension in self.dimensions]
        if (count := math.prod(map(len, axes))) > _MOST_POINTS:
            raise ConfigurationError(f"search space: a grid of {count:,} points; at most {_MOST_POINTS:,}")
        names = [dimension.name for dimension in self.dimensions]
        return [dict(zip(names, point, strict=True)) for point in itertools.product(*axes)]

    def own_point(self, experiment: Experiment) -> dict[str, Value] | None:
        """Return the point that leaves an experiment as it is; None where the space does not hold it."""
        values, point = experiment.model_dump(), {}
        for dimension in self.dimensions:
            value = 1.0 if dimension.settings.multiply else value_at(values, dimension.name)
            if not dimension.holds(value):
                return None
            labels = dimension.labels
            point[dimension.name] = (
                value if labels is None else next(label for label, choice in labels.items() if choice == value)
            )
        return point


def value_at(values: Mapping[str, Any], key: str) -> Any:
    """Return what stands under a dotted key; None where nothing does."""
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return None
        values = values[part]
    return values


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for name in parents:
        inner = values.get(name)
        values[name] = dict(inner) if isinstance(inner, Mapping) else {}
        values = values[name]
    values[last] = value


def _flat(values: Mapping[str, Any], source: str, prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, list):
            yield key, {"choices": value}
        elif not isinstance(value, Mapping):
            raise ConfigurationError(
                f"{source}: {key}: expected a list of choices, or {{float: [LOW, HIGH]}} or {{int: [LOW, HIGH]}}"
            )
        elif any(form in value for form in (*_FORMS, "multiply")) or not any(
            isinstance(v, Mapping | list) for v in value.values()
        ):
            yield key, value
        else:
            yield from _flat(value, source, f"{key}.")
