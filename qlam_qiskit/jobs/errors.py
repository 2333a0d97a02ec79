"""Errors of the job layer; every message says in one line what to do next."""

from qlam_qiskit.errors import QlamError


class JobError(QlamError):
    """Jobs could not be sent, followed or fetched; what was recorded stays in the ledger."""


class LedgerError(QlamError):
    """The ledger cannot be read or written: locked, full, damaged, or of another version."""


class LeaseLostError(JobError):
    """Another process took this job over; it is theirs to finish."""
