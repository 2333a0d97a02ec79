"""``qlam circuits``: the memory circuits, drawn, exported, and as the exact engine runs them."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qlam_qiskit.cli import completion
from qlam_qiskit.cli.group import Group
from qlam_qiskit.cli.options import as_json
from qlam_qiskit.cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from qlam_qiskit.engine import PlanDescription
    from qlam_qiskit.memory_circuit import MemoryCircuit

_template = click.argument("name", shell_complete=completion.circuit_names)
_qubits = click.option("--qubits", type=click.IntRange(1, 100), default=4, show_default=True, help="Qubits n.")
_options = click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the template.")
_path = click.option(
    "--path", type=click.Path(exists=True, path_type=Path), help="A template file, or a folder of them."
)


@click.group(cls=Group)
def circuits() -> None:
    """List, draw and export memory circuits, and see what the exact engine makes of them.

    Example: qlam circuits draw ring
    """


@circuits.command("list")
@_path
@as_json
def list_command(path: Path | None, as_json: bool) -> None:
    """Show the templates: those installed, those in ./circuits, and those at --path.

    Example: qlam circuits list
    """
    from qlam_qiskit.templates import find_templates

    found = find_templates(path)
    if as_json:
        rows = [{"name": t.name, "summary": t.summary, "file": str(t.path)} for t in found.values()]
        click.echo(json.dumps({"circuits": rows}))
        return
    print_table(("name", "summary"), [(template.name, template.summary) for template in found.values()])


@circuits.command("draw")
@_template
@_qubits
@_options
@_path
@click.option("--steps", type=click.IntRange(1, 100), default=1, show_default=True, help="Steps to draw.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a PNG, SVG or PDF instead.")
def draw_command(
    name: str, qubits: int, options: tuple[str, ...], path: Path | None, steps: int, out: Path | None
) -> None:
    """Draw the template NAME, as text or as a picture.

    Example: qlam circuits draw line --qubits 4 --out line.png
    """
    from qlam_qiskit.errors import ConfigurationError

    memory = _load(name, qubits, options, path)
    if out is None:
        circuit = memory.update if steps == 1 else memory.unroll(steps, query=False)
        click.echo(str(circuit.draw("text", fold=110)))
        return
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise ConfigurationError(f"--out {out}: the name must end in .png, .svg or .pdf")
    import matplotlib as mpl

    mpl.use("Agg")
    from qlam_qiskit.report import as_file, draw_circuit

    _write(out, as_file(draw_circuit(memory, steps), out.suffix[1:]))
    click.echo(str(out))


@circuits.command("export")
@_template
@_qubits
@_options
@_path
@click.option("--steps", type=click.IntRange(1, 4096), default=1, show_default=True, help="Steps of the sequence.")
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


@circuits.command("plan")
@_template
@click.option("--qubits", type=click.IntRange(1, 16), default=4, show_default=True, help="Qubits n.")
@_options
@_path
@as_json
def plan_command(name: str, qubits: int, options: tuple[str, ...], path: Path | None, as_json: bool) -> None:
    """Show what the exact engine fuses the gates of template NAME into, and the arithmetic that is left.

    Example: qlam circuits plan ring --qubits 6
    """
    from qlam_qiskit.engine import describe, describe_open

    memory = _load(name, qubits, options, path)
    if memory.is_open:
        update, query = describe_open(memory)
    else:
        update = describe(memory.update, memory.inputs, memory.weights)
        query = describe(memory.query, memory.query_angles, ())
    if as_json:
        plans = {"update": _as_dict(update), "query": _as_dict(query)}
        block = {"lanes": update.lanes, "state_kib": update.state_kib}
        click.echo(json.dumps({"circuit": name, "qubits": qubits, **block, **plans}))
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    engine = "open" if memory.is_open else "exact"
    console.print(f"{name} on {_count(qubits, 'qubit')}, as the {engine} engine runs it")
    _print_plan(console, "One step", update)
    _print_plan(console, "One query", query)
    (_explain_open if memory.is_open else _explain)(console, update)


def _explain(console: Console, update: PlanDescription) -> None:
    from qlam_qiskit.engine import cache_level

    forward, backward = update.state_kib, 2 * update.state_kib
    console.print(
        f"\nThe states of {update.lanes} samples side by side, in single precision, take {forward} KiB forward "
        f"(psi; suits {cache_level(forward)}) and {backward} KiB backward (psi and lambda; {cache_level(backward)})."
    )
    console.print(
        "\noperation: a rotation of one qubit, all phases that apply together, or a permutation of the amplitudes"
        "\nforward, backward: multiply-adds of one sample in one step, or in one query (made when the memory is read)"
        "\nper sample: angles that depend on inputs; shared: on weights alone, so the same for all samples and steps"
        "\nZ string: the phase exp(-i angle/2 Z...Z) on some qubits. Shared ones are one table of 2^n factors; those "
        "per sample within a half of the register are a table for each half; others run one by one"
    )


def _explain_open(console: Console, update: PlanDescription) -> None:
    from qlam_qiskit.engine import cache_level

    state = update.state_kib
    console.print(
        f"\nThe state of {update.lanes} samples side by side, in single precision, takes {state} KiB "
        f"({cache_level(2 * state)}, with its adjoint). Backward, every segment of steps is run once more."
    )
    console.print(
        "\nturn: exp(-i angle/2 P) for a Pauli string P turns half of the 4^n numbers tr(P rho) in pairs"
        "\ndamp: x, y, z of one qubit become a x, b y, c z + d; matrix: any other channel, gate, or gadget on ancillas"
        "\nforward, backward: multiply-adds of one sample in one step, or in one query (made when the memory is read)"
        "\nper sample: angles that depend on inputs; shared: on weights alone, so the same for all samples and steps"
    )


def _as_dict(plan: PlanDescription) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(plan), "forward": plan.forward, "backward": plan.backward}


def _print_plan(console: Console, title: str, plan: PlanDescription) -> None:
    from rich.table import Table

    console.print(f"\n{title}: {_gates(plan.gates)} become {_count(plan.operations, 'operation')}")
    table = Table("operation", "", "angles", "from", box=None, pad_edge=False)
    table.add_column("forward", justify="right")
    table.add_column("backward", justify="right")
    for line in plan.lines:
        gates = ", ".join(f"{count} {name}" for name, count in line.gates.items())
        table.add_row(line.kind, line.what, line.angles, gates, f"{line.forward:,}", f"{line.backward:,}")
    table.add_row("total", "", "", "", f"{plan.forward:,}", f"{plan.backward:,}")
    console.print(table)
    if plan.absorbed:
        console.print(f"Of {_gates(plan.absorbed)} no operation is left.")
    console.print(f"Also computed: cosine and sine of {_count(plan.angles, 'angle')} per sample.")


def _gates(gates: dict[str, int]) -> str:
    listed = ", ".join(f"{count} {name}" for name, count in gates.items())
    return f"{_count(sum(gates.values()), 'gate')} ({listed})"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _load(name: str, qubits: int, options: tuple[str, ...], path: Path | None) -> MemoryCircuit:
    from qlam_qiskit.configuration import override
    from qlam_qiskit.templates import load_template

    return load_template(name, qubits, override({}, options, "--option"), path)


def _write(path: Path, content: bytes | str) -> None:
    from qlam_qiskit.workspace import write_file

    write_file(path, content)
