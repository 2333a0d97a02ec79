"""``qlam experiments``: which experiments there are."""

from __future__ import annotations

import json

import click

from qlam_qiskit.cli.options import as_json


@click.group()
def experiments() -> None:
    """List experiments.

    Example: qlam experiments list
    """


@experiments.command("list")
@as_json
def list_command(as_json: bool) -> None:
    """Show the experiments that ship with the package and those in ./experiments.

    Example: qlam experiments list
    """
    from qlam_qiskit.configuration import read_yaml
    from qlam_qiskit.runs.experiments import find_experiments

    rows = [
        {"name": name, "description": str(read_yaml(path).get("description", "")), "file": str(path)}
        for name, path in sorted(find_experiments().items())
    ]
    if as_json:
        click.echo(json.dumps({"experiments": rows}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "description", box=None)
    for row in rows:
        table.add_row(row["name"], row["description"])
    Console(markup=False, emoji=False).print(table)
