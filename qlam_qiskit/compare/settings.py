"""A comparison: one YAML file that says which models meet on what task, under what budget."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from qlam_qiskit.configuration import Settings, override
from qlam_qiskit.data import MOST_SAMPLES, DataSettings
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.runs import AnyModelSettings, TrainingSettings
from qlam_qiskit.searching import Space

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
MULTIPLIER = "multiplier"  # of the learning rates: the search's only dimension
_ANY_MODEL: TypeAdapter[AnyModelSettings] = TypeAdapter(AnyModelSettings)
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Figure(Settings):
    """An accuracy in percent that somebody else reported, to as many digits as they gave, and where."""

    accuracy: int | float = Field(ge=0, le=100)
    deviation: int | float | None = Field(None, ge=0)
    source: str


class Contestant(Settings):
    """One model of a comparison.

    Attributes
    ----------
    label
        Its name in tables.
    model
        A ``model:`` section, as of an experiment.
    size
        The key of it that is solved for the parameter budget, by default a baseline's ``width``, a reservoir's
        ``readout.times``, and none of a QLAM, which is only checked.
    alternatives
        Keys of ``model`` and other values for them, which the search tries one key after the other.
    ours
        Whether it is a variant of the reference: it stands in tables, but is not one of the baselines.
    smaller
        Whether it has its own size, which may be below the budget, as of models that gain nothing from more.
    paper, published
        What the QLAM paper and the literature report under this name, with other sizes and training.
    """

    label: str
    model: AnyModelSettings
    size: str | None = None
    alternatives: dict[str, list[Any]] = Field(default_factory=dict)
    ours: bool = False
    smaller: bool = False
    paper: Figure | None = None
    published: Figure | None = None

    @model_validator(mode="after")
    def _check_alternatives(self) -> Contestant:
        for key, values in self.alternatives.items():
            for value in values:
                try:
                    changed = _ANY_MODEL.validate_python(self.varied({key: value}))
                except ConfigurationError as error:
                    raise ValueError(f"alternatives: {error}") from None
                except ValidationError as error:
                    why = error.errors()[0]["msg"]
                    raise ValueError(f"alternatives: {key} cannot be {value}: {why[:1].lower()}{why[1:]}") from None
                if changed == self.model or values.count(value) > 1:
                    raise ValueError(f"alternatives: {key} is {value} already; list other values, each once")
        return self

    def varied(self, variant: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``model`` as plain values, with some of the alternatives taken."""
        values = {**self.model.model_dump(exclude_unset=True), "kind": self.model.kind}
        return override(values, tuple(f"{key}={json.dumps(value)}" for key, value in variant.items()), "alternatives")

    def holds(self, variant: Mapping[str, Any]) -> bool:
        """Whether a search can end with this variant."""
        return all(value in self.alternatives.get(key, ()) for key, value in variant.items())

    @property
    def solved_key(self) -> str | None:
        """The key of ``model`` that is solved for the budget."""
        if self.smaller:
            return None
        return self.size or {"qlam": None, "reservoir": "readout.times"}.get(self.model.kind, "width")

    @property
    def figures(self) -> list[Figure]:
        """What was reported elsewhere, the paper first."""
        return [figure for figure in (self.paper, self.published) if figure is not None]


class BudgetSettings(Settings):
    """How many parameters every model trains, by default as many as the reference, and how far off it may be."""

    parameters: int | None = Field(None, ge=1, le=1_000_000_000)
    tolerance: float = Field(0.05, gt=0, lt=1)


class SearchSettings(Settings):
    """The search for learning rates and alternatives, the same for every model.

    Each multiplier of both rates is tried for ``epochs`` on the first ``train_limit`` samples; the best validation
    accuracy decides. At that rate a model's alternatives are tried alike, one key after the other: the best value of a
    key is kept while those of the next are tried. Short trials favour high rates, so with ``confirm`` the best
    multiplier and the next smaller one are trained in full with the first seed, and these validation accuracies decide.
    Where ``epochs`` is 0 there are no trials, and every multiplier is trained in full. The test set has no part in it.
    """

    multipliers: list[Annotated[float, Field(ge=1e-6)]] = Field([0.1, 0.3, 1.0], min_length=1, max_length=100)
    epochs: int = Field(1, ge=0, le=100_000)
    train_limit: int = Field(10_000, ge=2, le=MOST_SAMPLES)
    confirm: bool = False

    def space(self) -> Space:
        """Return the rates that are searched, as one dimension: a factor of both."""
        rates = ["training.circuit_rate", "training.head_rate"]
        return Space.of({MULTIPLIER: {"choices": self.multipliers, "multiply": rates}})


class VarySettings(Settings):
    """A key of ``data`` and the values that it takes, one case of the comparison each."""

    key: str
    values: list[int | Name] = Field(min_length=1, max_length=1000)

    @property
    def names_tasks(self) -> bool:
        """Whether the values are words, which tasks are named after anyway."""
        return isinstance(self.values[0], str)


def predicts_numbers(data: DataSettings) -> bool:
    """Whether the answers to a data set are numbers, not classes."""
    return data.dataset == "series" or data.task == "regression"


@dataclass(frozen=True)
class Case:
    """One task of a comparison; ``name`` is empty where there is only one."""

    name: str
    data: DataSettings


class Comparison(Settings):
    """Models that meet on equal terms: same tokens, epochs and schedule, same budget, same search.

    Attributes
    ----------
    reference
        The model that the others are compared with.
    seeds
        The first is trained with every model, the others with the reference and the ``contenders`` baselines that the
        first found best by validation accuracy.
    threads
        Threads of torch and of the exact engine, the same for all. Torch rounds sums over several in another order, and
        is hardly faster with more on models this small: a second process, with other ``--models``, uses a second core.
    """

    description: str = ""
    data: DataSettings
    vary: VarySettings | None = None
    training: TrainingSettings
    budget: BudgetSettings = BudgetSettings()
    search: SearchSettings = SearchSettings()
    seeds: list[Seed] = Field([0, 1, 2], min_length=1, max_length=1000)
    contenders: int = Field(2, ge=0)
    reference: Name = "qlam"
    threads: int = Field(1, ge=1, le=1024)
    models: dict[Name, Contestant] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_choices(self) -> Comparison:
        if self.reference not in self.models:
            raise ValueError(f"reference {self.reference!r} is none of the models {', '.join(self.models)}")
        if not self.training.validation_fraction:
            raise ValueError("training.validation_fraction is 0, but rates and epochs are chosen on a validation split")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: each only once")
        if len(set(self.search.multipliers)) < len(self.search.multipliers):
            raise ValueError("search.multipliers: each only once")
        tried = [name for name, contestant in self.models.items() if contestant.alternatives]
        if tried and (not self.search.epochs or len(self.search.multipliers) < 2):
            raise ValueError(
                f"models.{tried[0]}.alternatives are tried after rates, so search needs epochs and two multipliers"
            )
        list(self.cases())
        return self

    @property
    def counts_errors(self) -> bool:
        """Whether numbers are predicted, so that errors are compared and not right answers."""
        return predicts_numbers(self.data)

    @property
    def baselines(self) -> list[str]:
        """The models that the reference is compared with, without its own variants."""
        return [name for name, one in self.models.items() if name != self.reference and not one.ours]

    def cases(self) -> Iterator[Case]:
        """Yield the tasks; raises ValueError where ``vary`` does not fit the data."""
        if self.vary is None:
            yield Case("", self.data)
            return
        given: dict[str, Any] = self.data.model_dump(exclude_none=True)
        for value in self.vary.values:
            name = value if isinstance(value, str) else f"{self.vary.key}{value}"
            yield Case(name, DataSettings.model_validate({**given, self.vary.key: value}))
