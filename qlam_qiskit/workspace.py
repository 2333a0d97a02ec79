"""Where runs are kept, ``QLAM_HOME`` or ``./runs``, and how files there are replaced without being half written."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def workspace() -> Path:
    """Return the folder of runs, which need not exist yet."""
    return Path(os.environ.get("QLAM_HOME") or "runs")


def make_private_folder(folder: Path) -> None:
    """Make ``folder`` one that only its owner can look into; raises OSError when it cannot be made.

    A folder that others need, because it holds the current or the home folder or belongs to everybody, stays as it is.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    places = (Path.cwd(), Path("~").expanduser().resolve()) if "HOME" in os.environ else (Path.cwd(),)
    needed = any(folder.resolve() in (place, *place.parents) for place in places)
    status = folder.stat()
    if status.st_mode & 0o077 and status.st_uid == os.getuid() and not status.st_mode & stat.S_ISVTX and not needed:
        folder.chmod(0o700)


def write_atomically(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Replace ``path`` by a file that is complete and on disk, whatever happens meanwhile.

    Only its owner can read it when it is ``private``.
    """
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o600 if private else 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
