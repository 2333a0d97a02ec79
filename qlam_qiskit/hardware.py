"""A trained run on a device: what it would cost, sending it, and the accuracy of what came back.

Joins the two sides that know nothing of each other: models, which turn samples into sampler PUBs and probabilities into
logits, and jobs, which plan PUBs, send them and keep what returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from torch.nn.functional import cross_entropy

from qlam_qiskit.backends import BackendSpec, OpenBackend, open_backend
from qlam_qiskit.data import SequenceData, load_data
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.jobs import Ledger, Submission, probabilities, results, show, submit, submit_pubs, wait
from qlam_qiskit.jobs.plan import Plan, make_plan
from qlam_qiskit.jobs.states import CLOSED
from qlam_qiskit.model import QLAM
from qlam_qiskit.model.sampling import (
    estimator_pubs,
    logits_from_expectations,
    logits_from_probabilities,
    sampler_pubs,
)
from qlam_qiskit.train.loading import load_run
from qlam_qiskit.train.run_folder import RunFolder


@dataclass(frozen=True)
class Prepared:
    """A run's first test samples, planned for a backend."""

    folder: RunFolder
    backend: OpenBackend
    plan: Plan
    samples: int
    estimator_pubs: list[EstimatorPub] | None = None  # sent in place of the plan's jobs where the entry asks for it


def prepare(
    path: Path,
    spec: BackendSpec,
    *,
    limit: int | None = None,
    shots: int | None = None,
    seed: int | None = None,
    data_dir: Path | None = None,
) -> Prepared:
    """Plan the first ``limit`` test samples of a run for a backend, without sending anything."""
    if spec.kind == "exact":
        raise ConfigurationError(f"backend {spec.name!r} is exact and runs no circuits; choose another --backend")
    folder = RunFolder.open(path)
    model, data = _load(folder, data_dir)
    split = data.test.subset(slice(limit))
    opened = open_backend(spec, shots=shots, seed=folder.experiment().seed if seed is None else seed)
    tokens = torch.from_numpy(split.tokens(slice(None)))
    pubs = sampler_pubs(model, tokens, opened.shots)
    if getattr(spec, "primitive", "sampler") == "sampler":
        return Prepared(folder, opened, make_plan(pubs, opened), len(split))
    # An estimator runs one sample per execution; all Z strings share one basis, so that it costs what sampling would,
    # times what the resilience level adds.
    return Prepared(
        folder,
        opened,
        make_plan(pubs, opened, tiles=1),
        len(split),
        estimator_pubs(model, tokens, opened.isa, opened.shots),
    )


def send(
    prepared: Prepared, ledger: Ledger, *, anyway: bool = False, report: Callable[[str], None] = print
) -> Submission:
    """Record a plan in the ledger and send it; raises QlamError when it does not fit, unless ``anyway``."""
    plan = prepared.plan
    if not plan.fits and not anyway:
        raise QlamError(f"not sent: {'; '.join(plan.reasons)}; --yes sends it all the same")
    metadata = {
        "run": str(prepared.folder.path),
        "weights": prepared.folder.weights_digest(),
        "samples": prepared.samples,
        "shots": prepared.backend.shots,
        "primitive": "sampler" if prepared.estimator_pubs is None else "estimator",
    }
    if prepared.estimator_pubs is not None:
        jobs = [[pub] for pub in prepared.estimator_pubs]
        return submit_pubs(jobs, prepared.backend, ledger, metadata=metadata, report=report)
    return submit(plan, prepared.backend, ledger, metadata=metadata, report=report)


def score(
    path: Path,
    submission: str,
    ledger: Ledger,
    *,
    mitigate: bool = False,
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """Return the accuracy and loss of a run's submission from its saved results; asks no service.

    ``mitigate`` undoes readout errors as far as the device's calibration knows them. Raises QlamError when a result is
    missing or the submission is another run's.
    """
    (record,) = show(ledger, submission)
    folder = RunFolder.open(path)
    metadata = record.details.get("metadata", {})
    if metadata.get("weights") != folder.weights_digest():
        raise QlamError(
            f"submission {record.id} is of {metadata.get('run', 'no run')}, not of the weights in {folder.path}"
        )
    model, data = _load(folder, data_dir)
    split = data.test.subset(slice(metadata["samples"]))
    if metadata["primitive"] == "estimator":
        if mitigate:
            raise ConfigurationError("--mitigate: an estimator mitigates by its own options, set in backends.yaml")
        values = [np.asarray(job[0].data.evs) for job in results(ledger, record.id)]
        logits = logits_from_expectations(model, values)
    else:
        logits = logits_from_probabilities(model, probabilities(ledger, record.id, mitigate=mitigate, proper=False))
    labels = torch.from_numpy(split.labels).reshape(len(split), -1)
    return {
        "accuracy": (logits.argmax(-1) == labels).float().mean().item(),
        "samples": len(split),
        "backend": record.backend,
        "shots": metadata["shots"],
        "loss": cross_entropy(logits.flatten(0, 1), labels.flatten()).item(),
        "task": data.task,
        "mitigated": mitigate,
        "submission": record.id,
        "run": str(folder.path),
    }


def evaluate_on_device(
    path: Path,
    spec: BackendSpec,
    *,
    shots: int | None = None,
    limit: int | None = None,
    seed: int | None = None,
    mitigate: bool = False,
    anyway: bool = False,
    data_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Plan, send, wait and score; ``progress`` hears how many jobs of how many have ended."""
    began = time.perf_counter()
    prepared = prepare(path, spec, limit=limit, shots=shots, seed=seed, data_dir=data_dir)
    report(summary(prepared))
    with Ledger() as ledger, prepared.backend:
        submission = send(prepared, ledger, anyway=anyway, report=report)

        def follow(state: Submission) -> None:
            progress(sum(job.state in CLOSED for job in state.jobs), len(state.jobs))

        wait(ledger, submission.id, progress=follow, report=report)
        result = score(path, submission.id, ledger, mitigate=mitigate, data_dir=data_dir)
    return {**result, "seconds": round(time.perf_counter() - began, 3)}


def summary(prepared: Prepared) -> str:
    """Say what a plan costs in one line."""
    plan = prepared.plan.to_json()
    return (
        f"{prepared.samples:,} samples on {prepared.backend.name}: {plan['jobs']} jobs, "
        f"{plan['executions']:,} executions, {plan['two_qubit_gates']} two-qubit gates a circuit, fidelity "
        f"{plan['estimated_fidelity']:.2f}, {plan['qpu_seconds']:.0f} s of QPU time"
    )


def _load(folder: RunFolder, data_dir: Path | None) -> tuple[QLAM, SequenceData]:
    data = load_data(folder.experiment().data, data_dir)
    return load_run(folder, data), data
