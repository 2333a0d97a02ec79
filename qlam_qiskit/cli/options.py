"""Options that several commands share."""

from __future__ import annotations

import sys
from pathlib import Path

import click

data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Holds a folder for each data set; default: QLAM_DATA, or your cache directory.",
)
backend = click.option("--backend", metavar="NAME", help="Where the memory runs: a name in backends.yaml.")
backends_file = click.option(
    "--backends",
    "backends_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Backend registry; default: QLAM_BACKENDS, ./backends.yaml, or the built-in one.",
)
shots = click.option("--shots", type=click.IntRange(1, 10_000_000), help="Shots of each circuit execution.")
limit = click.option("--limit", type=click.IntRange(1), help="Take the first N samples only.")
part = click.option(
    "--part",
    type=click.Choice(["test", "validation", "train"]),
    default="test",
    show_default=True,
    help="Of which samples: the test set, or those that the run chose its epoch by, or was trained on.",
)
sample_seed = click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Fixes the shots of a simulator; default: the run's seed."
)
yes = click.option(
    "--yes", is_flag=True, help="Send without asking even what is over max_qpu_seconds or under min_fidelity."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


def ask(question: str) -> bool:
    """Ask on a terminal; without one the answer is no, and nothing waits for it."""
    return on_terminal() and click.confirm(question, err=True)


def on_terminal() -> bool:
    """Whether a person can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()
