"""``qlam circuits``: the memory circuits, drawn and exported."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qlam_qiskit.cli.options import as_json

if TYPE_CHECKING:
    from qlam_qiskit.template import MemoryCircuit

_template = click.argument("name")
_qubits = click.option("--qubits", type=click.IntRange(1), default=4, show_default=True, help="Qubits n.")
_options = click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the template.")
_path = click.option(
    "--path", type=click.Path(exists=True, path_type=Path), help="A template file, or a folder of them."
)


@click.group()
def circuits() -> None:
    """List, draw and export memory circuits.

    Example: qlam circuits draw ring
    """


@circuits.command("list")
@_path
@as_json
def list_command(path: Path | None, as_json: bool) -> None:
    """Show the templates: those installed, those in ./circuits, and those at --path.

    Example: qlam circuits list
    """
    from qlam_qiskit.discovery import find_templates

    found = find_templates(path)
    if as_json:
        rows = [{"name": t.name, "summary": t.summary, "file": str(t.path)} for t in found.values()]
        click.echo(json.dumps({"circuits": rows}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "summary", box=None)
    for template in found.values():
        table.add_row(template.name, template.summary)
    Console().print(table)


@circuits.command("draw")
@_template
@_qubits
@_options
@_path
@click.option("--steps", type=click.IntRange(1), default=1, show_default=True, help="Steps to draw.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a PNG, SVG or PDF instead.")
def draw_command(
    name: str, qubits: int, options: tuple[str, ...], path: Path | None, steps: int, out: Path | None
) -> None:
    """Draw the template NAME, as text or as a picture.

    Example: qlam circuits draw line --qubits 4 --out line.png
    """
    from qlam_qiskit.errors import ConfigurationError

    memory = _load(name, qubits, options, path)
    circuit = memory.update if steps == 1 else memory.unroll(steps, query=False)
    if out is None:
        click.echo(str(circuit.draw("text", fold=110)))
        return
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise ConfigurationError(f"--out {out}: the name must end in .png, .svg or .pdf")
    import matplotlib as mpl

    mpl.use("Agg")
    picture = BytesIO()
    circuit.draw("mpl", style="clifford").savefig(picture, format=out.suffix[1:], bbox_inches="tight", dpi=150)
    _write(out, picture.getvalue())
    click.echo(str(out))


@circuits.command("export")
@_template
@_qubits
@_options
@_path
@click.option("--steps", type=click.IntRange(1), default=1, show_default=True, help="Steps of the sequence.")
@click.option("--format", "kind", type=click.Choice(["qpy", "qasm3"]), default="qasm3", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file; QPY needs one.")
def export_command(
    name: str,
    qubits: int,
    options: tuple[str, ...],
    path: Path | None,
    steps: int,
    kind: str,
    out: Path | None,
) -> None:
    """Export the sequence circuit of template NAME, angles left free, with its query rotation.

    Example: qlam circuits export ring --steps 28 --format qpy --out ring.qpy
    """
    from qlam_qiskit.errors import ConfigurationError

    circuit = _load(name, qubits, options, path).unroll(steps)
    if kind == "qpy":
        from qiskit import qpy

        if out is None:
            raise ConfigurationError("--format qpy is binary: name a file with --out")
        binary = BytesIO()
        qpy.dump(circuit, binary)
        _write(out, binary.getvalue())
        click.echo(str(out))
        return
    from qiskit import qasm3

    text = qasm3.dumps(circuit)
    if out is None:
        click.echo(text)
    else:
        _write(out, text)
        click.echo(str(out))


def _load(name: str, qubits: int, options: tuple[str, ...], path: Path | None) -> MemoryCircuit:
    from qlam_qiskit.configuration import override
    from qlam_qiskit.discovery import load_template

    return load_template(name, qubits, override({}, options, "--option"), path)


def _write(path: Path, content: bytes | str) -> None:
    from qlam_qiskit.errors import QlamError
    from qlam_qiskit.workspace import write_atomically

    try:
        write_atomically(path, content)
    except OSError as error:
        raise QlamError(f"{path}: cannot be written: {error.strerror or error}") from None
