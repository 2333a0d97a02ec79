"""Sending jobs to backends and getting their results back, whatever fails or dies on the way.

Every job is in a ledger on disk before it is sent; see :mod:`qlam_qiskit.jobs.courier` for why nothing is lost or sent
twice. This package knows nothing of models: it takes plans or pubs of Qiskit circuits and gives back their counts.
Its functions are imported from their modules when first used, so that listing jobs does not load Qiskit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.jobs.errors import DamagedRowError as DamagedRowError
    from qlam_qiskit.jobs.errors import JobError as JobError
    from qlam_qiskit.jobs.errors import LedgerError as LedgerError
    from qlam_qiskit.jobs.faults import explain as explain
    from qlam_qiskit.jobs.job_state import CLOSED as CLOSED
    from qlam_qiskit.jobs.job_state import JobState as JobState
    from qlam_qiskit.jobs.ledger import Ledger as Ledger
    from qlam_qiskit.jobs.operations import cancel as cancel
    from qlam_qiskit.jobs.operations import fetch as fetch
    from qlam_qiskit.jobs.operations import resume as resume
    from qlam_qiskit.jobs.operations import submit as submit
    from qlam_qiskit.jobs.operations import submit_pubs as submit_pubs
    from qlam_qiskit.jobs.operations import wait as wait
    from qlam_qiskit.jobs.policy import Clock as Clock
    from qlam_qiskit.jobs.policy import Policy as Policy
    from qlam_qiskit.jobs.records import Event as Event
    from qlam_qiskit.jobs.records import JobRecord as JobRecord
    from qlam_qiskit.jobs.saved_results import counts as counts
    from qlam_qiskit.jobs.saved_results import expectations as expectations
    from qlam_qiskit.jobs.saved_results import logical_results as logical_results
    from qlam_qiskit.jobs.saved_results import probabilities as probabilities
    from qlam_qiskit.jobs.saved_results import results as results
    from qlam_qiskit.jobs.submission import Submission as Submission
    from qlam_qiskit.jobs.submission import show as show
    from qlam_qiskit.jobs.submission_words import charged_for as charged_for
    from qlam_qiskit.jobs.submission_words import described_submission as described_submission
    from qlam_qiskit.jobs.submission_words import duplicates_of as duplicates_of
    from qlam_qiskit.jobs.submission_words import metadata_of as metadata_of
    from qlam_qiskit.jobs.submission_words import state_of as state_of

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "errors": "DamagedRowError JobError LedgerError",
        "faults": "explain",
        "job_state": "CLOSED JobState",
        "ledger": "Ledger",
        "operations": "cancel fetch resume submit submit_pubs wait",
        "policy": "Clock Policy",
        "records": "Event JobRecord",
        "saved_results": "counts expectations logical_results probabilities results",
        "submission": "Submission show",
        "submission_words": "charged_for described_submission duplicates_of metadata_of state_of",
    },
)
