"""The name that was probably meant, for messages about names that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean NAME?" with the nearest of ``names``, or nothing where none is near."""
    lowered: dict[str, str] = {}
    for known in names:
        lowered.setdefault(known.lower(), known)
    near = difflib.get_close_matches(name.lower(), lowered, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(lowered[match] for match in near)}?" if near else ""
