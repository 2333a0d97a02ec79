"""What came back, in terms of the circuits that were asked about: counts and probabilities of every logical pub."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import PrimitiveResult, SamplerPubResult

from qlam_qiskit.jobs.errors import JobError
from qlam_qiskit.jobs.job_state import JobState
from qlam_qiskit.jobs.judge import Judge
from qlam_qiskit.jobs.ledger import Ledger
from qlam_qiskit.jobs.records import SubmissionRecord
from qlam_qiskit.planning import (
    Calibration,
    Placement,
    count_outcomes,
    frequencies,
    nearest_probabilities,
    undo_readout_errors,
)


def results(ledger: Ledger, submission: str) -> list[PrimitiveResult]:
    """Return the saved result of every job in order, each compared with what was asked for.

    Raises JobError naming the jobs that are not saved, or the file that is damaged or not believed.
    """
    record = ledger.submission(submission)
    jobs = ledger.jobs(record.id)
    missing = [
        f"job {job.number} is {job.state}" + (f": {job.message}" if job.message else "")
        for job in jobs
        if job.state is not JobState.SAVED
    ]
    if missing:
        listed = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise JobError(f"submission {record.id} is not complete ({listed}); run `qlam jobs resume {record.id}`")
    judge = Judge(ledger.home, record)
    return [judge.saved(job) for job in jobs]


def logical_results(ledger: Ledger, submission: str) -> list[SamplerPubResult]:
    """Return one result for each pub that the plan was made of, shaped as that pub; raises JobError as results do."""
    return _placement(ledger.submission(submission)).collect(results(ledger, submission))


def expectations(ledger: Ledger, submission: str) -> list[NDArray[np.float64]]:
    """Return the expectation values of each pub that an estimator's plan was made of: (rows, observables).

    Raises JobError as :func:`results`.
    """
    record = ledger.submission(submission)
    answers = results(ledger, submission)
    if "placement" not in record.details:  # an older submission: a job for each pub
        return [np.asarray(job[0].data.evs) for job in answers]
    placement = _placement(record)
    values = [np.full(shape, np.nan) for shape in placement.shapes]
    for job, tiles_of_job in zip(answers, placement.jobs, strict=True):
        for answer, (tile,) in zip(job, tiles_of_job, strict=True):
            rows = slice(tile.start, tile.start + tile.rows)
            values[tile.pub][rows] = np.reshape(answer.data.evs, values[tile.pub][rows].shape)
    return values


def counts(ledger: Ledger, submission: str) -> list[NDArray[np.int64]]:
    """Return the counts of each logical pub: (rows, 2^n), index little-endian as in Qiskit.

    The registers of a circuit are joined, the first one least significant. Raises JobError as :func:`results`.
    """
    tables = []
    for pub in logical_results(ledger, submission):
        bits = pub.join_data()
        tables.append(count_outcomes(bits).reshape(-1, 1 << bits.num_bits))
    return tables


def probabilities(
    ledger: Ledger, submission: str, *, mitigate: bool = False, proper: bool = True
) -> list[NDArray[np.float64]]:
    """Return the outcome probabilities of each logical pub: (rows, 2^n), index as in :func:`counts`.

    ``mitigate`` undoes the readout errors that the device's calibration gave for the qubits each row ran on;
    ``proper=False`` leaves the small negative values that this makes, which keeps expectations unbiased.
    """
    tables = [frequencies(table) for table in counts(ledger, submission)]
    if not mitigate:
        return tables
    record = ledger.submission(submission)
    calibration = Calibration.from_json(record.details["calibration"])
    for tiles in (tiles for job in _placement(record).jobs for tiles in job):
        for tile in tiles:
            rows = slice(tile.start, tile.start + tile.rows)
            qubits = [qubit for register in tile.measured.values() for qubit in register]
            errors = np.array([calibration.readout.get(qubit, (0.0, 0.0)) for qubit in qubits])
            tables[tile.pub][rows] = undo_readout_errors(tables[tile.pub][rows], errors)
    return [nearest_probabilities(table) for table in tables] if proper else tables


def _placement(record: SubmissionRecord) -> Placement:
    if "placement" not in record.details:
        raise JobError(f"submission {record.id} was made of pubs, not of a plan; read its results as they are")
    return Placement.from_json(record.details["placement"])
