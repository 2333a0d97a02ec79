"""Options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from qlam_qiskit.cli import completion

data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Holds a folder for each data set; looked in before QLAM_DATA, or your cache directory.",
)
backend = click.option(
    "--backend",
    metavar="NAME",
    shell_complete=completion.backend_names,
    help="Where the memory runs: a name in backends.yaml.",
)
run = click.argument("run", type=click.Path(path_type=Path), shell_complete=completion.run_names)


def _allow(context: click.Context, option: click.Parameter, factories: tuple[str, ...]) -> None:
    if not factories:
        return
    from qlam_qiskit.backends import allow_factory, withdraw_factory

    for factory in factories:
        try:
            allow_factory(factory)
        except ValueError as error:
            raise click.BadParameter(str(error), context, option) from None
        context.call_on_close(lambda factory=factory: withdraw_factory(factory))


allow_factory = click.option(
    "--allow-factory",
    multiple=True,
    metavar="MODULE:FUNCTION",
    expose_value=False,
    callback=_allow,
    help="Let this factory of a backend of kind provider run; also QLAM_ALLOW_FACTORY.",
)


def backends_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --backends and --allow-factory."""
    option = click.option(
        "--backends",
        "backends_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Backend registry; default: QLAM_BACKENDS, ./backends.yaml, or the built-in one.",
    )
    return option(allow_factory(command))


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


def on_samples(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add RUN, which of its samples are read, and on which backend."""
    for option in reversed((run, backend, backends_file, shots, part, limit, sample_seed)):
        command = option(command)
    return command


yes = click.option(
    "--yes",
    is_flag=True,
    help="Send without asking even what is over max_qpu_seconds or under min_fidelity or min_contrast.",
)
workers = click.option(
    "--workers", type=click.IntRange(1, 1024), help="Train in so many processes here, each on one thread of Dask's."
)
dask = click.option("--dask", metavar="ADDRESS", help="Train in the processes of the Dask scheduler there.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


def ask(question: str) -> bool:
    """Ask on a terminal; without one the answer is no, and nothing waits for it."""
    return on_terminal() and click.confirm(question, err=True)


def on_terminal() -> bool:
    """Whether a person can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()
