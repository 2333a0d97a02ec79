"""Sending jobs to backends and getting their results back, whatever fails or dies on the way.

Every job is in a ledger on disk before it is sent; see :mod:`qlam_qiskit.jobs.courier` for why nothing is lost or sent
twice. This package knows nothing of models: it takes plans or pubs of Qiskit circuits and gives back their counts.
Its functions are imported from their modules when first used, so that listing jobs does not load Qiskit.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "errors": ("JobError", "LedgerError"),
    "ledger": ("Ledger",),
    "records": ("JobRecord",),
    "policy": ("Clock", "Policy"),
    "job_state": ("JobState",),
    "submission": ("Submission", "show"),
    "operations": ("cancel", "fetch", "resume", "submit", "submit_pubs", "wait"),
    "saved_results": ("counts", "expectations", "logical_results", "probabilities", "results"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
