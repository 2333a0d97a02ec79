"""The figures of a run by name, which reports show and ``qlam plot`` writes to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.report.figures import (
    draw_circuit,
    draw_confusion,
    draw_evaluations,
    draw_fit,
    draw_mistakes,
    draw_training,
)
from qlam_qiskit.report.findings import Attention, Findings, LeftOut, Sample
from qlam_qiskit.report.memory_figures import draw_attention, draw_memory, draw_readouts
from qlam_qiskit.report.open_figures import draw_forgetting, draw_open_memory, draw_rates
from qlam_qiskit.report.style import as_file
from qlam_qiskit.suggestions import did_you_mean

_DOTS = 96  # for an inch of a figure in a notebook, each of two by two pixels
_COURSES = 3  # samples whose answers are drawn step by step: the best predicted, one between, the worst


@dataclass(frozen=True, repr=False)
class Picture:
    """A figure: the name that asks for it, the test sample that it is of (None of figures of the run), and itself."""

    name: str
    sample: int | None
    figure: Figure

    @property
    def title(self) -> str:
        """The figure's own name, such as "training" or "memory-3073"."""
        return self.name if self.sample is None else f"{self.name}-{self.sample}"

    def __repr__(self) -> str:
        return f"<Picture {self.title}>"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width = round(self.figure.get_figwidth() * _DOTS)
        return as_file(self.figure, "png", dpi=2 * _DOTS), {"width": width}


@dataclass(frozen=True)
class Absent:
    """A figure that does not apply to a run, and why."""

    name: str
    reason: str


def pictures(findings: Findings, names: Sequence[str]) -> Iterator[Picture | Absent]:
    """Draw the figures asked for, in order."""
    for done, name in enumerate(names):
        findings.progress("figures", done, len(names))
        try:
            yield from _DRAWN[name](findings)
        except LeftOut as reason:
            yield Absent(name, str(reason))
    findings.progress("figures", len(names), len(names))


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Check names of figures. Raises ConfigurationError listing the valid ones."""
    for name in names:
        if name not in _DRAWN:
            near = did_you_mean(name, FIGURES)
            raise ConfigurationError(f"unknown figure {name!r}; available: {', '.join(FIGURES)}{near}")
    return tuple(dict.fromkeys(names))


def usual(findings: Findings) -> tuple[str, ...]:
    """List the figures of a run's kind: confusions of classes, or the fit of numbers."""
    other = "confusion" if findings.predicts_numbers else "fit"
    return tuple(name for name in FIGURES if name != other)


def _training(findings: Findings) -> Iterator[Picture]:
    yield Picture("training", None, draw_training(findings.training))


def _backends(findings: Findings) -> Iterator[Picture]:
    yield Picture("backends", None, draw_evaluations(findings.evaluations))


def _confusion(findings: Findings) -> Iterator[Picture]:
    found = findings.predictions
    if findings.predicts_numbers:
        raise LeftOut("numbers are predicted, not classes: figure fit shows them")
    yield Picture("confusion", None, draw_confusion(found.confusion(), found.class_names))


def _fit(findings: Findings) -> Iterator[Picture]:
    found = findings.predictions
    if not findings.predicts_numbers:
        raise LeftOut("classes are predicted, not numbers: figure confusion shows them")
    courses = found.examples(_COURSES) if findings.run.data.every_step else ()
    yield Picture("fit", None, draw_fit(found.labels, found.predicted, found.names, courses))


def _mistakes(findings: Findings) -> Iterator[Picture]:
    yield Picture("mistakes", None, draw_mistakes(findings.mistakes))


def _circuit(findings: Findings) -> Iterator[Picture]:
    yield Picture("circuit", None, draw_circuit(findings.circuit))


def _rates(findings: Findings) -> Iterator[Picture]:
    yield Picture("rates", None, draw_rates(findings.dampings, findings.run.data.steps))


def _forgetting(findings: Findings) -> Iterator[Picture]:
    yield Picture("forgetting", None, draw_forgetting(findings.forgetting))


def _memory(findings: Findings) -> Iterator[Picture]:
    read, draw = findings.readout_steps, draw_open_memory if findings.memory_is_open else draw_memory
    for sample, traces in zip(findings.examples, findings.memories, strict=True):
        yield Picture("memory", sample.index, draw(sample, traces, read))


def _attention(findings: Findings) -> Iterator[Picture]:
    yield from _looked_at("attention", findings, draw_attention)


def _readouts(findings: Findings) -> Iterator[Picture]:
    if len(findings.readout_steps) == 1:
        raise LeftOut("the memory is read once, at the end")
    if findings.attentions[0].readouts is None:
        raise LeftOut("so many numbers are read that their derivatives would take minutes")
    yield from _looked_at("readouts", findings, draw_readouts)


def _looked_at(name: str, findings: Findings, draw: Callable[[Sample, Attention], Figure]) -> Iterator[Picture]:
    for sample, attention in zip(findings.examples, findings.attentions, strict=True):
        yield Picture(name, sample.index, draw(sample, attention))


_DRAWN: dict[str, Callable[[Findings], Iterator[Picture]]] = {
    "training": _training,
    "backends": _backends,
    "confusion": _confusion,
    "fit": _fit,
    "mistakes": _mistakes,
    "circuit": _circuit,
    "rates": _rates,
    "forgetting": _forgetting,
    "memory": _memory,
    "attention": _attention,
    "readouts": _readouts,
}
FIGURES = tuple(_DRAWN)
OF_A_SAMPLE = ("memory", "attention", "readouts")
