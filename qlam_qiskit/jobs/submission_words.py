"""A submission in words: where its jobs stand, what they cost, and what happened to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from qlam_qiskit.jobs.records import Event
from qlam_qiskit.jobs.submission import Submission
from qlam_qiskit.redaction import one_line
from qlam_qiskit.words import counted, seconds, span

_MOST_NOTES = 5


def described_submission(submission: Submission, events: Sequence[Event] = ()) -> Iterator[tuple[str, str]]:
    """Yield what a person wants to know of one submission, line by line."""
    details, metadata = submission.details, metadata_of(submission)
    yield "submission", submission.id
    yield "backend", f"{submission.backend} ({details.get('device')})"
    if metadata.get("run"):
        yield "run", str(metadata["run"])
    if isinstance(metadata.get("samples"), int):
        shots = f", {counted(metadata['shots'], 'shot')} each" if isinstance(metadata.get("shots"), int) else ""
        yield "samples", f"{metadata['samples']:,} of the {metadata.get('part', 'test')} set{shots}"
    yield "created", f"{_time(submission.created)} ({span(time.time() - submission.created)} ago)"
    yield "jobs", f"{counted(len(submission.jobs), 'job')}: {state_of(submission)}"
    plan = details.get("plan")
    planned = plan.get("qpu_seconds") if isinstance(plan, dict) else None
    known = isinstance(planned, int | float) and 0 < planned < float("inf")
    yield "QPU time", charged_for(submission) + (f" (planned: {seconds(planned)})" if known else "")
    yield from (("", line) for line in duplicates_of(submission))
    yield from _history(events)
    notes = [(job.number, job.state, job.message) for job in submission.jobs if job.message]
    for number, state, message in notes[:_MOST_NOTES]:
        yield f"job {number}", f"{state}: {message}"
    if len(notes) > _MOST_NOTES:
        yield (
            "",
            f"and {counted(len(notes) - _MOST_NOTES, 'more note')}; --json shows all, and everything that happened",
        )


def state_of(submission: Submission) -> str:
    """Say how many jobs are in each state."""
    states = [str(job.state) for job in submission.jobs]
    tally = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return ", ".join([*tally, *([f"{len(submission.damaged)} damaged"] if submission.damaged else [])])


def charged_for(submission: Submission) -> str:
    """Say the QPU time that was charged, and for duplicates on top of it; what runs here costs none."""
    charged = [job.qpu_seconds for job in submission.jobs if job.qpu_seconds is not None]
    text = seconds(sum(charged)) if charged else "-"
    if not submission.duplicates:
        return text
    more = " or more" if any(other.qpu_seconds is None for other in submission.duplicates) else ""
    return f"{text} + {seconds(submission.duplicate_qpu_seconds)}{more}"


def duplicates_of(submission: Submission) -> Iterator[str]:
    """Yield a line for every other job at the service that was sent for one of these."""
    for other in submission.duplicates:
        charged = "an unknown QPU time" if other.qpu_seconds is None else f"{seconds(other.qpu_seconds)} of QPU time"
        yield f"duplicate of job {one_line(other.job)}: {other.remote_id}, {other.state}, {charged}, not used"


def metadata_of(submission: Submission) -> dict[str, Any]:
    """Return what the sender said of a submission."""
    metadata = submission.details.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _history(events: Sequence[Event]) -> Iterator[tuple[str, str]]:
    """Yield when jobs came to each state: a line for a state, however many jobs there are."""
    moves = [event for event in events if event.source != event.target]
    for number, target in enumerate(dict.fromkeys(event.target for event in moves)):
        times = [event.at for event in moves if event.target == target]
        until = "" if _time(times[0]) == _time(times[-1]) else f" to {_time(times[-1])}"
        yield ("" if number else "history"), f"{_time(times[0])}{until}: {len(times)} {target}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
