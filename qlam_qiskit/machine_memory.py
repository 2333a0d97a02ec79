"""How much memory a process of this machine may have, so that what cannot fit is refused before it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

from qlam_qiskit.errors import ConfigurationError, QlamError

# cgroup v2, then v1: what a container or a batch job may have.
_GROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def machine_memory() -> int:
    """Return the bytes that this process may have: the machine's memory, or the limit set on its group or itself."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _GROUP_LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        found += [limit] if limit != resource.RLIM_INFINITY else []
    except ImportError:  # not a Unix
        pass
    return min(found)


def check_memory(needed: int, what: str, kind: type[QlamError] = ConfigurationError) -> None:
    """Raise an error of the ``kind`` when ``what`` needs more bytes than there are, however else they are used."""
    memory = machine_memory()
    if needed > memory:
        raise kind(f"{what} needs {_gigabytes(needed)} of memory, and this machine has {_gigabytes(memory)}")


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size < 2**60 else "more than 2^60 bytes"
