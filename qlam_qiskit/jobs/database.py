"""The SQLite file behind the ledger: its schema, its transactions, and its failures in plain words.

The file has a rollback journal, not a write-ahead log, which needs memory that processes share and so does not work
where hosts share a folder; a rollback journal works wherever file locks do, network file systems included. With
``synchronous=EXTRA`` a committed change survives a power cut. Every write is a short ``BEGIN IMMEDIATE`` transaction,
so that processes wait for each other instead of failing half-way. Only its owner can read the file and its journal.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from qlam_qiskit.jobs.errors import LedgerError
from qlam_qiskit.workspace import close_to_others

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE submissions (
    id TEXT PRIMARY KEY, created REAL NOT NULL, backend TEXT NOT NULL, session TEXT, details TEXT NOT NULL
);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, submission TEXT NOT NULL REFERENCES submissions(id), number INTEGER NOT NULL,
    tag TEXT NOT NULL UNIQUE, state TEXT NOT NULL, remote_id TEXT, message TEXT, qpu_seconds REAL,
    updated REAL NOT NULL, estimated_seconds REAL, doubtful REAL
);
CREATE INDEX jobs_of_submission ON jobs(submission, number);
CREATE TABLE events (
    at REAL NOT NULL, job TEXT NOT NULL REFERENCES jobs(id), source TEXT, target TEXT NOT NULL, note TEXT
);
CREATE TABLE posts (at REAL NOT NULL);
CREATE TABLE duplicates (
    remote_id TEXT PRIMARY KEY, job TEXT NOT NULL REFERENCES jobs(id), state TEXT NOT NULL, qpu_seconds REAL,
    found REAL NOT NULL
);
"""

# Version -> what makes the next version of it.
_MIGRATIONS = {
    1: """
ALTER TABLE jobs DROP COLUMN owner;
ALTER TABLE jobs DROP COLUMN lease;
ALTER TABLE jobs ADD COLUMN estimated_seconds REAL;
ALTER TABLE jobs ADD COLUMN doubtful REAL;
CREATE TABLE duplicates (
    remote_id TEXT PRIMARY KEY, job TEXT NOT NULL REFERENCES jobs(id), state TEXT NOT NULL, qpu_seconds REAL,
    found REAL NOT NULL
);
""",
}


class Database:
    """One connection to the file; raises LedgerError, with what to do about it, whenever SQLite fails."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self._path = path
        try:
            close_to_others(path.parent)
            _make_private_file(path)
        except OSError as error:
            raise LedgerError(f"{path.parent}: the workspace cannot be made: {error.strerror}") from None
        with self._explained():
            self._connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._connection.text_factory = _text
            self._refuse_other_versions(self._connection)
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute("PRAGMA synchronous = EXTRA")
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
        """Make the tables, or bring those of an earlier version up to date."""
        with self.transaction() as database:
            version = self._refuse_other_versions(database)
            if version == SCHEMA_VERSION:
                return
            steps = [_SCHEMA] if version == 0 else [_MIGRATIONS[step] for step in range(version, SCHEMA_VERSION)]
            for step in steps:
                for statement in step.split(";"):
                    database.execute(statement)
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _refuse_other_versions(self, database: sqlite3.Connection) -> int:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise LedgerError(f"{self._path}: written by a newer version; upgrade qlam-qiskit to read it")
        if version < 0:
            raise LedgerError(f"{self._path}: {_DAMAGED.format(f'version {version}')}")
        return version

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a defect of this program
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise LedgerError(f"{self._path}: {_ADVICE.get(code, _DAMAGED).format(error)}") from None


def _make_private_file(path: Path) -> None:
    """Make the file, or take it from others' eyes; what SQLite keeps beside it takes over its permissions."""
    with contextlib.suppress(OSError):  # SQLite says why
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-journal", "-wal", "-shm"))):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)


def _text(data: bytes) -> str | bytes:
    """Decode a cell; one that is no text stays what it is, and is refused where its row is checked."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


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
