"""Where runs are kept, ``QLAM_HOME`` or ``./runs``, and how files there are replaced without being half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def workspace() -> Path:
    """Return the folder of runs, which need not exist yet."""
    return Path(os.environ.get("QLAM_HOME") or "runs")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace ``path`` by a file that is complete and on disk, whatever happens meanwhile."""
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
