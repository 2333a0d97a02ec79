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

from qlam_qiskit.errors import QlamError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.report.attention import is_affordable, logit_attention, readout_attention
from qlam_qiskit.report.forgetting import Damping, Forgetting, dampings, follow_changes
from qlam_qiskit.report.history import Evaluation, TrainingCurves, latest_evaluations
from qlam_qiskit.report.memory import MemoryTrace, trace_memories
from qlam_qiskit.report.noise import circuits_with_errors, why_not_followed
from qlam_qiskit.report.open_memory import OpenTrace, trace_open_memories
from qlam_qiskit.report.registers import MOST_NUMBERS
from qlam_qiskit.report.tokens import Shown, show_tokens
from qlam_qiskit.runs import Estimates, Predictions, SavedRun

WORST = 12  # mistakes that are shown
_MOST_WRITTEN = 6  # of a sample's answers that are written out
MOST_REGISTERS = 4  # that are looked at closely, one below the other
MOST_TOLD = 8  # registers in a table


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

    The first ``limit`` test samples are predicted, and ``samples`` of them looked at closely: so many, or those of
    these numbers. ``noise`` names fake
    devices, or entries of the backend registry with one, to compute purities for; by default those that the run was
    evaluated on. ``progress`` hears how many of how many things of a kind are done.
    """

    run: SavedRun
    limit: int | None = None
    samples: int | Sequence[int] = 6
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
            _ = findings.noisy_circuits  # says before any work what is wrong with them
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

    @property
    def reads_spans(self) -> bool:
        """Whether a reading is a mean over the steps since the one before."""
        readout = self.memory_model.layers[-1].memory.neural_network.readout
        return readout.averages_states or readout.kind == "emissions"

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
        found, asked = self.predictions, self.samples
        indices = found.examples(asked) if isinstance(asked, int) else asked
        if beyond := [index for index in indices if index >= len(found)]:
            raise QlamError(f"no test sample {beyond[0]}: there are {len(found):,}, numbered from 0")
        return [self._sample(index) for index in indices]

    @property
    def memory_is_open(self) -> bool:
        """Whether the memory's states are density matrices."""
        return self.circuit.is_open

    @cached_property
    def memories(self) -> list[list[MemoryTrace]] | list[list[OpenTrace]]:
        """What every register, or those drawn of open ones, does while it reads each of the examples."""
        model, steps, qubits = self.memory_model, self.run.data.steps, self.circuit.num_qubits
        if self.memory_is_open:
            if reason := self._too_large:
                raise LeftOut(reason)
            return trace_open_memories(model, self._tokens(), self.noisy_circuits, self.drawn_registers)
        if steps << qubits > MOST_NUMBERS:
            raise LeftOut(f"{steps} states of {qubits} qubits are too many to keep ({MOST_NUMBERS:,} amplitudes fit)")
        return trace_memories(model, self._tokens(), self.noisy_circuits)

    @property
    def registers(self) -> int:
        """Registers of all layers."""
        return sum(layer.registers for layer in self.memory_model.layers)

    @property
    def drawn_registers(self) -> list[int]:
        """The registers that are drawn: the first ones, and of those that read backwards as many if there are some."""
        backwards = [
            index >= layer.forward_registers for layer in self.memory_model.layers for index in range(layer.registers)
        ]
        ahead, behind = ([k for k, turned in enumerate(backwards) if turned is which] for which in (False, True))
        of_each = min(len(behind), MOST_REGISTERS // 2)
        return ahead[: MOST_REGISTERS - of_each] + behind[:of_each]

    @cached_property
    def dampings(self) -> list[Damping]:
        """The trained rates of damping."""
        if not self.memory_is_open:
            raise LeftOut("this memory is unitary: it has no rates of damping")
        found = dampings(self.memory_model)
        if not found:
            raise LeftOut("no weight of this circuit is a rate of damping")
        return found

    @cached_property
    def forgetting(self) -> list[Forgetting]:
        """How long every register's state tells of a changed token."""
        if not self.memory_is_open and not self.trained_for:
            raise LeftOut("this memory is unitary: without errors it forgets nothing")
        if reason := self._too_large:
            raise LeftOut(reason)
        found = follow_changes(self.memory_model, self._tokens(), self.noisy_circuits)
        if not found:
            raise LeftOut("every token acts on the angles until the sequence ends, so that none is ever behind")
        return found

    @property
    def told_forgetting(self) -> list[Forgetting]:
        """All of :attr:`forgetting`, or of many registers the first to forget, the one in the middle and the last."""
        found = self.forgetting
        if len(found) <= MOST_TOLD:
            return found
        ordered = sorted(found, key=lambda one: one.half() or one.lags[-1] + 1)
        return [ordered[0], ordered[len(ordered) // 2], ordered[-1]]

    @property
    def noisy_circuits(self) -> Mapping[str, MemoryCircuit]:
        """The memory's circuit with errors in it, by the name of the device: that which it was trained for first."""
        return self._noise[0]

    @property
    def no_noise(self) -> str | None:
        """Why the memory is not followed under errors that it was trained for or evaluated on; None where it is."""
        return self._noise[1]

    @cached_property
    def _noise(self) -> tuple[dict[str, MemoryCircuit], str | None]:
        return circuits_with_errors(self.run, self.memory_model, self.noise, self.backends)

    @property
    def _too_large(self) -> str | None:
        return why_not_followed(self.circuit.num_qubits, self.run.data.steps)

    @property
    def trained_for(self) -> str | None:
        """The device whose errors the model was trained on."""
        model = self.run.experiment.model
        return model.noise.device if isinstance(model, ModelSettings) else None

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
            said = (part[index][given][:_MOST_WRITTEN] for part in (found.labels, found.predicted))
            return Sample(int(index), shown, *(tuple(f"{number:.4g}" for number in part) for part in said), None)
        given = found.labels[index] >= 0
        answers = (part[index][given] for part in (found.labels, found.predicted))
        sure = float(found.confidence[index][given].mean())
        return Sample(int(index), shown, *(tuple(names[k] for k in part) for part in answers), sure)
