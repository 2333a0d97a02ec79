"""A model card, card.yaml: what a person says of a trained run, beside what its files know of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from qlam_qiskit.configuration import Settings, check, read_yaml
from qlam_qiskit.errors import ConfigurationError, RunError

Sentence = Annotated[str, Field(min_length=1, max_length=1000)]


class ModelCard(Settings):
    """What a trained run is for, and what not. Its figures are not here: they are the run's records.

    Attributes
    ----------
    about
        What it does.
    data
        What it was trained on: whose, how much of it, under which license.
    again
        The command that trains it again.
    hardware
        What it was trained on, and how long that took.
    good_for, not_for
        What to use it for, and what not.
    license
        Of the weights.
    """

    about: Sentence
    data: Sentence
    again: Sentence
    hardware: Sentence
    good_for: list[Sentence] = Field(min_length=1)
    not_for: list[Sentence] = Field(min_length=1)
    license: Sentence

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read a card; raises RunError naming what is wrong with it."""
        try:
            return check(cls, read_yaml(path), str(path))
        except ConfigurationError as error:
            raise RunError(str(error)) from None

    def lines(self) -> list[tuple[str, str]]:
        """Say it as pairs of a label and a text; a label holds on until the next."""
        lines = [("about", self.about), ("data", self.data), ("hardware", self.hardware)]
        for label, texts in (("good for", self.good_for), ("not for", self.not_for)):
            lines += [(label if text is texts[0] else "", text) for text in texts]
        return [*lines, ("license", self.license)]
