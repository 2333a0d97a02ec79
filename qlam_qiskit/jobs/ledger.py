"""The job ledger: knows every job from the moment it is intended, and who is working on it.

A job's tag is on disk before the job is sent, so that whatever dies afterwards, the service can be asked for it.
Whoever works on a job holds its file lock, which is freed when its holder ends, however it ends. Locks and journal
work between hosts too where their file system has locks, as NFS has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlam_qiskit.jobs.database import Database
from qlam_qiskit.jobs.errors import DamagedRowError, JobError, LeaseLostError, LedgerError
from qlam_qiskit.jobs.job_state import MOVES, JobState
from qlam_qiskit.jobs.records import Duplicate, Event, JobRecord, SubmissionRecord, new_job_tag
from qlam_qiskit.jobs.rows import read_row, read_rows
from qlam_qiskit.redaction import redact
from qlam_qiskit.workspace import close_to_others, workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filelock import FileLock

_MINUTE = 63.0  # seconds; requests reach the service a little later than they are counted here
_LOG = "INSERT INTO events VALUES (?, ?, ?, ?, ?)"
_JOB = "SELECT rowid, * FROM jobs WHERE id = ?"
# A job whose cell names another submission still belongs to the one in its id, where it is found damaged.
_JOBS = "SELECT rowid, * FROM jobs WHERE submission = ?1 OR substr(id, 1, length(?1) + 1) = ?1 || '/' ORDER BY number"
_DUPLICATES = (
    "SELECT duplicates.rowid, duplicates.* FROM duplicates JOIN jobs ON jobs.id = duplicates.job "
    "WHERE jobs.submission = ? ORDER BY duplicates.rowid"
)
_EVENTS = (
    "SELECT events.rowid, events.* FROM events JOIN jobs ON jobs.id = events.job WHERE jobs.submission = ? "
    "ORDER BY events.rowid"
)


class Ledger:
    """The ledger of one workspace (``QLAM_HOME`` or ``./runs``), for one thread; use it as a context manager.

    Every method raises LedgerError when the file is locked for longer than ``busy_seconds``, damaged, of a newer
    version, or the disk is full; what was committed before stays. A row that holds what it cannot hold raises
    DamagedRowError, or is added to the list ``damaged`` of a method that has one, and left out.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        busy_seconds: float = 30.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.home = (home or workspace()).resolve()
        self.path = self.home / "ledger.sqlite"
        self.now = now
        self._locks: dict[str, FileLock] = {}
        self._database = Database(self.path, busy_seconds)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and free the jobs that are still held."""
        for identifier in list(self._locks):
            self.release(identifier)
        self._database.close()

    def add_submission(
        self,
        submission: str,
        backend: str,
        details: dict[str, Any],
        jobs: int,
        estimated_seconds: Sequence[float | None] | None = None,
    ) -> list[JobRecord]:
        """Record a submission and the intent to send its jobs, each with a tag that no other job has.

        ``estimated_seconds`` is what each job is expected to cost in QPU time.
        """
        now = self.now()
        with self._database.transaction() as database:
            row = (submission, now, backend, None, json.dumps(details))
            database.execute("INSERT INTO submissions VALUES (?, ?, ?, ?, ?)", row)
            for number, seconds in enumerate(estimated_seconds or [None] * jobs):
                job = f"{submission}/{number}"
                database.execute(
                    "INSERT INTO jobs (id, submission, number, tag, state, updated, estimated_seconds) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (job, submission, number, new_job_tag(submission, number), JobState.PLANNED, now, seconds),
                )
                database.execute(_LOG, (now, job, None, JobState.PLANNED, None))
        return self.jobs(submission)

    def submissions(self, damaged: list[DamagedRowError] | None = None) -> list[SubmissionRecord]:
        """List every submission, oldest first."""
        rows = self._database.rows("SELECT rowid, * FROM submissions ORDER BY created, id")
        return read_rows(SubmissionRecord, rows, self.path, damaged)

    def submission_names(self) -> set[str]:
        """Return the id of every submission, whatever else its row holds."""
        return {str(row["id"]) for row in self._database.rows("SELECT id FROM submissions")}

    def submission(self, identifier: str) -> SubmissionRecord:
        """Return one submission by its id or an unambiguous beginning of it; raises JobError otherwise."""
        damaged: list[DamagedRowError] = []
        known = [record for record in self.submissions(damaged) if record.id.startswith(identifier)]
        for error in damaged:
            if error.identifier is not None and identifier and error.identifier.startswith(identifier):
                raise error
        exact = [record for record in known if record.id == identifier]
        if not identifier or len(exact or known) != 1:
            what = "several submissions begin with" if known else "there is no submission"
            raise JobError(f"{what} {identifier!r} in {self.path}; `qlam jobs list` shows them")
        return (exact or known)[0]

    def jobs(self, submission: str, damaged: list[DamagedRowError] | None = None) -> list[JobRecord]:
        """List the jobs of a submission in their order."""
        return read_rows(JobRecord, self._database.rows(_JOBS, (submission,)), self.path, damaged)

    def job(self, identifier: str) -> JobRecord:
        """Return one job as it stands now; raises JobError when there is none."""
        rows = self._database.rows(_JOB, (identifier,))
        if not rows:
            raise JobError(f"there is no job {identifier!r} in {self.path}")
        return read_row(JobRecord, rows[0], self.path)

    def duplicates(self, submission: str, damaged: list[DamagedRowError] | None = None) -> list[Duplicate]:
        """List the second jobs that were found of a submission's jobs."""
        return read_rows(Duplicate, self._database.rows(_DUPLICATES, (submission,)), self.path, damaged)

    def events(self, submission: str, damaged: list[DamagedRowError] | None = None) -> list[Event]:
        """List what happened to a submission's jobs, oldest first."""
        return read_rows(Event, self._database.rows(_EVENTS, (submission,)), self.path, damaged)

    def claim(self, identifier: str) -> JobRecord | None:
        """Take the lock on a job and return its record as it stands then; None while another process holds it."""
        if identifier not in self._locks:
            lock = self._lock(identifier)
            if lock is None:
                return None
            self._locks[identifier] = lock
        try:
            return self.job(identifier)
        except BaseException:
            self.release(identifier)
            raise

    def release(self, identifier: str) -> None:
        """Free a job, if we hold it."""
        lock = self._locks.pop(identifier, None)
        if lock is not None:
            lock.release(force=True)

    def move(
        self,
        job: JobRecord,
        target: JobState,
        *,
        remote_id: str | None = None,
        message: str | None = None,
        qpu_seconds: float | None = None,
        doubtful: float | None = None,
    ) -> JobRecord:
        """Commit one move of a job that we hold; raises LeaseLostError when it is not ours to move.

        ``remote_id``, ``qpu_seconds`` and ``doubtful`` (see JobRecord) stay as they are when not given. A job that is
        planned again after it failed gets a new tag, so that its earlier self is never taken for it; one whose fate is
        unknown keeps its tag, by which it is found.
        """
        if target not in MOVES[job.state]:
            raise ValueError(f"a job cannot move from {job.state} to {target}")
        now, note = self.now(), redact(message) if message else None
        again = job.state is JobState.FAILED and target is JobState.PLANNED
        values = (
            target,
            new_job_tag(job.submission, job.number) if again else job.tag,
            None if target is JobState.PLANNED else remote_id or job.remote_id,
            note,
            job.qpu_seconds if qpu_seconds is None else qpu_seconds,
            now,
            None if again else job.doubtful if doubtful is None else doubtful,
        )
        self._check_held(job)
        with self._database.transaction() as database:
            changed = database.execute(
                "UPDATE jobs SET state = ?, tag = ?, remote_id = ?, message = ?, qpu_seconds = ?, updated = ?, "
                "doubtful = ? WHERE id = ? AND state = ?",
                (*values, job.id, job.state),
            ).rowcount
            if changed != 1:
                raise LeaseLostError(f"job {job.id} is no longer {job.state}: another process moved it")
            database.execute(_LOG, (now, job.id, job.state, target, note))
        return self.job(job.id)

    def follow(self, job: JobRecord, remote_id: str, message: str) -> JobRecord:
        """Have a job that we hold stand for another of the jobs at the service that carry its tag."""
        self._check_held(job)
        text = redact(message)
        with self._database.transaction() as database:
            database.execute("UPDATE jobs SET remote_id = ?, message = ? WHERE id = ?", (remote_id, text, job.id))
            database.execute("DELETE FROM duplicates WHERE remote_id = ?", (remote_id,))
            database.execute(_LOG, (self.now(), job.id, job.state, job.state, text))
        return self.job(job.id)

    def note(self, job: JobRecord, message: str) -> None:
        """Record what happened to a job whose state stays the same."""
        text = redact(message)
        with self._database.transaction() as database:
            database.execute("UPDATE jobs SET message = ? WHERE id = ?", (text, job.id))
            database.execute(_LOG, (self.now(), job.id, job.state, job.state, text))

    def add_duplicate(self, job: JobRecord, remote_id: str, state: str, qpu_seconds: float | None) -> None:
        """Record, or bring up to date, a second job of ``job`` at the service and what it was charged."""
        with self._database.transaction() as database:
            known = database.execute("SELECT 1 FROM duplicates WHERE remote_id = ?", (remote_id,)).fetchone()
            database.execute(
                "INSERT INTO duplicates VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(remote_id) DO UPDATE SET "
                "state = ?3, qpu_seconds = coalesce(?4, qpu_seconds)",
                (remote_id, job.id, state, qpu_seconds, self.now()),
            )
            if known is None:
                text = redact(f"a duplicate at the service: {remote_id}, {state}")
                database.execute(_LOG, (self.now(), job.id, job.state, job.state, text))

    def set_session(self, submission: str, session: str | None) -> None:
        """Record the batch or session that the service opened for a submission."""
        with self._database.transaction() as database:
            database.execute("UPDATE submissions SET session = ? WHERE id = ?", (session, submission))

    def take_post_slot(self, per_minute: int) -> float:
        """Take one of the ``per_minute`` places for a POST; returns 0, or the seconds to wait and try again."""
        now = self.now()
        with self._database.transaction() as database:
            # A clock that was set back leaves times in the future; whatever is no time goes too.
            database.execute(
                "DELETE FROM posts WHERE at <= ? OR at > ? OR typeof(at) NOT IN ('real', 'integer')",
                (now - _MINUTE, now + _MINUTE),
            )
            query = "SELECT at FROM posts ORDER BY at DESC LIMIT ?"
            taken = [row["at"] for row in database.execute(query, (per_minute,))]
            if len(taken) >= per_minute:
                return max(taken[-1] + _MINUTE - now, 0.01)
            database.execute("INSERT INTO posts VALUES (?)", (now,))
        return 0.0

    def _check_held(self, job: JobRecord) -> None:
        if job.id not in self._locks:
            raise LeaseLostError(f"job {job.id} is not held by this process")

    def _lock(self, identifier: str) -> FileLock | None:
        """Lock a job's file; None while another process has it locked."""
        from filelock import FileLock, Timeout

        folder = self.home / "locks"
        path = folder / f"{identifier.replace('/', '-')}.lock"
        try:
            close_to_others(folder)
            lock = FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except (OSError, NotImplementedError) as error:
            raise LedgerError(
                f"{path}: cannot be locked ({error}); choose a QLAM_HOME on a file system that has locks"
            ) from None
        return lock
