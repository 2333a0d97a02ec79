"""Packages that import a module of theirs when one of its names is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make what a package's ``__init__`` needs to give names without importing the modules that define them.

    Parameters
    ----------
    package
        ``__name__`` of the package.
    homes
        Module, below the package, to the names that it defines, with spaces between them. No name may be that of
        a module of the package, which takes its place once it is imported.

    Returns
    -------
    tuple
        The package's ``__getattr__``, ``__dir__`` and ``__all__``.
    """
    home = {name: module for module, names in homes.items() for name in names.split()}

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    def __dir__() -> list[str]:  # noqa: N807
        own = (name for name in vars(import_module(package)) if name.startswith("__"))
        return sorted({*own, *home})

    return __getattr__, __dir__, sorted(home)
