"""The one door through which the command line's output leaves: no credential, no terminal's escape sequence passes.

Standard output and standard error are wrapped, so that whatever is printed by whomever passes here: lines of commands,
warnings, tracebacks of any thread, rich's tables. Log records are cleaned when they are made, because a handler may
write them to a file.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from qlam_qiskit.redaction import hide, plain


class Door:
    """A text stream that passes on what is written to it, without credentials and control sequences.

    Rich writes control sequences of its own, and asks a stream for ``rich_proxied_file`` to write to instead: that is
    a door that lets them pass.
    """

    def __init__(self, stream: TextIO, *, styled: bool = False) -> None:
        self._stream = stream
        self._styled = styled

    def write(self, text: str) -> int:
        """Write; the length of what was given is returned, as of any stream."""
        if not isinstance(text, str):
            return self._stream.write(text)  # which says what it thinks of that
        shown = hide(text)
        self._stream.write(shown if self._styled else plain(shown))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts as one."""
        self.write("".join(lines))

    @property
    def rich_proxied_file(self) -> Door:
        """The same stream for rich."""
        return Door(self._stream, styled=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def open_door() -> None:
    """Have standard output, standard error and all log records pass from now on, until the process ends.

    A stream that was closed when the process began is None, and stays it.
    """
    if sys.stdout is not None and not isinstance(sys.stdout, Door):
        sys.stdout = Door(sys.stdout)
    if sys.stderr is not None and not isinstance(sys.stderr, Door):
        sys.stderr = Door(sys.stderr)
    factory = logging.getLogRecordFactory()
    if not getattr(factory, "redacts", False):
        logging.setLogRecordFactory(_redacting(factory))


@contextmanager
def through_the_door() -> Iterator[None]:
    """Open the door for a while; within another it changes nothing."""
    streams, factory = (sys.stdout, sys.stderr), logging.getLogRecordFactory()
    open_door()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        logging.setLogRecordFactory(factory)


def _redacting(factory: Any) -> Any:
    def make(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = factory(*arguments, **keywords)
        try:
            record.msg, record.args = hide(record.getMessage()), None
        except Exception as error:  # logging would print the arguments with its complaint
            record.msg, record.args = f"a log record that cannot be formatted ({type(error).__name__})", None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = hide(logging.Formatter().formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = hide(record.stack_info)
        return record

    make.redacts = True
    return make
