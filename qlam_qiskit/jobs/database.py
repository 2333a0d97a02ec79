"""The SQLite file behind the ledger: its schema, its transactions, and its failures in plain words.

The file is in WAL mode with ``synchronous=FULL``: a committed change survives a power cut. Every write is a short
``BEGIN IMMEDIATE`` transaction, so that processes wait for each other instead of failing half-way.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from qlam_qiskit.jobs.errors import LedgerError

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE submissions (
    id TEXT PRIMARY KEY, created REAL NOT NULL, backend TEXT NOT NULL, session TEXT, details TEXT NOT NULL
);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, submission TEXT NOT NULL REFERENCES submissions(id), number INTEGER NOT NULL,
    tag TEXT NOT NULL UNIQUE, state TEXT NOT NULL, remote_id TEXT, message TEXT, qpu_seconds REAL,
    updated REAL NOT NULL, owner TEXT, lease REAL
);
CREATE INDEX jobs_of_submission ON jobs(submission, number);
CREATE TABLE events (
    at REAL NOT NULL, job TEXT NOT NULL REFERENCES jobs(id), source TEXT, target TEXT NOT NULL, note TEXT
);
CREATE TABLE posts (at REAL NOT NULL);
"""


class Database:
    """One connection to the file; raises LedgerError, with what to do about it, whenever SQLite fails."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"{path.parent}: the workspace cannot be made: {error.strerror}") from None
        with self._explained():
            self._connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
        self._prepare()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, query: str, values: tuple = ()) -> list[sqlite3.Row]:
        """Read."""
        with self._explained():
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Read and write with nobody in between; on disk when the block ends, undone when it raises."""
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        with self.transaction() as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise LedgerError(f"{self._path}: written by a newer version; upgrade qlam-qiskit to read it")
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a defect of this program
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise LedgerError(f"{self._path}: {_ADVICE.get(code, _DAMAGED).format(error)}") from None


_UNWRITABLE = "cannot be written ({}); check the disk and the permissions of the folder"
_DAMAGED = "damaged or not a ledger ({}); restore it from a backup or choose another QLAM_HOME"
_ADVICE = {
    sqlite3.SQLITE_BUSY: "locked by another program; nothing is lost: close it and run `qlam jobs resume`",
    sqlite3.SQLITE_LOCKED: "locked by another program; nothing is lost: close it and run `qlam jobs resume`",
    sqlite3.SQLITE_FULL: "the disk is full; nothing is lost: free some space and run `qlam jobs resume`",
    sqlite3.SQLITE_IOERR: _UNWRITABLE,
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
}
