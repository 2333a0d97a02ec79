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
from qlam_qiskit.data import SequenceData, load_data
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.evaluation.measured import Measured
from qlam_qiskit.jobs import Ledger, Submission, expectations, probabilities, show, submit, wait
from qlam_qiskit.jobs.job_state import CLOSED
from qlam_qiskit.model import QLAM
from qlam_qiskit.model.sampling import (
    estimator_pubs,
    readouts_from_expectations,
    readouts_from_probabilities,
    sampler_pubs,
)
from qlam_qiskit.planning.plan import Plan, make_plan
from qlam_qiskit.runs.loading import Part, load_qlam, part_of
from qlam_qiskit.runs.run_folder import RunFolder
from qlam_qiskit.words import counted, seconds


@dataclass(frozen=True)
class Prepared:
    """A run's first samples of one part of its data, planned for a backend."""

    folder: RunFolder
    backend: OpenBackend
    plan: Plan
    part: Part
    samples: int


def prepare(
    path: Path,
    spec: BackendSpec,
    *,
    part: Part = "test",
    limit: int | None = None,
    shots: int | None = None,
    seed: int | None = None,
    data_dir: Path | None = None,
) -> Prepared:
    """Plan the first ``limit`` samples of a part of a run's data for a backend, without sending anything."""
    if spec.kind == "exact":
        raise ConfigurationError(f"backend {spec.name!r} is exact and runs no circuits; choose another --backend")
    folder = RunFolder.open(path)
    model, data = _load(folder, data_dir)
    split = part_of(folder, data, part).subset(slice(limit))
    model.check_samples(len(split))
    opened = open_backend(spec, shots=shots, seed=folder.experiment().seed if seed is None else seed)
    tokens = torch.from_numpy(split.tokens(slice(None)))
    if getattr(spec, "primitive", "sampler") == "estimator":
        pubs = estimator_pubs(model, tokens, opened.isa, opened.shots)
    else:
        pubs = sampler_pubs(model, tokens, opened.shots)
    return Prepared(folder, opened, make_plan(pubs, opened), part, len(split))


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
    plan = prepared.plan
    if not plan.fits and not anyway and not confirm(f"{'; '.join(plan.reasons)}. Send it all the same?"):
        raise QlamError(f"not sent: {'; '.join(plan.reasons)}; --yes sends it all the same")
    metadata = {
        "run": str(prepared.folder.path),
        "weights": prepared.folder.weights_digest(),
        "part": prepared.part,
        "samples": prepared.samples,
        "shots": prepared.backend.shots,
        "primitive": getattr(prepared.backend.spec, "primitive", "sampler"),
    }
    return submit(plan, prepared.backend, ledger, metadata=metadata, report=report)


def collect(
    path: Path, submission: str, ledger: Ledger, *, mitigate: bool = False, data_dir: Path | None = None
) -> Measured:
    """Return what a run's submission measured; asks no service.

    ``mitigate`` undoes readout errors as far as the device's calibration knows them. Raises QlamError when a result is
    missing, or the submission is of another run whose circuits are not this one's.
    """
    (record,) = show(ledger, submission)
    folder = RunFolder.open(path)
    metadata = record.details.get("metadata", {})
    # A refitted run has the circuits of the run that it is of, and may score what that one sent.
    refitted_of = folder.description().get("refit", {}).get("weights")
    if metadata.get("weights") not in {folder.weights_digest(), refitted_of} - {None}:
        raise QlamError(
            f"submission {record.id} is of {metadata.get('run', 'no run')}, not of the weights in {folder.path}"
        )
    model, data = _load(folder, data_dir)
    part = metadata.get("part", "test")
    split = part_of(folder, data, part).subset(slice(metadata["samples"]))
    if metadata["primitive"] == "estimator":
        if mitigate:
            raise ConfigurationError("--mitigate: an estimator mitigates by its own options, set in backends.yaml")
        readouts = readouts_from_expectations(model, expectations(ledger, record.id))
    else:
        tables = probabilities(ledger, record.id, mitigate=mitigate, proper=False)
        readouts = readouts_from_probabilities(model, tables)
    origin = {"mitigated": mitigate, "submission": record.id}
    return Measured(folder, model, data.task, part, split, readouts, record.backend, metadata["shots"], origin)


def run_on_device(
    prepared: Prepared,
    ledger: Ledger,
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
        submission = send(prepared, ledger, anyway=anyway, confirm=confirm, report=report)

        def follow(state: Submission) -> None:
            progress(sum(job.state in CLOSED for job in state.jobs), len(state.jobs))

        wait(ledger, submission.id, progress=follow, report=report)
    return submission.id


def summary(prepared: Prepared) -> str:
    """Say what a plan costs in one line."""
    plan = prepared.plan
    cost = "no QPU time" if plan.qpu_seconds == 0 else f"{seconds(plan.qpu_seconds)} of QPU time"
    return (
        f"{counted(prepared.samples, 'sample')} on {prepared.backend.name}: {counted(plan.job_count, 'job')}, "
        f"{plan.executions:,} executions, {plan.two_qubit_gates} two-qubit gates a circuit, fidelity "
        f"{plan.estimated_fidelity:.2f}, {cost}"
    )


def _load(folder: RunFolder, data_dir: Path | None) -> tuple[QLAM, SequenceData]:
    data = load_data(folder.experiment().data, data_dir)
    return load_qlam(folder, data), data
