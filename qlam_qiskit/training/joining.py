"""Joins the processes that torchrun started, also after it restarted some or all of them."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import torch
from torch import distributed

from qlam_qiskit.errors import QlamError
from qlam_qiskit.training.connection import connection
from qlam_qiskit.training.distributed import Ranks

_POLL_SECONDS = 0.02


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that torchrun started with this one, and leave them at the end; without torchrun, be alone.

    Raises QlamError when they cannot be reached. An unforeseen error of a rank other than 0 is given its name.
    """
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        yield Ranks()
        return
    numbers = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    ranks = Ranks(*numbers, store=_torchrun_store())
    if ranks.local_size > 1:
        torch.set_num_threads(ranks.threads)  # torchrun allows one
    if ranks.size > 1:
        # An optimizer imports this. Imported later, it keeps the group, whose threads may crash a process as it ends.
        importlib.import_module("torch.distributed.nn")
        with connection():
            distributed.init_process_group("gloo", store=_fresh(ranks), rank=ranks.rank, world_size=ranks.size)
    try:
        yield ranks
    except Exception as error:
        if not ranks.first:
            error.add_note(f"rank {ranks.rank} of {ranks.size} failed: {type(error).__name__}")
        raise
    finally:
        if ranks.size > 1:
            distributed.destroy_process_group()


def _torchrun_store() -> distributed.Store | None:
    """Connect to the store of torchrun's own process; None where one of its workers holds the store."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    with connection():
        return distributed.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)


def _fresh(ranks: Ranks) -> distributed.Store | None:
    """Agree on an empty part of torchrun's store, which still has the addresses of processes before a restart.

    How often torchrun has restarted is no name for it: the machines may disagree on that.
    """
    store, own = ranks.store, uuid4().hex
    if store is None:
        return None
    if not ranks.first:
        store.set(f"qlam/hello/{ranks.rank}", own)
        name = store.get(f"qlam/answer/{own}").decode()
        store.set(f"qlam/heard/{name}/{ranks.rank}", "")
        return distributed.PrefixStore(name, store)
    # Who said hello may be gone since a restart, and will not have heard.
    deadline = time.monotonic() + store.timeout.total_seconds()
    missing = set(range(1, ranks.size))
    while missing:
        for rank in missing:
            if store.check([f"qlam/hello/{rank}"]):
                store.set(f"qlam/answer/{store.get(f'qlam/hello/{rank}').decode()}", own)
        time.sleep(_POLL_SECONDS)
        missing = {rank for rank in missing if not store.check([f"qlam/heard/{own}/{rank}"])}
        if missing and time.monotonic() > deadline:
            raise QlamError(f"rank {min(missing)} did not start, or cannot be reached")
    return distributed.PrefixStore(own, store)
