"""``qlam data``: which data sets there are, and downloading them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli import options


@click.group()
def data() -> None:
    """List and download data sets.

    Example: qlam data list
    """


@data.command("list")
@options.data_dir
@options.as_json
def list_command(data_dir: Path | None, as_json: bool) -> None:
    """Show the data sets, their sizes, and which are there.

    Example: qlam data list --data-dir ~/data
    """
    from dataclasses import asdict

    from qlam_qiskit.data import list_datasets

    datasets = list_datasets(data_dir)
    if as_json:
        click.echo(json.dumps({"datasets": [asdict(info) for info in datasets]}))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("name", "what", "train", "test", Column("where", overflow="fold"), box=None)
    for info in datasets:
        sizes = ("" if count is None else f"{count:,}" for count in (info.train, info.test))
        table.add_row(info.name, info.description, *sizes, info.problem or info.location)
    Console(markup=False, emoji=False).print(table)


@data.command("fetch")
@click.argument("name")
@options.data_dir
@options.as_json
def fetch_command(name: str, data_dir: Path | None, as_json: bool) -> None:
    """Download and check the data set NAME (mnist, fashion_mnist or cifar10); sound files stay as they are.

    Example: qlam data fetch mnist --data-dir ~/data
    """
    from qlam_qiskit.data import fetch_dataset

    fetched = fetch_dataset(name, data_dir)
    if as_json:
        report = {
            "name": name,
            "folder": str(fetched.folder),
            "downloaded": fetched.downloaded,
            "kept": fetched.kept,
        }
        click.echo(json.dumps(report))
        return
    click.echo(f"{fetched.folder}: {len(fetched.downloaded)} files downloaded, {len(fetched.kept)} already there")
