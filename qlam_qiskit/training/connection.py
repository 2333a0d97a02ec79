"""Turns a lost connection between ranks into one line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from qlam_qiskit.errors import QlamError


@contextmanager
def connection() -> Iterator[None]:
    """Turn the errors of torch.distributed into one line; only a lost process or network causes them here."""
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"\[/\S+\] ", "", " ".join(str(error).split())).split(". ")[0]
        rank = os.environ["RANK"]
        raise QlamError(f"rank {rank} lost the connection to another, which may have failed first: {reason}") from None
