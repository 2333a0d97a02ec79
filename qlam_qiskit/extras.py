"""Libraries that only some work needs: each belongs to an extra of this package, which a message names."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from qlam_qiskit.errors import ConfigurationError

_OF_FIGURES = ("matplotlib", "pylatexenc")


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a library; raises ConfigurationError, which says how to install it, where it is missing.

    Parameters
    ----------
    module
        What to import, such as "optuna".
    extra
        The extra of qlam-qiskit that it belongs to.
    purpose
        What needs it, for the message: "a search".
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise _missing(purpose, module, extra) from None


def require_figures() -> None:
    """Import what figures are drawn with; raises ConfigurationError as :func:`require` does."""
    for module in _OF_FIGURES:
        require(module, "plot", "a figure")


def missing_extra(error: ModuleNotFoundError) -> ConfigurationError | None:
    """Say which extra brings a library that a figure needs; None where the library is another."""
    module = (error.name or "").partition(".")[0]
    return _missing("a figure", module, "plot") if module in _OF_FIGURES else None


def _missing(purpose: str, module: str, extra: str) -> ConfigurationError:
    return ConfigurationError(f"{purpose} needs {module}, which is not installed: pip install 'qlam-qiskit[{extra}]'")
