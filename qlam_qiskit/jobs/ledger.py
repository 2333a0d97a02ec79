"""The job ledger: knows every job from the moment it is intended, and who is working on it.

A job's tag is on disk before the job is sent, so that whatever dies afterwards, the service can be asked for it.
Whoever works on a job holds a lease on it, which lapses when its holder dies.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qlam_qiskit.jobs.database import Database
from qlam_qiskit.jobs.errors import JobError, LeaseLostError
from qlam_qiskit.jobs.job_state import MOVES, JobState
from qlam_qiskit.jobs.records import JobRecord, SubmissionRecord, new_job_tag
from qlam_qiskit.redaction import redact
from qlam_qiskit.workspace import workspace

_MINUTE = 63.0  # seconds; requests reach the service a little later than they are counted here
_LOG = "INSERT INTO events VALUES (?, ?, ?, ?, ?)"


class Ledger:
    """The ledger of one workspace (``QLAM_HOME`` or ``./runs``), for one thread; use it as a context manager.

    Every method raises LedgerError when the file is locked for longer than ``busy_seconds``, damaged, of a newer
    version, or the disk is full; what was committed before stays.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        busy_seconds: float = 30.0,
        lease_seconds: float = 60.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.home = (home or workspace()).resolve()
        self.path = self.home / "ledger.sqlite"
        self.lease_seconds = lease_seconds
        self.now = now
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._database = Database(self.path, busy_seconds)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; leases that are still held lapse."""
        self._database.close()

    def add_submission(self, submission: str, backend: str, details: dict[str, Any], jobs: int) -> list[JobRecord]:
        """Record a submission and the intent to send its jobs, each with a tag that no other job has."""
        now = self.now()
        with self._database.transaction() as database:
            row = (submission, now, backend, None, json.dumps(details))
            database.execute("INSERT INTO submissions VALUES (?, ?, ?, ?, ?)", row)
            for number in range(jobs):
                job = f"{submission}/{number}"
                database.execute(
                    "INSERT INTO jobs (id, submission, number, tag, state, updated) VALUES (?, ?, ?, ?, ?, ?)",
                    (job, submission, number, new_job_tag(submission, number), JobState.PLANNED, now),
                )
                database.execute(_LOG, (now, job, None, JobState.PLANNED, None))
        return self.jobs(submission)

    def submissions(self) -> list[SubmissionRecord]:
        """List every submission, oldest first."""
        rows = self._database.rows("SELECT * FROM submissions ORDER BY created, id")
        return [SubmissionRecord(**dict(row) | {"details": json.loads(row["details"])}) for row in rows]

    def submission(self, identifier: str) -> SubmissionRecord:
        """Return one submission by its id or an unambiguous beginning of it; raises JobError otherwise."""
        known = [record for record in self.submissions() if record.id.startswith(identifier)]
        exact = [record for record in known if record.id == identifier]
        if not identifier or len(exact or known) != 1:
            what = "several submissions begin with" if known else "there is no submission"
            raise JobError(f"{what} {identifier!r} in {self.path}; `qlam jobs list` shows them")
        return (exact or known)[0]

    def jobs(self, submission: str) -> list[JobRecord]:
        """List the jobs of a submission in their order."""
        query = "SELECT * FROM jobs WHERE submission = ? ORDER BY number"
        return [_job(row) for row in self._database.rows(query, (submission,))]

    def job(self, identifier: str) -> JobRecord:
        """Return one job as it stands now; raises JobError when there is none."""
        rows = self._database.rows("SELECT * FROM jobs WHERE id = ?", (identifier,))
        if not rows:
            raise JobError(f"there is no job {identifier!r} in {self.path}")
        return _job(rows[0])

    def events(self, submission: str) -> list[dict[str, Any]]:
        """List what happened to a submission's jobs: ``at`` (s since 1970), ``job``, ``source``, ``target``, note."""
        rows = self._database.rows(
            "SELECT events.* FROM events JOIN jobs ON jobs.id = events.job WHERE jobs.submission = ? "
            "ORDER BY events.rowid",
            (submission,),
        )
        return [dict(row) for row in rows]

    def claim(self, identifier: str) -> JobRecord | None:
        """Take the lease on a job and return its record; None while another living process holds it."""
        now = self.now()
        with self._database.transaction() as database:
            row = database.execute("SELECT * FROM jobs WHERE id = ?", (identifier,)).fetchone()
            if row is None:
                raise JobError(f"there is no job {identifier!r} in {self.path}")
            holder = row["owner"]
            if holder not in (None, self._owner) and row["lease"] > now and _alive(holder):
                return None
            lease = (self._owner, now + self.lease_seconds, identifier)
            database.execute("UPDATE jobs SET owner = ?, lease = ? WHERE id = ?", lease)
        return _job(row)

    def renew(self, identifier: str) -> None:
        """Prolong our lease, while a request is under way; raises LeaseLostError when it is no longer ours."""
        with self._database.transaction() as database:
            changed = database.execute(
                "UPDATE jobs SET lease = ? WHERE id = ? AND owner = ?",
                (self.now() + self.lease_seconds, identifier, self._owner),
            ).rowcount
        if changed != 1:
            raise LeaseLostError(f"job {identifier} was taken over by another process")

    def release(self, identifier: str) -> None:
        """Give the lease back, if it is still ours."""
        with self._database.transaction() as database:
            database.execute(
                "UPDATE jobs SET owner = NULL, lease = NULL WHERE id = ? AND owner = ?", (identifier, self._owner)
            )

    def move(
        self,
        job: JobRecord,
        target: JobState,
        *,
        remote_id: str | None = None,
        message: str | None = None,
        qpu_seconds: float | None = None,
    ) -> JobRecord:
        """Commit one move of a job whose lease we hold; raises LeaseLostError when it is no longer ours to move.

        ``remote_id`` and ``qpu_seconds`` stay as they are when not given. A job that is planned again after it
        failed gets a new tag, so that its earlier self is never taken for it.
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
            now + self.lease_seconds,
        )
        with self._database.transaction() as database:
            changed = database.execute(
                "UPDATE jobs SET state = ?, tag = ?, remote_id = ?, message = ?, qpu_seconds = ?, updated = ?, "
                "lease = ? WHERE id = ? AND state = ? AND owner = ?",
                (*values, job.id, job.state, self._owner),
            ).rowcount
            if changed != 1:
                raise LeaseLostError(f"job {job.id} was taken over by another process")
            database.execute(_LOG, (now, job.id, job.state, target, note))
        return self.job(job.id)

    def note(self, job: JobRecord, message: str) -> None:
        """Record what happened to a job whose state stays the same."""
        text = redact(message)
        with self._database.transaction() as database:
            database.execute("UPDATE jobs SET message = ? WHERE id = ?", (text, job.id))
            database.execute(_LOG, (self.now(), job.id, job.state, job.state, text))

    def set_session(self, submission: str, session: str | None) -> None:
        """Record the batch or session that the service opened for a submission."""
        with self._database.transaction() as database:
            database.execute("UPDATE submissions SET session = ? WHERE id = ?", (session, submission))

    def take_post_slot(self, per_minute: int) -> float:
        """Take one of the ``per_minute`` places for a POST; returns 0, or the seconds to wait and try again."""
        now = self.now()
        with self._database.transaction() as database:
            bounds = (now - _MINUTE, now + _MINUTE)  # a clock that was set back leaves times in the future
            database.execute("DELETE FROM posts WHERE at <= ? OR at > ?", bounds)
            query = "SELECT at FROM posts ORDER BY at DESC LIMIT ?"
            taken = [row["at"] for row in database.execute(query, (per_minute,))]
            if len(taken) >= per_minute:
                return max(taken[-1] + _MINUTE - now, 0.01)
            database.execute("INSERT INTO posts VALUES (?)", (now,))
        return 0.0


def process_exists(process: int) -> bool:
    """Whether a process with this id runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _job(row: sqlite3.Row) -> JobRecord:
    values = {name: row[name] for name in JobRecord.__dataclass_fields__}
    return JobRecord(**values | {"state": JobState(row["state"])})


def _alive(owner: str) -> bool:
    """Whether the holder of a lease may still be at work; on another host only the lease can tell."""
    host, process, _ = owner.rsplit(":", 2)
    return host != socket.gethostname() or process_exists(int(process))
