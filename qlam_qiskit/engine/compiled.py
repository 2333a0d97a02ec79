"""How the engine's loops are compiled: without the GIL, multiply and add fused, nothing else reordered.

Compiled code is kept on disk, so that a second process starts computing at once. numba looks only at the file of the
function it is asked for; the loops here lie in several files, so the kept code is stamped with the contents of all.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}

compiled = njit(**_OPTIONS)


def entry_point(function: Callable[..., None]) -> Any:
    """Compile a function that Python calls, and keep its code on disk until a source file of the engine changes."""
    dispatcher = njit(cache=True, **_OPTIONS)(function)
    dispatcher._cache._cache_file._source_stamp = _stamp()
    return dispatcher


def _stamp() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
