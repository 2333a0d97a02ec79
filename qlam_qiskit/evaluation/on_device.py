"""A trained run on a device: what it would cost, sending it, and the readouts that came back.

Joins the two sides that know nothing of each other: models, which turn samples into sampler PUBs and probabilities into
readouts, and jobs, which plan PUBs, send them and keep what returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from qlam_qiskit.backends import BackendSpec, OpenBackend, open_backend
from qlam_qiskit.errors import CircuitError, ConfigurationError, PlanningError, QlamError
from qlam_qiskit.evaluation.measured import Measured
from qlam_qiskit.jobs import (
    CLOSED,
    Ledger,
    Submission,
    expectations,
    logical_results,
    probabilities,
    show,
    submit,
    wait,
)
from qlam_qiskit.model import (
    QLAM,
    engine_arguments,
    estimator_pubs,
    readouts_from_emissions,
    readouts_from_expectations,
    readouts_from_probabilities,
    sequence_pubs,
)
from qlam_qiskit.planning import Plan, device_behind, make_plan, predict_contrast
from qlam_qiskit.runs import Part, SavedRun
from qlam_qiskit.words import counted, seconds

# Samples whose readouts' spread is predicted.
_CONTRAST_SAMPLES = 64


@dataclass(frozen=True)
class Prepared:
    """A run's first samples of one part of its data, planned for a backend.

    Attributes
    ----------
    run
        Whose samples and circuits they are.
    backend
        Open, with its shots.
    plan
        The jobs, and what they cost and leave of the signal.
    part, samples
        Which samples, and how many.
    """

    run: SavedRun
    backend: OpenBackend
    plan: Plan
    part: Part
    samples: int

    def __str__(self) -> str:
        return summary(self)

    @property
    def circuits_per_sample(self) -> float:
        """Circuits that a sample takes, or their mean where samples differ in length."""
        return self.plan.rows / self.samples

    @property
    def readings(self) -> str:
        """What a sample's circuits are for, in words."""
        layer = self.run.qlam().layers[0]
        readout, times = layer.memory.neural_network.readout, len(layer.readout_steps)
        parts = [counted(layer.registers, "register")]
        if (queries := layer.memory.neural_network.queries) > 1:
            parts.append(f"{queries} queries")
        if readout.kind == "emissions":
            return f"{', '.join(parts)}; emissions give {counted(times, 'reading')} at once"
        if readout.averages_states:
            steps = layer.readout_steps[-1] + 1
            return f"{', '.join(parts)}; a mean over steps takes one for each of {steps} steps"
        return ", ".join([*parts, counted(times, "reading")])

    def submit(
        self,
        *,
        anyway: bool = False,
        confirm: Callable[[str], bool] = lambda question: False,
        report: Callable[[str], None] = lambda line: None,
    ) -> Sent:
        """Record the plan in the ledger and send it.

        Parameters
        ----------
        anyway
            Send even what is over the entry's ``max_qpu_seconds`` or under its ``min_fidelity`` or
            ``min_contrast``.
        confirm
            Puts a question to a person, who may allow the same; returns the answer.
        report
            Hears what happens meanwhile.

        Returns
        -------
        Sent
            The submission's id, and the backend.

        Raises
        ------
        QlamError
            When the plan does not fit, or could not be sent; what was recorded stays in the ledger.
        """
        with Ledger() as ledger:
            return Sent(send(self, ledger, anyway=anyway, confirm=confirm, report=report).id, self.backend)


@dataclass(frozen=True)
class Sent:
    """What was sent.

    Attributes
    ----------
    id
        Of the submission, by which any process finds it again.
    backend
        Open.
    """

    id: str
    backend: OpenBackend

    def wait(
        self,
        timeout: float | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        report: Callable[[str], None] = lambda line: None,
    ) -> Sent:
        """Follow all jobs to their end, and save their results.

        Parameters
        ----------
        timeout
            Seconds to wait at most; None waits as long as it takes.
        progress
            Hears how many jobs of how many have ended.
        report
            Hears what happens meanwhile.

        Returns
        -------
        Sent
            Itself.

        Raises
        ------
        JobError
            After ``timeout``, or when nothing moves because of a problem; the jobs live on.
        """

        def follow(state: Submission) -> None:
            progress(sum(job.state in CLOSED for job in state.jobs), len(state.jobs))

        with Ledger() as ledger:
            wait(ledger, self.id, timeout=timeout, progress=follow, report=report, backend=self.backend)
        return self


def prepare(
    run: SavedRun | Path | str,
    spec: BackendSpec,
    *,
    part: Part = "test",
    limit: int | None = None,
    shots: int | None = None,
    seed: int | None = None,
) -> Prepared:
    """Plan the first ``limit`` samples of a part of a run's data for a backend, without sending anything."""
    if spec.kind == "exact":
        raise ConfigurationError(f"backend {spec.name!r} is exact and runs no circuits; choose another backend")
    run = SavedRun.open(run)
    model = run.qlam()
    split = run.part(part, limit)
    model.check_samples(len(split))
    opened = open_backend(spec, shots=shots, seed=run.experiment.seed if seed is None else seed)
    tokens = torch.from_numpy(split.tokens(slice(None)))
    if getattr(spec, "primitive", "sampler") == "estimator":
        pubs = estimator_pubs(model, tokens, opened.isa, opened.shots)
    else:
        pubs = sequence_pubs(model, tokens, opened.shots)
    plan = make_plan(pubs, opened)
    return Prepared(run, opened, _with_contrast(plan, run, part, opened), part, len(split))


def _with_contrast(plan: Plan, run: SavedRun, part: Part, opened: OpenBackend) -> Plan:
    """Have the exact engine predict the contrast, for a memory that forgets or where the entry asks for it."""
    layer = run.qlam().layers[0]
    network, least = layer.memory.neural_network, getattr(opened.spec, "min_contrast", None)
    calibrated = opened.spec.kind in ("fake", "ibm") or getattr(opened.spec, "noise", None) is not None
    if not calibrated or not (network.memory.is_open or least is not None):
        return plan
    chains: list[tuple[int, ...] | None] = list(plan.chains)
    if getattr(opened.spec, "primitive", "sampler") == "estimator":
        chains = [None]
    split = run.part(part, _CONTRAST_SAMPLES)
    arguments = engine_arguments(layer, torch.from_numpy(split.tokens(slice(None))))
    read = layer.readout_steps
    if split.lengths is not None:
        read = layer.times(torch.from_numpy(split.lengths))
    try:
        contrast = predict_contrast(
            network.memory, network.readout, device_behind(opened.backend), chains, arguments, read
        )
    except (PlanningError, CircuitError) as error:
        return plan.without_contrast(str(error), least)
    return plan.judged_by(contrast, least)


def check_allowed(prepared: Prepared, anyway: bool, confirm: Callable[[str], bool]) -> None:
    """Raise QlamError when a plan does not fit, unless ``anyway``, or ``confirm`` returns a person's yes."""
    plan = prepared.plan
    if not plan.fits and not anyway and not confirm(f"{'; '.join(plan.reasons)}. Send it all the same?"):
        raise QlamError(f"not sent: {'; '.join(plan.reasons)}; --yes sends it all the same, in Python anyway=True")


def send(
    prepared: Prepared,
    ledger: Ledger,
    *,
    anyway: bool = False,
    confirm: Callable[[str], bool] = lambda question: False,
    report: Callable[[str], None] = print,
) -> Submission:
    """Record a plan in the ledger and send it; raises QlamError when it does not fit.

    Unless ``anyway``, or a person answers the question that ``confirm`` puts with yes.
    """
    check_allowed(prepared, anyway, confirm)
    metadata = {
        "run": prepared.run.folder.reference,
        "weights": prepared.run.folder.weights_digest(),
        "part": prepared.part,
        "samples": prepared.samples,
        "shots": prepared.backend.shots,
        "primitive": getattr(prepared.backend.spec, "primitive", "sampler"),
    }
    return submit(prepared.plan, prepared.backend, ledger, metadata=metadata, report=report)


def collect(run: SavedRun | Path | str, submission: str, ledger: Ledger, *, mitigate: bool = False) -> Measured:
    """Return what a run's submission measured; asks no service.

    ``mitigate`` undoes readout errors as far as the device's calibration knows them. Raises QlamError when a result is
    missing, or the submission is of another run whose circuits are not this one's.
    """
    (record,) = show(ledger, submission)
    run = SavedRun.open(run)
    metadata = record.details.get("metadata", {})
    # A refitted run has the circuits of the run that it is of, and may score what that one sent.
    refitted_of = run.folder.description().get("refit", {}).get("weights")
    if metadata.get("weights") not in {run.folder.weights_digest(), refitted_of} - {None}:
        sent, here = metadata.get("run", "no run"), run.folder.reference
        raise QlamError(f"submission {record.id} is of {sent}, not of the weights in {here}")
    model = run.qlam()
    part = metadata.get("part", "test")
    split = run.part(part, metadata["samples"])
    if mitigate:
        check_mitigation(model, metadata["primitive"])
    if metadata["primitive"] == "estimator":
        readouts = readouts_from_expectations(model, expectations(ledger, record.id), split.lengths)
    elif reads_emissions(model):
        bits = [result.data["emission"] for result in logical_results(ledger, record.id)]
        readouts = readouts_from_emissions(model, bits, split.lengths)
    else:
        tables = probabilities(ledger, record.id, mitigate=mitigate, proper=False, register="meas")
        readouts = readouts_from_probabilities(model, tables, split.lengths)
    origin = {"mitigated": mitigate, "submission": record.id}
    return Measured(run, model, part, split, readouts, record.backend, metadata["shots"], origin)


def reads_emissions(model: QLAM) -> bool:
    """Whether a model reads what ancillas emit, and not the memory's own qubits."""
    return model.layers[-1].memory.neural_network.readout.kind == "emissions"


def check_mitigation(model: QLAM, primitive: str) -> None:
    """Raise ConfigurationError where readout errors cannot be undone."""
    if primitive == "estimator":
        raise ConfigurationError("--mitigate: an estimator mitigates by its own options, set in backends.yaml")
    if reads_emissions(model):
        raise ConfigurationError(
            "--mitigate: it undoes errors of the measurements that end a circuit, and this model reads emissions, "
            "which are measured on the way"
        )


def run_on_device(
    prepared: Prepared,
    *,
    anyway: bool = False,
    confirm: Callable[[str], bool] = lambda question: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """Say what a plan costs, send it and wait; returns the submission's id.

    ``progress`` hears how many jobs of how many have ended.
    """
    report(summary(prepared))
    with prepared.backend:
        check_allowed(prepared, anyway, confirm)
        progress(0, len(prepared.plan.jobs))
        return prepared.submit(anyway=True, report=report).wait(progress=progress, report=report).id


def summary(prepared: Prepared) -> str:
    """Say what a plan costs in one line."""
    plan = prepared.plan
    cost = "no QPU time" if plan.qpu_seconds == 0 else f"{seconds(plan.qpu_seconds)} of QPU time"
    signal = f"fidelity {plan.estimated_fidelity:.2f}"
    if plan.contrast is not None:
        signal = f"contrast {plan.contrast.mean:.2f}"
    elif plan.no_contrast is not None:
        signal = "contrast unknown"
    return (
        f"{counted(prepared.samples, 'sample')} on {prepared.backend.name}: {counted(plan.job_count, 'job')}, "
        f"{plan.executions:,} executions, {plan.two_qubit_gates:,} two-qubit gates a circuit, {signal}, {cost}"
    )
