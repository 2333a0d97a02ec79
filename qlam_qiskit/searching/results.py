"""What a search has found: the best trial as an experiment file, counts, and a page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.runs import Experiment
from qlam_qiskit.searching.page import write_page
from qlam_qiskit.searching.study import Entry, Standing, Study
from qlam_qiskit.workspace import write_file


@dataclass(frozen=True)
class Best:
    """The best trial.

    Attributes
    ----------
    number
        What it is called.
    validation_accuracy
        Of its best epoch, a fraction.
    point
        A value for each dimension.
    experiment
        What it trained.
    path
        The experiment's file.
    run
        The folder of its run, which has its weights and was not tested.
    """

    number: int
    validation_accuracy: float
    point: dict[str, Any]
    experiment: Experiment
    path: Path
    run: Path


@dataclass(frozen=True)
class Findings:
    """What a search has found.

    Attributes
    ----------
    name, url
        The study's name and its storage, for whoever opens it with Optuna.
    counts
        How many trials are complete, pruned, failed, running or waiting.
    best
        The best trial; None while none is complete.
    page
        The page with history and importance.
    study
        Optuna's study, for its own tools.
    """

    name: str
    url: str
    counts: dict[str, int]
    best: Best | None
    page: Path
    study: optuna.Study

    @property
    def trials(self) -> int:
        """How many trials the study has, attempts whose process died not counted."""
        return sum(self.counts.values())


def write_results(study: Study, experiment: Experiment, folder: Path) -> Findings:
    """Write best.yaml and search.html into a study's folder, and return what is in them."""
    found = study.entries()
    counted = Counter(entry.standing for entry in found)
    counts = {standing.value: counted[standing] for standing in Standing}
    entry = study.best()
    best = None if entry is None else _best(entry, study, experiment, folder)
    page = folder / "search.html"
    write_page(study, best.number if best else None, counts, page)
    return Findings(study.study.study_name, study.keeping.url, counts, best, page, study.study)


def _best(entry: Entry, study: Study, experiment: Experiment, folder: Path) -> Best:
    point = {dimension.name: entry.last.params[dimension.name] for dimension in study.space.dimensions}
    found = study.space.apply(experiment, point)
    before = f"{experiment.description}: " if experiment.description else ""
    said = f"{before}best of {len(study.entries())} trials by validation accuracy, {entry.last.value:.2%}"
    path = folder / "best.yaml"
    values = {**found.model_dump(exclude_unset=True, exclude_none=True), "description": said}
    write_file(path, dump_yaml({"description": said, **values}), parents=True)
    run = folder / f"trial-{entry.number:04d}"
    return Best(entry.number, entry.last.value, point, found, path, run)
