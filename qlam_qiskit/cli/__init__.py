"""The command line ``qlam``: one module for each command or group, imported when it is asked for."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from qlam_qiskit import __version__
from qlam_qiskit.cli.door import open_door
from qlam_qiskit.cli.group import Group
from qlam_qiskit.errors import QlamError
from qlam_qiskit.extras import missing_extra
from qlam_qiskit.redaction import one_line

# Command -> where it is defined.
_COMMANDS = {
    "train": "train:train_command",
    "search": "search:search_command",
    "evaluate": "evaluate:evaluate_command",
    "estimate": "estimate:estimate_command",
    "submit": "submit:submit_command",
    "refit": "refit:refit_command",
    "jobs": "jobs:jobs",
    "runs": "runs:runs",
    "report": "report:report_command",
    "plot": "plot:plot_command",
    "compare": "compare:compare_command",
    "experiments": "experiments:experiments",
    "circuits": "circuits:circuits",
    "backends": "backends:backends",
    "data": "data:data",
    "bench": "bench:bench_command",
}


class _LazyGroup(Group):
    """A group whose commands are imported one by one, and none to say which there are."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[name].split(":")
        return getattr(import_module(f"qlam_qiskit.cli.{module}"), attribute)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qlam")
def qlam() -> None:
    """Train quantum memories, evaluate them on simulators and quantum hardware, look inside.

    Example: qlam train digits
    """


def main() -> None:
    """Run the command line; a failure the user can act on is one line on stderr and exit status 1 or 2."""
    # torch's idle threads would otherwise spin on the cores that the engine's threads compute on.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    open_door()
    try:
        qlam(prog_name="qlam")
    except QlamError as error:
        click.echo(f"Error: {one_line(error)}", err=True)
        sys.exit(error.exit_status)
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        click.echo(f"Error: {missing}", err=True)
        sys.exit(missing.exit_status)
    except Exception as error:
        # The service's client asks the service at unexpected places too; its errors are no defects of this package.
        if not _from_client(error):
            raise
        from qlam_qiskit.jobs import explain

        click.echo(f"Error: IBM Quantum: {one_line(explain(error).message)}", err=True)
        sys.exit(1)


def _from_client(error: Exception) -> bool:
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(modules & {"qiskit_ibm_runtime", "requests", "urllib3", "ibm_cloud_sdk_core"})
