"""Groups of commands: they say which command was probably meant, and print through the one door."""

from __future__ import annotations

from typing import Any

import click

from qlam_qiskit.cli.door import through_the_door
from qlam_qiskit.redaction import plain
from qlam_qiskit.suggestions import did_you_mean


class Group(click.Group):
    """A group of commands of ``qlam``."""

    def main(self, *arguments: Any, **keywords: Any) -> Any:
        """Run a command line; everything that it prints passes the door."""
        with through_the_door():
            return super().main(*arguments, **keywords)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; where there is none of its name, say which was probably meant."""
        name = arguments[0]
        if self.get_command(context, name) is None and not name.startswith("-"):
            near = did_you_mean(name, self.list_commands(context)).removeprefix("; d")
            suggestion = f" D{near}" if near else f" There are: {', '.join(self.list_commands(context))}."
            context.fail(f"No such command {plain(name)!r}.{suggestion}")
        return super().resolve_command(context, arguments)
