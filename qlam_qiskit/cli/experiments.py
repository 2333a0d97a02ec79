"""``qlam experiments``: which experiments there are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli.group import Group
from qlam_qiskit.cli.options import as_json
from qlam_qiskit.cli.tables import print_table
from qlam_qiskit.errors import ConfigurationError


@click.group(cls=Group)
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
    from qlam_qiskit.runs import find_experiments

    rows = [
        {"name": name, "description": _description(path), "file": str(path)}
        for name, path in sorted(find_experiments().items())
    ]
    if as_json:
        click.echo(json.dumps({"experiments": rows}))
        return
    print_table(("name", "description"), [(row["name"], row["description"]) for row in rows])


def _description(path: Path) -> str:
    """Read an experiment's description; a file that cannot be read does not keep the others from being listed."""
    from qlam_qiskit.configuration import read_yaml

    try:
        return str(read_yaml(path).get("description", ""))
    except ConfigurationError:
        return "(cannot be read)"
