"""One case: the files of a folder, changes of its ledger, and the command that reads them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """A case.

    Attributes
    ----------
    kind
        What is fuzzed, for the counts.
    arguments
        Of ``qlam``; where the first begins with ``@``, a reader that no cheap command leads to (see ``reading``).
    files
        Path in the case's folder -> content.
    cells
        (table, column, value) to be set in a ledger of one submission; None makes no ledger.
    """

    kind: str
    arguments: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    cells: tuple[tuple[str, str, Any], ...] | None = None

    def to_json(self) -> str:
        """Write the case as one line."""
        files = {name: base64.b64encode(content).decode() for name, content in self.files.items()}
        cells = None if self.cells is None else [[table, column, _packed(value)] for table, column, value in self.cells]
        return json.dumps({"kind": self.kind, "arguments": self.arguments, "files": files, "cells": cells})

    @classmethod
    def from_json(cls, text: str) -> Case:
        """Read a case."""
        values = json.loads(text)
        files = {name: base64.b64decode(content) for name, content in values["files"].items()}
        cells = values["cells"]
        if cells is not None:
            cells = tuple((table, column, _unpacked(value)) for table, column, value in cells)
        return cls(values["kind"], tuple(values["arguments"]), files, cells)


def _packed(value: Any) -> Any:
    return {"blob": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _unpacked(value: Any) -> Any:
    return base64.b64decode(value["blob"]) if isinstance(value, dict) else value
