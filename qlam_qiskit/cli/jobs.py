"""``qlam jobs``: what was submitted, where it stands, and getting it home."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qlam_qiskit.cli import completion, options
from qlam_qiskit.cli.group import Group
from qlam_qiskit.cli.tables import Parts, print_described, print_table
from qlam_qiskit.redaction import one_line
from qlam_qiskit.words import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlam_qiskit.jobs import DamagedRowError, Submission


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
    from qlam_qiskit.jobs import Ledger, described_submission, show

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
        print_described(described_submission(found, events), 11)
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

    from qlam_qiskit.jobs import charged_for, duplicates_of, metadata_of, state_of

    charges = [charged_for(submission) for submission in submissions]
    charged = any(charge != "-" for charge in charges)
    # An id is there to be copied: the other columns give way.
    identifier = Column("submission", no_wrap=True, min_width=max(len(submission.id) for submission in submissions))
    columns = (
        identifier,
        *(Column(title, overflow="fold") for title in ("run", "device")),
        Column("samples", justify="right", no_wrap=True),
        Column("jobs", overflow="fold"),
        *([Column("QPU", justify="right", no_wrap=True)] if charged else []),
        Column("age", justify="right", no_wrap=True),
    )
    rows = []
    for submission, charge in zip(submissions, charges, strict=True):
        samples = metadata_of(submission).get("samples")
        rows.append(
            (
                submission.id,
                Parts.of_name(_run(submission)),
                Parts.of_name(_device(submission)),
                f"{samples:,}" if isinstance(samples, int) else "",
                Parts(re.findall(r"[^,]+(?:, )?", state_of(submission))),
                *([charge] if charged else []),
                span(time.time() - submission.created),
            )
        )
    print_table(columns, rows)
    for submission in submissions:
        for line in duplicates_of(submission):
            click.echo(line)


def _run(submission: Submission) -> str:
    from qlam_qiskit.jobs import metadata_of

    run = metadata_of(submission).get("run")
    return "" if run is None else Path(str(run)).name


def _device(submission: Submission) -> str:
    """Name the device; of one that Aer simulates, which ``qlam jobs show`` says, the device alone."""
    return str(submission.details.get("device")).removeprefix("aer(").removesuffix(")")


def _tell(line: str) -> None:
    click.echo(line, err=True)
