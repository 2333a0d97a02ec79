"""Decides whether a result is believed: one that has just arrived, or one that lies on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qiskit.primitives import PrimitiveResult

from qlam_qiskit.backends import make_spec
from qlam_qiskit.jobs import files
from qlam_qiskit.jobs.archive import DamagedFileError
from qlam_qiskit.jobs.errors import JobError
from qlam_qiskit.jobs.expected import ExpectedResult, is_marked
from qlam_qiskit.jobs.faults import DamagedResultError, WrongResultError
from qlam_qiskit.jobs.records import JobRecord, SubmissionRecord


class WrongSavedResultError(JobError):
    """A result on disk is not what its job asked for."""


class Judge:
    """Compares the results of one submission's jobs with what was asked for; asks no service."""

    def __init__(self, home: Path, submission: SubmissionRecord) -> None:
        self._home = home
        self._submission = submission
        self._spec = make_spec(submission.backend, submission.details["spec"], f"submission {submission.id}")
        self._sound: dict[tuple[str, str], tuple[int, int]] = {}

    def expected(self, job: JobRecord) -> ExpectedResult:
        """Say what a job's result must look like; raises JobError when its inputs are missing or damaged."""
        pubs, marked = files.read_expected(self._home, job.submission, job.number)
        return ExpectedResult(pubs, self._spec, job.tag if marked and is_marked(self._spec) else None)

    def arrived(self, job: JobRecord, expected: ExpectedResult, result: Any) -> PrimitiveResult:
        """Return a result that has just arrived as it is to be saved.

        Raises DamagedResultError or WrongResultError when it is not believed; it is kept under another name then.
        """
        try:
            return expected.check(result)
        except DamagedResultError as error:
            path = files.keep_aside(self._home, job.submission, job.number, result, str(error))
            kept = "" if path is None else f"; kept as {path.name}"
            raise type(error)(f"{error}{kept}") from None

    def saved(self, job: JobRecord) -> PrimitiveResult:
        """Return a job's saved result; raises JobError when it is missing, damaged, or not believed."""
        result, about = files.read_result(self._home, job.submission, job.number)
        try:
            if about.get("tag") != job.tag:
                raise WrongResultError("it is of another job, or of an earlier try")
            return self.expected(job).check(result, renamed=False)
        except DamagedResultError as error:
            path = files.result_file(self._home, job.submission, job.number)
            remedy = f"`qlam jobs resume {job.submission}` asks for it again"
            raise WrongSavedResultError(f"{path}: the saved result is not this job's: {error}; {remedy}") from None

    def fault(self, job: JobRecord) -> str | None:
        """Return why there is no saved result of a job that is believed; None when there is one.

        A file that was found sound is not read again until it changes.
        """
        try:
            about = files.result_file(self._home, job.submission, job.number).stat()
        except OSError:
            return "its file is gone"
        version = (about.st_mtime_ns, about.st_size)
        if self._sound.get((job.id, job.tag)) == version:
            return None
        try:
            self.saved(job)
        except (DamagedFileError, WrongSavedResultError) as error:
            return str(error)
        self._sound[job.id, job.tag] = version
        return None
