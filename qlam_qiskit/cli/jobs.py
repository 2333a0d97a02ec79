"""``qlam jobs``: what was submitted, where it stands, and getting it home."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qlam_qiskit.cli import options
from qlam_qiskit.words import counted, seconds, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qlam_qiskit.jobs import Submission


_MOST_NOTES = 5


@click.group()
def jobs() -> None:
    """List, fetch, resume and cancel submitted jobs.

    Jobs are recorded in ledger.sqlite under QLAM_HOME, or ./runs. An ID may be shortened to its beginning.

    Example: qlam jobs list
    """


@jobs.command("list")
@options.as_json
def list_command(as_json: bool) -> None:
    """List every submission and how far it is; asks no service.

    Example: qlam jobs list
    """
    from qlam_qiskit.jobs import Ledger, show

    with Ledger() as ledger:
        _print(show(ledger), as_json)


@jobs.command("show")
@click.argument("submission", metavar="ID")
@options.as_json
def show_command(submission: str, as_json: bool) -> None:
    """Show one submission: its jobs, what happened to them, and what was recorded; asks no service.

    Example: qlam jobs show 20261123-2119
    """
    from qlam_qiskit.jobs import Ledger, show

    with Ledger() as ledger:
        [found] = show(ledger, submission)
        events = ledger.events(found.id)
    if as_json:
        shown = {key: value for key, value in found.details.items() if key not in ("placement", "metadata")}
        click.echo(json.dumps({**found.to_json(), "details": shown, "events": events}))
        return
    for label, value in _described(found, events):
        click.echo(f"{label:<10} {value}")


@jobs.command("fetch")
@click.argument("submission", metavar="[ID]", required=False)
@options.as_json
@click.pass_context
def fetch_command(context: click.Context, submission: str | None, as_json: bool) -> None:
    """Save the results that have arrived: of submission ID, or of all that are open. Sends nothing.

    May be repeated, and works from any process, also long after submitting. Exit status 1 when something
    could not be fetched.

    Example: qlam jobs fetch
    """
    from qlam_qiskit.jobs import Ledger, fetch

    with Ledger() as ledger:
        _finish(context, fetch(ledger, submission, report=_tell), as_json)


@jobs.command("resume")
@click.argument("submission", metavar="[ID]", required=False)
@click.option("--failed", is_flag=True, help="Send the failed jobs of submission ID once more too.")
@options.as_json
@click.pass_context
def resume_command(context: click.Context, submission: str | None, failed: bool, as_json: bool) -> None:
    """Go on after a crash, an outage or a refusal: with submission ID, or with all that are open.

    Asks the service which jobs it has, adopts them, cancels duplicates, sends only what is missing, and
    saves what has arrived. Exit status 1 when something is still in the way.

    Example: qlam jobs resume 20261123-2119
    """
    from qlam_qiskit.jobs import Ledger, resume

    if failed and submission is None:
        raise click.UsageError("--failed needs an ID: it may cost QPU time")
    with Ledger() as ledger:
        _finish(context, resume(ledger, submission, failed=failed, report=_tell), as_json)


@jobs.command("cancel")
@click.argument("submission", metavar="ID")
@options.as_json
@click.pass_context
def cancel_command(context: click.Context, submission: str, as_json: bool) -> None:
    """Cancel the jobs of submission ID that have not ended; results that exist already are saved.

    Example: qlam jobs cancel 20261123-2119
    """
    from qlam_qiskit.jobs import Ledger, cancel

    with Ledger() as ledger:
        _finish(context, [cancel(ledger, submission, report=_tell)], as_json)


def _finish(context: click.Context, submissions: Sequence[Submission], as_json: bool) -> None:
    """Print what was reached; exit with 1 and the reasons when something was not."""
    _print(submissions, as_json)
    problems = [problem for submission in submissions for problem in submission.problems]
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    context.exit(1 if problems else 0)


def _print(submissions: Sequence[Submission], as_json: bool) -> None:
    if as_json:
        summaries = [submission.to_json() for submission in submissions]
        click.echo(json.dumps({"submissions": summaries}))
        return
    if not submissions:
        click.echo("nothing here", err=True)
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    # An id is there to be copied: the other columns give way.
    identifier = Column("submission", no_wrap=True, min_width=max(len(submission.id) for submission in submissions))
    table = Table(
        identifier,
        Column("run", overflow="fold"),
        Column("device", overflow="fold"),
        Column("samples", justify="right", no_wrap=True),
        Column("jobs", overflow="fold"),
        Column("QPU", justify="right", no_wrap=True),
        Column("age", justify="right", no_wrap=True),
        box=None,
        pad_edge=False,
    )
    for submission in submissions:
        samples = submission.details.get("metadata", {}).get("samples")
        table.add_row(
            submission.id,
            Text(_run(submission)),
            Text(str(submission.details.get("device"))),
            "" if samples is None else f"{samples:,}",
            Text(_state(submission)),
            _qpu(submission),
            span(time.time() - submission.created),
        )
    Console(markup=False, emoji=False).print(table)


def _described(submission: Submission, events: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what a person wants to know of one submission, line by line."""
    details, metadata = submission.details, submission.details.get("metadata", {})
    yield "submission", submission.id
    yield "backend", f"{submission.backend} ({details.get('device')})"
    if metadata.get("run"):
        yield "run", str(metadata["run"])
    if metadata.get("samples"):
        shots = f", {counted(metadata['shots'], 'shot')} each" if metadata.get("shots") else ""
        yield "samples", f"{metadata['samples']:,} of the {metadata.get('part', 'test')} set{shots}"
    yield "created", f"{_time(submission.created)} ({span(time.time() - submission.created)} ago)"
    yield "jobs", f"{counted(len(submission.jobs), 'job')}: {_state(submission)}"
    planned = details.get("plan", {}).get("qpu_seconds")
    yield "QPU time", _qpu(submission) + (f" (planned: {seconds(planned)})" if planned else "")
    yield from _history(events)
    notes = [(job.number, job.state, job.message) for job in submission.jobs if job.message]
    for number, state, message in notes[:_MOST_NOTES]:
        yield f"job {number}", f"{state}: {message}"
    if len(notes) > _MOST_NOTES:
        yield (
            "",
            f"and {counted(len(notes) - _MOST_NOTES, 'more note')}; --json shows all, and everything that happened",
        )


def _history(events: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield when jobs came to each state: a line for a state, however many jobs there are."""
    moves = [event for event in events if event["source"] != event["target"]]
    for number, target in enumerate(dict.fromkeys(event["target"] for event in moves)):
        times = [event["at"] for event in moves if event["target"] == target]
        until = "" if _time(times[0]) == _time(times[-1]) else f" to {_time(times[-1])}"
        yield ("" if number else "history"), f"{_time(times[0])}{until}: {len(times)} {target}"


def _state(submission: Submission) -> str:
    states = [str(job.state) for job in submission.jobs]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _run(submission: Submission) -> str:
    run = submission.details.get("metadata", {}).get("run")
    return "" if run is None else Path(str(run)).name


def _qpu(submission: Submission) -> str:
    """Say the QPU time that the service has charged; what runs here costs none."""
    charged = [job.qpu_seconds for job in submission.jobs if job.qpu_seconds is not None]
    return seconds(sum(charged)) if charged else "-"


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _time(seconds: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
