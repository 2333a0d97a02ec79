"""Which factories of backends may run: a registry may be a stranger's file, and a factory is any function there is."""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points

GROUP = "qlam.backends"
VARIABLE = "QLAM_ALLOW_FACTORY"

_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_allowed: dict[str, int] = {}


def allow_factory(factory: str) -> None:
    """Allow the factory ``package.module:callable`` in this process.

    Raises ValueError when it is not written like that.
    """
    if not _FACTORY.fullmatch(factory):
        raise ValueError(f"{factory!r} is not written as package.module:callable")
    _allowed[factory] = _allowed.get(factory, 0) + 1


def withdraw_factory(factory: str) -> None:
    """Take back one :func:`allow_factory`."""
    left = _allowed.pop(factory, 0) - 1
    if left > 0:
        _allowed[factory] = left


def may_run(factory: str) -> bool:
    """Tell whether a factory was allowed: in this process, by the environment, or by an installed package.

    A package allows a factory by an entry point of the group ``qlam.backends``; nothing is imported to find out.
    """
    named = re.split(r"[\s,]+", os.environ.get(VARIABLE, ""))
    return factory in _allowed or factory in named or any(entry.value == factory for entry in entry_points(group=GROUP))
