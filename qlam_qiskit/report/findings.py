"""Everything a report says about a run, each part computed when it is first asked for.

A part that does not apply raises :class:`LeftOut` with the reason; a report prints the reason in the part's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qlam_qiskit.backends import BackendSpec, DeviceSimulator, load_registry, make_spec, open_backend
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.report.attention import is_affordable, logit_attention, readout_attention
from qlam_qiskit.report.history import Evaluation, TrainingCurves, latest_evaluations
from qlam_qiskit.report.memory import MOST_AMPLITUDES, MemoryTrace, trace_memories
from qlam_qiskit.report.purity import MAX_QUBITS, MAX_STEPS
from qlam_qiskit.report.tokens import Shown, show_tokens
from qlam_qiskit.runs import Estimates, Predictions, SavedRun

WORST = 12  # mistakes that are shown
_MOST_NUMBERS = 6  # of a sample's answers that are written out


class LeftOut(QlamError):
    """A part of a report does not apply to this run."""


@dataclass(frozen=True)
class Sample:
    """A test sample and the model's answers: names of classes, or numbers, the first of its M answers."""

    index: int
    shown: Shown
    truth: tuple[str, ...]
    answer: tuple[str, ...]
    confidence: float | None

    @property
    def sureness(self) -> str:
        """How sure the model was, behind a comma; of numbers it does not say."""
        return "" if self.confidence is None else f", {self.confidence:.0%}"

    @property
    def right(self) -> bool:
        """Whether all answers are right."""
        return self.truth == self.answer


@dataclass(frozen=True)
class Attention:
    """Sizes of derivatives with respect to each token.

    Attributes
    ----------
    logits
        Of the predicted class's logit, for each answer, (M, T).
    readouts
        Of each query's readout, for every reading and register, (R, H, Q, T); None where left out.
    readout_steps
        The steps after which the memory is read, counted from 1, R of them.
    """

    logits: np.ndarray
    readouts: np.ndarray | None = None
    readout_steps: tuple[int, ...] = ()

    @property
    def panels(self) -> int:
        """How many drawings show all of it: one for each logit, and for each query of each register."""
        return len(self.logits) + (0 if self.readouts is None else self.readouts.shape[1] * self.readouts.shape[2])

    @property
    def tokens_for_half(self) -> int:
        """The fewest tokens on which half of the first logit's sizes lie."""
        falling = np.sort(self.logits[0])[::-1].cumsum()
        return int(np.searchsorted(falling, falling[-1] / 2) + 1)


@dataclass(frozen=True)
class Findings:
    """The parts of a report on one run.

    The first ``limit`` test samples are predicted, and ``samples`` of them looked at closely. ``noise`` names fake
    devices, or entries of the backend registry with one, to compute purities for; by default those that the run was
    evaluated on. ``progress`` hears how many of how many things of a kind are done.
    """

    run: SavedRun
    limit: int | None = None
    samples: int = 6
    noise: Sequence[str] = ()
    backends: Path | None = None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None

    @classmethod
    def of(cls, run: SavedRun, **options: Any) -> Findings:
        """Look at a run; ``options`` are the other attributes.

        Raises ConfigurationError when the noise does not fit it.
        """
        findings = cls(run, **options)
        if findings.noise:
            _ = findings.devices  # says before any work what is wrong with them
        return findings

    @cached_property
    def memory_model(self) -> QLAM:
        """The model, if it has quantum memories."""
        model = self.run.model()
        if not isinstance(model, QLAM):
            raise LeftOut("this model has no quantum memory")
        return model

    @property
    def readout_steps(self) -> tuple[int, ...]:
        """The steps after which the memory is read, counted from 1."""
        return tuple(step + 1 for step in self.memory_model.layers[-1].readout_steps)

    @cached_property
    def training(self) -> TrainingCurves:
        """Loss, and accuracy or NRMSE, by epoch."""
        metrics = self.run.metrics
        if not metrics:
            raise LeftOut("no epoch of this run has finished")
        result = self.run.result
        return TrainingCurves.of(metrics, result and result.get("best_epoch"))

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """The run on other backends, each beside the exact engine on the same samples."""
        rows = latest_evaluations(self.run.evaluations)
        if not rows:
            raise LeftOut("the run was evaluated on none yet (qlam evaluate does that)")
        return [replace(row, exact=self._exact_accuracy(row.accuracy.samples)) for row in rows]

    @cached_property
    def circuit(self) -> MemoryCircuit:
        """The memory's circuit."""
        if not isinstance(self.run.experiment.model, ModelSettings):
            raise LeftOut("this model has no quantum memory")
        return self.run.circuit

    @cached_property
    def predictions(self) -> Predictions | Estimates:
        """Answers to the first ``limit`` test samples."""
        return self.run.predict("test", self.limit, lambda *done: self.progress("test samples", *done))

    @property
    def predicts_numbers(self) -> bool:
        """Whether the run's task is regression."""
        return self.run.experiment.data.task == "regression"

    @cached_property
    def mistakes(self) -> list[Sample]:
        """The wrong answers of highest loss."""
        worst = self.predictions.mistakes(WORST)
        if not len(worst):
            raise LeftOut(f"all {len(self.predictions):,} test samples are answered correctly")
        return [self._sample(index) for index in worst]

    @cached_property
    def examples(self) -> list[Sample]:
        """The samples that are looked at closely."""
        return [self._sample(index) for index in self.predictions.examples(self.samples)]

    @cached_property
    def memories(self) -> list[list[MemoryTrace]]:
        """What every register does while it reads each of the examples."""
        model, steps = self.memory_model, self.run.data.steps
        qubits = self.circuit.num_qubits
        if steps << qubits > MOST_AMPLITUDES:
            raise LeftOut(
                f"{steps} states of {qubits} qubits are too many to keep ({MOST_AMPLITUDES:,} amplitudes fit)"
            )
        return trace_memories(model, self._tokens(), self.devices)

    @cached_property
    def devices(self) -> Mapping[str, DeviceSimulator]:
        """The simulated devices whose noise is looked at, by name."""
        specs = self._noise_specs()
        if reason := self.no_purity:
            if self.noise:
                raise ConfigurationError(f"--noise {self.noise[0]}: {reason}")
            return {}
        return {name: open_backend(spec).backend for name, spec in specs.items()}

    @property
    def no_purity(self) -> str | None:
        """Why no purity can be computed for this run, whatever the device; None where it can."""
        qubits, steps = self.circuit.num_qubits, self.run.data.steps
        if steps > MAX_STEPS or qubits > MAX_QUBITS:
            return (
                f"density matrices are followed for at most {MAX_STEPS} steps of {MAX_QUBITS} qubits, and this memory "
                f"takes {steps} steps of {qubits}"
            )
        if len(self.memory_model.layers) > 1:
            return "with several layers, the angles of one depend on what is measured of the one before"
        return None

    @cached_property
    def attentions(self) -> list[Attention]:
        """Which tokens the answers to each of the examples depend on."""
        model, found = self.run.model(), []
        for done, (sample, tokens) in enumerate(zip(self.examples, self._tokens(), strict=True), start=1):
            last = [sample.shown.steps - 1] if model.every_step else None
            logits = logit_attention(model, tokens, self._answers(sample.index), last)[:, : sample.shown.steps]
            if isinstance(model, QLAM) and is_affordable(model, len(tokens)):
                readouts = readout_attention(model, tokens)[..., : sample.shown.steps]
                found.append(Attention(logits, readouts, self.readout_steps))
            else:
                found.append(Attention(logits))
            self.progress("samples looked at", done, len(self.examples))
        return found

    def _answers(self, index: int) -> np.ndarray:
        """Return the output whose slope is looked at for each answer: the predicted class's, or the first number's."""
        found = self.predictions
        if isinstance(found, Estimates):
            return np.zeros(found.predicted.shape[1], np.int64)
        return found.predicted[index]

    def _exact_accuracy(self, samples: int) -> float | None:
        """Return the accuracy, or NRMSE, of the first test samples; None where not all are looked at or there are none.

        What was measured elsewhere is told without data and weights too.
        """
        try:
            found = self.predictions
        except QlamError:
            return None
        if samples > len(found):
            return None
        first = found.first(samples)
        return first.figures["nrmse"] if isinstance(first, Estimates) else first.accuracy

    def _tokens(self) -> np.ndarray:
        return self.run.data.test.tokens(np.array([sample.index for sample in self.examples]))

    def _sample(self, index: int) -> Sample:
        found, names = self.predictions, self.run.data.class_names
        shown = show_tokens(self.run.data, self.run.experiment.data, index)
        if isinstance(found, Estimates):
            given = ~np.isnan(found.labels[index])
            said = (part[index][given][:_MOST_NUMBERS] for part in (found.labels, found.predicted))
            return Sample(int(index), shown, *(tuple(f"{number:.4g}" for number in part) for part in said), None)
        given = found.labels[index] >= 0
        answers = (part[index][given] for part in (found.labels, found.predicted))
        sure = float(found.confidence[index][given].mean())
        return Sample(int(index), shown, *(tuple(names[k] for k in part) for part in answers), sure)

    def _noise_specs(self) -> dict[str, BackendSpec]:
        """Return the entries to open, by the name of their device."""
        entries = load_registry(self.backends).backends
        if self.noise:
            specs = [
                entries[name] if name in entries else make_spec(name, {"kind": "fake", "name": name}, "--noise")
                for name in self.noise
            ]
            for spec in specs:
                if _noisy_device(spec) is None:
                    raise ConfigurationError(f"--noise {spec.name}: that backend is no device that is simulated here")
        else:
            evaluated = [row["backend"] for row in self.run.evaluations]
            specs = [entries[name] for name in dict.fromkeys(evaluated) if name in entries]
        named = {_noisy_device(spec): spec for spec in specs}
        return {name: spec for name, spec in named.items() if name is not None}


def _noisy_device(spec: BackendSpec) -> str | None:
    """Return the device whose calibration an entry simulates here; None of any other entry."""
    name = {"fake": "device", "aer": "noise"}.get(spec.kind)
    device = getattr(spec, name) if name else None
    # The calibration of a device of the service is asked of the service: a report needs no network.
    return None if device is None or device.startswith("ibm_") else device
