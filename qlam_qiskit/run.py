"""A trained run as its user holds it, and its plans for backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlam_qiskit.backends import BackendSpec, load_registry
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.evaluation import Prepared, Sent, described, evaluate, evaluate_submission, prepare, summary
from qlam_qiskit.extras import require_figures
from qlam_qiskit.jobs import Ledger, described_submission, show
from qlam_qiskit.runs import Part, SavedRun
from qlam_qiskit.words import html_table

if TYPE_CHECKING:
    from qlam_qiskit.report import Picture


@dataclass(frozen=True, repr=False)
class Submission(Sent):
    """What ``plan.submit()`` sent.

    Attributes
    ----------
    id
        Of the submission, by which any process finds it again, and `qlam jobs` too.
    backend
        Where it was sent, open.
    """

    def __repr__(self) -> str:
        return f"<Submission {self.id} on {self.backend.name}>"

    def _repr_html_(self) -> str:
        try:
            with Ledger() as ledger:
                (recorded,) = show(ledger, self.id)
        except QlamError as error:
            return html_table([("submission", self.id), ("damaged", str(error))])
        return html_table(described_submission(recorded))


@dataclass(frozen=True, repr=False)
class Plan(Prepared):
    """Samples of a run, planned for a backend: ``print`` says what they cost there, ``submit()`` sends them.

    Attributes
    ----------
    run
        Whose samples and circuits they are.
    backend
        Open, with its shots.
    plan
        The jobs, with circuit executions, QPU seconds, predicted fidelity, and the reasons why it does not fit.
    part, samples
        Which samples, and how many.
    """

    def __str__(self) -> str:
        cost = summary(self)
        return cost if self.plan.fits else f"{cost}\nsubmit() refuses it: {'; '.join(self.plan.reasons)}"

    def __repr__(self) -> str:
        return f"<Plan: {self}>"

    def _repr_html_(self) -> str:
        return html_table(described(self))

    def submit(
        self,
        *,
        anyway: bool = False,
        confirm: Callable[[str], bool] = lambda question: False,
        report: Callable[[str], None] = lambda line: None,
    ) -> Submission:
        """Record the plan in the ledger of jobs and send it.

        Parameters
        ----------
        anyway
            Send even what is over the entry's ``max_qpu_seconds`` or under its ``min_fidelity``.
        confirm
            Puts a question to a person, who may allow the same; returns the answer.
        report
            Hears what happens meanwhile.

        Returns
        -------
        Submission
            What was sent; :meth:`Run.score` scores it when its results are there.

        Raises
        ------
        QlamError
            When the plan does not fit, or could not be sent; what was recorded stays in the ledger.
        """
        sent = super().submit(anyway=anyway, confirm=confirm, report=report)
        return Submission(sent.id, sent.backend)


@dataclass(frozen=True, repr=False)
class Run(SavedRun):
    """A trained run: ``Run.open("digits")``; data and model are loaded once, when they are first needed.

    Attributes
    ----------
    folder
        Its files; a path or a name will do.
    data_dir
        Holds a folder for each data set; by default ``QLAM_DATA`` or the user's cache.
    loaded
        The task's sequences, where they have been read already.
    """

    def evaluate(
        self,
        backend: str | BackendSpec | None = None,
        *,
        part: Part = "test",
        shots: int | None = None,
        limit: int | None = None,
        seed: int | None = None,
        mitigate: bool = False,
        anyway: bool = False,
        confirm: Callable[[str], bool] = lambda question: False,
        backends: Path | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        report: Callable[[str], None] = lambda line: None,
    ) -> dict[str, Any]:
        """Test the best weights, and add the outcome to the run's evaluations.

        Parameters
        ----------
        backend
            A name in the backend registry, or an entry of it; by default the one that the run was trained on.
        part, limit
            Which samples: the first ``limit`` of the test set, of those held out, or of those trained on.
        shots
            Shots of each circuit execution, in place of the registry's.
        seed
            Fixes the shots of a simulator; by default the run's seed.
        mitigate
            Undo readout errors by the device's calibration.
        anyway
            Send even what is over the entry's ``max_qpu_seconds`` or under its ``min_fidelity`` or
            ``min_contrast``.
        confirm
            Puts a question to a person, who may allow the same; returns the answer.
        backends
            The registry's file.
        progress
            Hears how many samples of how many are done, or how many of a device's jobs.
        report
            Hears what a device will cost, and what could not be kept.

        Returns
        -------
        dict
            ``accuracy``, ``loss`` (nats), ``samples``, ``shots``, ``seconds``, and of what.

        Raises
        ------
        QlamError
            When the run, its data or the backend do not allow it.
        """
        return evaluate(
            self,
            backend=backend,
            part=part,
            shots=shots,
            limit=limit,
            seed=seed,
            mitigate=mitigate,
            anyway=anyway,
            confirm=confirm,
            backends=backends,
            progress=progress,
            report=report,
        )

    def plan(
        self,
        backend: str | BackendSpec | None = None,
        *,
        part: Part = "test",
        limit: int | None = None,
        shots: int | None = None,
        seed: int | None = None,
        backends: Path | None = None,
    ) -> Plan:
        """Plan samples for a backend, and say what they would cost there; sends nothing.

        Parameters
        ----------
        backend
            A name in the backend registry, or an entry of it; by default the registry's default.
        part, limit, shots, seed, backends
            As in :meth:`evaluate`.

        Returns
        -------
        Plan
            Its ``print`` is cost and fidelity in words; ``submit()`` sends it.

        Raises
        ------
        QlamError
            When the backend runs no circuits, or the run does not fit it.
        """
        prepared = prepare(self, load_registry(backends).spec(backend), part=part, limit=limit, shots=shots, seed=seed)
        return Plan(prepared.run, prepared.backend, prepared.plan, prepared.part, prepared.samples)

    def plot(
        self,
        figure: str,
        *,
        sample: int = 0,
        limit: int | None = None,
        noise: Sequence[str] = (),
        backends: Path | None = None,
        progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    ) -> Picture:
        """Draw a figure of the run's report, which a notebook shows.

        Parameters
        ----------
        figure
            "training", "backends", "confusion" or "fit", "mistakes", "circuit", "rates", "forgetting", "memory",
            "attention" or "readouts".
        sample
            Of the test set, from 0: what "memory", "attention" and "readouts" are of.
        limit
            How many test samples, the first ones, are predicted for the others; by default all.
        noise
            Fake devices, under whose errors the memory is followed too; by default those that it was trained for or
            evaluated on.
        backends
            The registry's file.
        progress
            Hears how many of how many things of a kind are done.

        Returns
        -------
        Picture
            ``.figure`` is matplotlib's.

        Raises
        ------
        QlamError
            When the figure does not apply to this run, or matplotlib is not installed.
        """
        require_figures()
        from qlam_qiskit.report import draw

        return draw(self, figure, sample=sample, limit=limit, noise=noise, backends=backends, progress=progress)

    def score(
        self,
        submission: str | Sent,
        *,
        mitigate: bool = False,
        report: Callable[[str], None] = lambda line: None,
    ) -> dict[str, Any]:
        """Score what was submitted before, from its saved results; asks no service.

        Parameters
        ----------
        submission
            What ``plan.submit()`` returned, or a submission's id.
        mitigate, report
            As in :meth:`evaluate`.

        Returns
        -------
        dict
            As :meth:`evaluate` returns.

        Raises
        ------
        QlamError
            When results are missing, or of another run.
        """
        identifier = submission.id if isinstance(submission, Sent) else submission
        if not isinstance(identifier, str):
            raise ConfigurationError(
                f"what was submitted is named by its id, or is a Submission, not {type(submission).__name__}"
            )
        return evaluate_submission(self, identifier, mitigate=mitigate, report=report)
