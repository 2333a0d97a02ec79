"""How the engine's loops are compiled: without the GIL, multiply and add fused, nothing else reordered.

Compiled code is kept on disk, so that a second process starts computing at once. numba looks only at the file of the
function it is asked for; the loops here lie in several files, so the kept code is stamped with the contents of all.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit, typeof
from numba.core import types

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}

# Only other loops call these: without the code that unpacks Python's arguments they compile in half the time.
compiled = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)


class EntryPoint:
    """A loop that Python calls, its code kept on disk until a source file of the engine changes."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.dispatcher = njit(cache=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
        self.dispatcher._cache._cache_file._source_stamp = _stamp()

    def resolve(self, *arguments: Any) -> Callable[..., None]:
        """Return the code for arguments of these types, compiled or loaded.

        numba would look at the type of every argument at every call, which takes longer than a short sequence. The code
        returned does not look: each array given to it must have the dtype, dimensions and contiguity of the one here.
        It may be read-only where the loop only reads.
        """
        signature = tuple(map(_type, arguments))
        self.dispatcher.compile(signature)
        return self.dispatcher.overloads[signature].entry_point


def _type(argument: Any) -> types.Type:
    kind = typeof(argument)
    return kind.copy(readonly=False) if isinstance(kind, types.Array) else kind


def _stamp() -> str:
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
