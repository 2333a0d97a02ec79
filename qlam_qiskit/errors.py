"""The errors a user can cause, each with a message of one line.

The command line prints the message and leaves with the error's ``exit_status``; anything that is not a
``QlamError`` is a defect of this package and keeps its traceback.
"""

from typing import Any

from qlam_qiskit.redaction import hide

_LONGEST = 2000


def kind_and_reason(error: BaseException) -> str:
    """Say in one line what another library or a user's own code raised: ``ValueError: no such thing``."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200] or 'no reason given'}"


class QlamError(Exception):
    """The work failed for a reason the user can act on; exit status 1.

    Its text is one line without credentials, whatever names and values it quotes: what cannot be printed is written as
    an escape.
    """

    exit_status = 1

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*(hide(value) if isinstance(value, str) else value for value in arguments))

    def __str__(self) -> str:
        """Return the message as one line."""
        text = super().__str__()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class Interrupted(QlamError):
    """The work was asked to stop, and saved its state."""


class ConfigurationError(QlamError):
    """What was asked for is not valid: an unknown key, a wrong type, a name that does not exist; exit status 2."""

    exit_status = 2


class CircuitError(QlamError):
    """A circuit template cannot be used: an unsupported instruction, or parameters that do not fit."""


class DataError(QlamError):
    """A data set is missing, damaged, empty, or holds values that are not finite."""


class RunError(QlamError):
    """A run folder is missing, damaged, or belongs to another model."""


class BusyError(RunError):
    """Another process is training the run."""


class PlanningError(QlamError):
    """Circuits cannot be planned for a device: they do not fit it, its calibration, or the service's limits."""


class BackendError(QlamError):
    """A backend could not do what was asked of it."""
