"""``qlam backends``: which backends there are, what they are set to, and whether they would work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qlam_qiskit.cli import completion, options
from qlam_qiskit.cli.group import Group
from qlam_qiskit.cli.tables import print_table

if TYPE_CHECKING:
    from qlam_qiskit.backends import ExactSpec


@click.group(cls=Group)
def backends() -> None:
    """List, show and check the backends of the registry.

    Example: qlam backends list
    """


@backends.command("list")
@options.backends_file
@options.as_json
def list_command(backends_file: Path | None, as_json: bool) -> None:
    """Show the backends by name, and which is the default.

    Example: qlam backends list --backends my_backends.yaml
    """
    from qlam_qiskit.backends import load_registry

    registry = load_registry(backends_file)
    if as_json:
        entries = [_plain(spec) for spec in registry.backends.values()]
        click.echo(json.dumps({"file": str(registry.source), "default": registry.default, "backends": entries}))
        return
    rows = []
    for name, spec in registry.backends.items():
        shown = f"{name} (default)" if name == registry.default else name
        device = getattr(spec, "device", None) or getattr(spec, "noise", None) or getattr(spec, "factory", "")
        rows.append((shown, spec.kind, device, "exact" if spec.shots is None else f"{spec.shots:,}"))
    print_table(("name", "kind", "device", "shots"), rows)
    click.echo(f"from {registry.source}", err=True)


@backends.command("show")
@click.argument("name", required=False, shell_complete=completion.backend_names)
@options.backends_file
@options.as_json
def show_command(name: str | None, backends_file: Path | None, as_json: bool) -> None:
    """Show every setting of the backend NAME, defaults included; without NAME, of the default backend.

    Example: qlam backends show aer_shots
    """
    from qlam_qiskit.backends import load_registry

    spec = load_registry(backends_file).spec(name)
    settings = _plain(spec)
    if as_json:
        click.echo(json.dumps(settings))
        return
    for key, value in settings.items():
        said = ""
        if key == "max_qpu_seconds" and value is not None:
            default = "" if key in spec.model_fields_set else "by default; "
            said = f"  # {default}what is planned to take longer is not sent before you have said yes"
        click.echo(f"{key}: {json.dumps(value)}{said}")


@backends.command("check")
@click.argument("name", required=False, shell_complete=completion.backend_names)
@options.backends_file
@options.as_json
@click.pass_context
def check_command(context: click.Context, name: str | None, backends_file: Path | None, as_json: bool) -> None:
    """Say within 15 s whether the backend NAME would work and what is missing; without NAME, the default.

    For IBM Quantum that is: credentials, instance, device and usage allowance. Nothing is run there, and
    nothing is paid for. Exit status 1 when something is missing.

    Example: qlam backends check fake_torino
    """
    from qlam_qiskit.backends import check_backend, load_registry

    result = check_backend(load_registry(backends_file).spec(name), run_engine=_run_engine)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    else:
        for step in result.steps:
            click.echo(f"{'ok     ' if step.ok else 'missing'}  {step.what}: {step.detail}")
    context.exit(0 if result.ok else 1)


def _run_engine(spec: ExactSpec) -> str:
    """Turn one qubit over on the exact engine."""
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector

    from qlam_qiskit.engine import make_engine
    from qlam_qiskit.errors import BackendError
    from qlam_qiskit.memory_circuit import MemoryCircuit

    angle = ParameterVector("phi", 1)
    circuit = QuantumCircuit(1)
    circuit.rx(angle[0], 0)
    memory = MemoryCircuit(circuit, angle, ())
    engine = make_engine(memory, device=spec.device, precision=spec.precision, threads=spec.threads)
    one = float(abs(engine.statevector(np.full((1, 1, 1), np.pi), np.zeros(0))[0, 1]) ** 2)
    if abs(one - 1) > 1e-6:
        raise BackendError(f"RX(pi) on |0> gives 1 with probability {one:.6f}")
    return f"RX(pi) on |0>: 1 with probability {one:.6f}"


def _plain(spec: object) -> dict[str, object]:
    """Return an entry's settings with the name first and its device apart from it."""
    from pydantic import BaseModel

    assert isinstance(spec, BaseModel)
    settings = spec.model_dump()
    return {"name": settings.pop("name"), "kind": settings.pop("kind"), **settings}
