"""How the engine's loops are compiled: without the GIL, multiply and add fused, nothing else reordered.

Compiled code is kept on disk, beside this file or else in the user's cache, so that a second process starts computing
at once. numba looks only at the file of the function it is asked for; a loop here calls loops of other files, so what
is kept is stamped with the contents of all files that it is made of.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit, typeof
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}


class _LinkedLibrary(JITCodeLibrary):
    """The code of a loop that only other loops call: optimized, and turned into machine code, as a part of theirs.

    numba would do both for every loop by itself as well, which takes a third of all the time.
    """

    @property
    def codegen(self) -> _LinkedLibrary:
        return self

    def set_env(self, *_: Any) -> None:
        """Do nothing: no address is needed of what Python never calls."""

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0, the address of what is not there."""
        return 0

    def finalize(self) -> None:
        """Link what the loop calls, and leave the rest to the loop that this is linked into."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


class _LinkedCompiler(Compiler):
    """numba's pipeline, into a :class:`_LinkedLibrary`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.library = _LinkedLibrary(self.state.targetctx.codegen(), "loop")
        self.state.library.enable_object_caching()


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a loop that only other loops call, once for all integers: numba would compile f(0) and f(n) apart."""
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _LinkedCompiler}
    dispatcher = njit(**options, **_OPTIONS)(function)
    template = dispatcher.get_call_template
    dispatcher.get_call_template = lambda args, kws: template(tuple(map(types.unliteral, args)), kws)
    return dispatcher


class EntryPoint:
    """A loop that Python calls, its code kept on disk until a source file that it is made of changes.

    Where no folder can be written to, the loop is compiled in every process.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.dispatcher = njit(no_cfunc_wrapper=True, **_OPTIONS)(function)
        try:
            self.dispatcher.enable_caching()
        except RuntimeError:
            self.can_be_kept = False
        else:
            self.can_be_kept = True
            self.dispatcher._cache._cache_file._source_stamp = _stamp(function.__module__)

    def is_kept(self, *arguments: Any) -> bool:
        """Say whether the code for arguments of these types is on disk."""
        if not self.can_be_kept:
            return False
        cache, signature = self.dispatcher._cache, tuple(map(_type, arguments))
        key = cache._index_key(signature, self.dispatcher.targetctx.codegen())
        return key in cache._cache_file._load_index()

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


def _stamp(module: str) -> str:
    """Hash the source files of a module and of those that it imports from the engine, directly or not."""
    sources: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in sources or not name.startswith(__package__):
            continue
        sources[name] = Path(sys.modules[name].__file__).read_bytes()
        imports = (node for node in ast.walk(ast.parse(sources[name])) if isinstance(node, ast.ImportFrom))
        waiting += [node.module for node in imports if node.module in sys.modules]
    return sha256(b"".join(sources[name] for name in sorted(sources))).hexdigest()


# A child forked while another thread compiles would wait for ever for that thread's lock: fork waits for it instead.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )
