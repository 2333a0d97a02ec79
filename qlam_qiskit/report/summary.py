"""The headline of a report: what was trained, how long, how well, with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qlam_qiskit.model import ModelSettings
from qlam_qiskit.report.history import Accuracy
from qlam_qiskit.runs import SavedRun
from qlam_qiskit.words import quality


@dataclass(frozen=True)
class Headline:
    """What a reader wants to know first; None where the run does not say (training has not finished).

    ``memory`` is empty of a model without one; ``backwards`` are the registers of a layer that read backwards, and
    ``errors`` those of predicted numbers.
    """

    task: str
    description: str
    kind: str
    accuracy: Accuracy | None
    errors: str | None
    parameters: int
    steps: int
    token_size: int
    classes: int
    epochs: int
    best_epoch: int | None
    seconds: float | None
    backend: str
    seed: int
    memory: tuple[str, ...]
    backwards: int
    versions: Mapping[str, str]

    @classmethod
    def of(cls, run: SavedRun) -> Headline:
        """Read a run's files; raises RunError when one is missing or damaged."""
        experiment, description, result = run.experiment, run.folder.description(), run.result or {}
        done, measured = result.get("test_accuracy"), "test_nrmse" in result
        return cls(
            task=description["task"],
            description=experiment.description,
            kind=experiment.model.kind,
            accuracy=None if done is None else Accuracy(done, result["test_samples"]),
            errors=f"{quality(result, 'test_')} {result['test_samples']:,} test samples" if measured else None,
            parameters=description["parameters"],
            steps=description["steps"],
            token_size=description["token_size"],
            classes=description["classes"],
            epochs=len(run.metrics),
            best_epoch=result.get("best_epoch"),
            seconds=result.get("train_seconds"),
            backend=description.get("backend", "exact"),
            seed=experiment.seed,
            memory=_memory(experiment.model),
            backwards=_backwards(experiment.model),
            versions=description.get("versions", {}),
        )


def _memory(model: Any) -> tuple[str, ...]:
    """Say what the quantum memory is: its qubits, its circuit, and of what it has several."""
    if not isinstance(model, ModelSettings):
        return ()
    counts = {"layers": model.layers, "registers": model.registers, "queries": model.queries.count}
    several = (f"{count} {name}" for name, count in counts.items() if count > 1)
    return f"{model.circuit.qubits} qubits", model.circuit.template, *several


def _backwards(model: Any) -> int:
    turned = isinstance(model, ModelSettings) and model.directions == "both"
    return model.registers // 2 if turned else 0
