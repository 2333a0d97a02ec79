"""Where runs are kept, ``QLAM_HOME`` or ``./runs``, and how files there are written.

Files are replaced whole, never half written, and only where there is a regular file or nothing. What a workspace holds
is its owner's alone to read: folders that are made for it have mode 0700.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from qlam_qiskit.errors import QlamError

_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


def workspace() -> Path:
    """Return the folder of runs, which need not exist yet."""
    return Path(os.environ.get("QLAM_HOME") or "runs")


def run_names() -> list[str]:
    """List the runs of the workspace by name."""
    try:
        return sorted(path.name for path in workspace().iterdir() if (path / "experiment.yaml").is_file())
    except OSError:
        return []


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it, for its owner alone; one that exists keeps its mode. Raises OSError."""
    for folder in [*reversed(path.parents), path]:
        try:
            folder.mkdir(mode=_PRIVATE_FOLDER)
        except FileExistsError:
            if not folder.is_dir():
                raise
        except OSError:
            if not folder.is_dir():  # a read-only file system says so of folders that exist, too
                raise


def close_to_others(folder: Path) -> None:
    """Make ``folder``, or one that exists, for its owner alone; raises OSError when it cannot be made.

    One that others need, because it holds the current or the home folder or belongs to everybody, stays as it is.
    """
    make_private_folder(folder)
    places = (Path.cwd(), Path("~").expanduser().resolve()) if "HOME" in os.environ else (Path.cwd(),)
    needed = any(folder.resolve() in (place, *place.parents) for place in places)
    status = folder.stat()
    if status.st_mode & 0o077 and status.st_uid == os.getuid() and not status.st_mode & stat.S_ISVTX and not needed:
        folder.chmod(_PRIVATE_FOLDER)


def write_atomically(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Replace ``path`` by a file that is complete and on disk, whatever happens meanwhile; raises OSError.

    A symbolic link stays, and what it leads to is replaced. A device, a pipe or a folder is left alone. The mode is
    the replaced file's, or what the umask leaves of 0666; 0600 where ``private``.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    mode = _regular_mode(path)
    if private:
        mode = _PRIVATE_FILE
    elif mode is None:
        mode = 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_file(path: Path, content: bytes | str, *, private: bool = False, parents: bool = False) -> None:
    """Write like :func:`write_atomically`, with ``parents`` in folders that it makes; raises QlamError naming it."""
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, private=private)
    except (OSError, ValueError) as error:
        raise QlamError(f"{path}: cannot be written: {_reason(error)}") from None


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read its bytes; raises OSError also for a device or a pipe, which may never end or never begin."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _regular_mode(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def append_line(path: Path, line: str) -> None:
    """Add a line to a file that is its owner's alone to read; raises QlamError naming the file.

    Where the last line there was cut short, the new one begins behind it.
    """
    try:
        _regular_mode(path)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, _PRIVATE_FILE)
        with os.fdopen(descriptor, "a+b") as file:
            cut = b""
            if file.tell():
                file.seek(-1, os.SEEK_END)
                cut = b"" if file.read(1) == b"\n" else b"\n"
            file.write(cut + f"{line}\n".encode())
    except OSError as error:
        raise QlamError(f"{path}: cannot be written: {_reason(error)}") from None


def _regular_mode(path: Path, found: os.stat_result | None = None) -> int | None:
    """Return the mode of the file at ``path``, None where there is nothing; raises OSError when it is no file."""
    try:
        found = found or path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISREG(found.st_mode):
        return stat.S_IMODE(found.st_mode)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    raise OSError(errno.EINVAL, "it is a device or a pipe, not a file", str(path))


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
