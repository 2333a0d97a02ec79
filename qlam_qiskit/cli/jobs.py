"""``qlam jobs``: what was submitted, where it stands, and getting it home."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qlam_qiskit.cli import completion, options
from qlam_qiskit.cli.group import Group
from qlam_qiskit.cli.tables import print_table
from qlam_qiskit.redaction import one_line
from qlam_qiskit.words import counted, seconds, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qlam_qiskit.jobs import DamagedRowError, Event, Submission


_MOST_NOTES = 5


@click.group(cls=Group)
def jobs() -> None:
    """List, fetch, resume and cancel submitted jobs.

    Jobs are recorded in ledger.sqlite under QLAM_HOME, or ./runs. An ID may be shortened to its beginning.

    Example: qlam jobs list
    """


@jobs.command("list")
@options.as_json
@click.pass_context
def list_command(context: click.Context, as_json: bool) -> None:
    """List every submission and how far it is; asks no service. Exit status 1 when a row of the ledger is damaged.

    Example: qlam jobs list
    """
    from qlam_qiskit.jobs import Ledger, show

    damaged: list[DamagedRowError] = []
    with Ledger() as ledger:
        _finish(context, show(ledger, damaged=damaged), as_json, [str(error) for error in damaged])


@jobs.command("show")
@click.argument("submission", metavar="ID", shell_complete=completion.submission_ids)
@options.as_json
@click.pass_context
def show_command(context: click.Context, submission: str, as_json: bool) -> None:
    """Show one submission: its jobs, what happened to them, and what was recorded; asks no service.

    Example: qlam jobs show 20261123-2119
    """
    from qlam_qiskit.jobs import Ledger, show

    damaged: list[DamagedRowError] = []
    with Ledger() as ledger:
        [found] = show(ledger, submission)
        events = ledger.events(found.id, damaged)
    lines = [*found.damaged, *(str(error) for error in damaged)]
    if as_json:
        shown = {key: value for key, value in found.details.items() if key not in ("placement", "metadata")}
        entries = [event.to_json() for event in events]
        click.echo(json.dumps({**found.to_json(), "problems": lines, "details": shown, "events": entries}))
    else:
        for label, value in _described(found, events):
            click.echo(f"{label:<10} {one_line(value)}")
    _leave(context, lines)


@jobs.command("fetch")
@click.argument("submission", metavar="[ID]", required=False, shell_complete=completion.submission_ids)
@options.allow_factory
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
@click.argument("submission", metavar="[ID]", required=False, shell_complete=completion.submission_ids)
@click.option("--failed", is_flag=True, help="Send the failed jobs of submission ID once more too.")
@click.option(
    "--send-again",
    is_flag=True,
    help="Send the jobs of submission ID once more of which it is unknown whether they were accepted: they may be paid "
    "for twice.",
)
@options.allow_factory
@options.as_json
@click.pass_context
def resume_command(
    context: click.Context, submission: str | None, failed: bool, send_again: bool, as_json: bool
) -> None:
    """Go on after a crash, an outage or a refusal: with submission ID, or with all that are open.

    Asks the service which jobs it has, adopts them, cancels duplicates, sends only what is missing, and
    saves what has arrived. Exit status 1 when something is still in the way.

    A job that was sent and whose answer was lost may have been accepted: it is looked for, and sent again only with
    --send-again.

    Example: qlam jobs resume 20261123-2119
    """
    from qlam_qiskit.jobs import Ledger, resume

    for given, name in ((failed, "--failed"), (send_again, "--send-again")):
        if given and submission is None:
            raise click.UsageError(f"{name} needs an ID: it may cost QPU time")
    with Ledger() as ledger:
        done = resume(ledger, submission, failed=failed, send_again=send_again, report=_tell)
        _finish(context, done, as_json)


@jobs.command("cancel")
@click.argument("submission", metavar="ID", shell_complete=completion.submission_ids)
@options.allow_factory
@options.as_json
@click.pass_context
def cancel_command(context: click.Context, submission: str, as_json: bool) -> None:
    """Cancel the jobs of submission ID that have not ended; results that exist already are saved.

    Example: qlam jobs cancel 20261123-2119
    """
    from qlam_qiskit.jobs import Ledger, cancel

    with Ledger() as ledger:
        _finish(context, [cancel(ledger, submission, report=_tell)], as_json)


def _finish(
    context: click.Context, submissions: Sequence[Submission], as_json: bool, problems: Sequence[str] = ()
) -> None:
    """Print what was reached; exit with 1 and the reasons when something was not."""
    _print(submissions, as_json, problems)
    found = [line for submission in submissions for line in (*submission.problems, *submission.damaged)]
    _leave(context, [*problems, *found])


def _leave(context: click.Context, problems: Sequence[str]) -> None:
    for problem in problems:
        click.echo(f"error: {one_line(problem)}", err=True)
    context.exit(1 if problems else 0)


def _print(submissions: Sequence[Submission], as_json: bool, problems: Sequence[str] = ()) -> None:
    if as_json:
        summaries = [submission.to_json() for submission in submissions]
        click.echo(json.dumps({"submissions": summaries, **({"problems": list(problems)} if problems else {})}))
        return
    if not submissions:
        click.echo("nothing here", err=True)
        return
    from rich.table import Column

    # An id is there to be copied: the other columns give way.
    identifier = Column("submission", no_wrap=True, min_width=max(len(submission.id) for submission in submissions))
    columns = (
        identifier,
        Column("run", overflow="fold"),
        Column("device", overflow="fold"),
        Column("samples", justify="right", no_wrap=True),
        Column("jobs", overflow="fold"),
        Column("QPU", justify="right", no_wrap=True),
        Column("age", justify="right", no_wrap=True),
    )
    rows = []
    for submission in submissions:
        samples = _metadata(submission).get("samples")
        rows.append(
            (
                submission.id,
                _run(submission),
                submission.details.get("device"),
                f"{samples:,}" if isinstance(samples, int) else "",
                _state(submission),
                _qpu(submission),
                span(time.time() - submission.created),
            )
        )
    print_table(columns, rows)
    for submission in submissions:
        for line in _duplicates(submission):
            click.echo(line)


def _duplicates(submission: Submission) -> Iterator[str]:
    """Yield a line for every other job at the service that was sent for one of these."""
    for other in submission.duplicates:
        charged = "an unknown QPU time" if other.qpu_seconds is None else f"{seconds(other.qpu_seconds)} of QPU time"
        yield f"duplicate of job {one_line(other.job)}: {other.remote_id}, {other.state}, {charged}, not used"


def _metadata(submission: Submission) -> dict[str, Any]:
    metadata = submission.details.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _described(submission: Submission, events: Sequence[Event]) -> Iterator[tuple[str, str]]:
    """Yield what a person wants to know of one submission, line by line."""
    details, metadata = submission.details, _metadata(submission)
    yield "submission", submission.id
    yield "backend", f"{submission.backend} ({details.get('device')})"
    if metadata.get("run"):
        yield "run", str(metadata["run"])
    if isinstance(metadata.get("samples"), int):
        shots = f", {counted(metadata['shots'], 'shot')} each" if isinstance(metadata.get("shots"), int) else ""
        yield "samples", f"{metadata['samples']:,} of the {metadata.get('part', 'test')} set{shots}"
    yield "created", f"{_time(submission.created)} ({span(time.time() - submission.created)} ago)"
    yield "jobs", f"{counted(len(submission.jobs), 'job')}: {_state(submission)}"
    plan = details.get("plan")
    planned = plan.get("qpu_seconds") if isinstance(plan, dict) else None
    known = isinstance(planned, int | float) and 0 < planned < float("inf")
    yield "QPU time", _qpu(submission) + (f" (planned: {seconds(planned)})" if known else "")
    yield from (("", line) for line in _duplicates(submission))
    yield from _history(events)
    notes = [(job.number, job.state, job.message) for job in submission.jobs if job.message]
    for number, state, message in notes[:_MOST_NOTES]:
        yield f"job {number}", f"{state}: {message}"
    if len(notes) > _MOST_NOTES:
        yield (
            "",
            f"and {counted(len(notes) - _MOST_NOTES, 'more note')}; --json shows all, and everything that happened",
        )


def _history(events: Sequence[Event]) -> Iterator[tuple[str, str]]:
    """Yield when jobs came to each state: a line for a state, however many jobs there are."""
    moves = [event for event in events if event.source != event.target]
    for number, target in enumerate(dict.fromkeys(event.target for event in moves)):
        times = [event.at for event in moves if event.target == target]
        until = "" if _time(times[0]) == _time(times[-1]) else f" to {_time(times[-1])}"
        yield ("" if number else "history"), f"{_time(times[0])}{until}: {len(times)} {target}"


def _state(submission: Submission) -> str:
    states = [str(job.state) for job in submission.jobs]
    tally = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return ", ".join([*tally, *([f"{len(submission.damaged)} damaged"] if submission.damaged else [])])


def _run(submission: Submission) -> str:
    run = _metadata(submission).get("run")
    return "" if run is None else Path(str(run)).name


def _qpu(submission: Submission) -> str:
    """Say the QPU time that was charged, and for duplicates on top of it; what runs here costs none."""
    charged = [job.qpu_seconds for job in submission.jobs if job.qpu_seconds is not None]
    text = seconds(sum(charged)) if charged else "-"
    if not submission.duplicates:
        return text
    more = " or more" if any(other.qpu_seconds is None for other in submission.duplicates) else ""
    return f"{text} + {seconds(submission.duplicate_qpu_seconds)}{more}"


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _time(seconds: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
