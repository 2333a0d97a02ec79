"""The one place where what is read from the database is checked: each row against the record it stands for."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from qlam_qiskit.jobs.errors import DamagedRowError
from qlam_qiskit.jobs.records import Duplicate, Event, JobRecord, SubmissionRecord

RecordT = TypeVar("RecordT", SubmissionRecord, JobRecord, Duplicate, Event)
_TABLES: dict[type, str] = {
    SubmissionRecord: "submissions",
    JobRecord: "jobs",
    Duplicate: "duplicates",
    Event: "events",
}
_LONGEST = 60


def read_rows(
    kind: type[RecordT], rows: Iterable[sqlite3.Row], path: object, damaged: list[DamagedRowError] | None = None
) -> list[RecordT]:
    """Turn rows into records of ``kind``.

    A row that cannot be one is added to ``damaged`` and left out, or raised where there is no such list; the error
    names the table, the row and the column.
    """
    records = []
    for row in rows:
        try:
            records.append(read_row(kind, row, path))
        except DamagedRowError as error:
            if damaged is None:
                raise
            damaged.append(error)
    return records


def read_row(kind: type[RecordT], row: sqlite3.Row, path: object) -> RecordT:
    """Turn one row, selected with its ``rowid``, into a record; raises DamagedRowError when it cannot be one."""
    cells = {key: row[key] for key in row.keys() if key in _columns(kind)}  # noqa: SIM118 (a Row iterates its values)
    where = f"{path}: table {_TABLES[kind]}, row {row['rowid']}"
    key = cells.get("id", cells.get("remote_id", cells.get("job")))
    identifier = key if isinstance(key, str) and key.isprintable() and len(key) <= _LONGEST else None
    if identifier is not None:
        where += f" ({identifier})"
    if kind is SubmissionRecord:
        cells["details"] = _details(cells.get("details"), where, identifier)
    try:
        return kind(**cells)
    except ValidationError as error:
        problem = error.errors()[0]
        said = problem["msg"].removeprefix("Value error, ")
        column, said = (str(problem["loc"][0]), said) if problem["loc"] else said.split(": ", 1)
        said = f"{said} (it holds {_shown(cells.get(column))})"
        raise DamagedRowError(f"{where}, column {column}: damaged: {said}", identifier) from None


def _details(cell: Any, where: str, identifier: str | None) -> dict[str, Any]:
    try:
        details = json.loads(cell) if isinstance(cell, str) else None
    except (ValueError, RecursionError):
        details = None
    if not isinstance(details, dict):
        shown = _shown(cell)
        raise DamagedRowError(f"{where}, column details: damaged: no JSON object (it holds {shown})", identifier)
    return details


def _shown(cell: Any) -> str:
    text = ascii(cell)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


@functools.cache
def _columns(kind: type) -> frozenset[str]:
    return frozenset(kind.__dataclass_fields__)
