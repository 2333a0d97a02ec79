"""Worker processes for trainings: a cluster on this machine, or one that a scheduler of Dask's has elsewhere.

Each process trains one thing at a time. When one dies, Dask gives its work to another, which goes on from the run's
checkpoint; so a function that is given to a cluster must be one that may be called again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from uuid import uuid4

from qlam_qiskit.errors import ConfigurationError, Interrupted, QlamError, kind_and_reason
from qlam_qiskit.extras import require

MOST_WORKERS = 1024
_DEATHS = 3  # of processes at one piece of work, after which it is given up
_POLL_SECONDS, _STOP_SECONDS, _WATCH_SECONDS, _CONNECT_SECONDS = 0.1, 0.5, 1.0, 15
_ENVIRONMENT = ("QLAM_HOME", "QLAM_DATA", "QLAM_BACKENDS", "QLAM_ALLOW_FACTORY")


class Work(Protocol):
    """What a cluster calls in its processes: a module's function, with what it needs to be heard and to be stopped."""

    def __call__(self, *arguments: Any, say: Callable[[str], None], should_stop: Callable[[], bool]) -> Any:
        """Do a piece of work."""


@dataclass(frozen=True)
class _Place:
    """Where work is done: in the folder that the caller is in, with its settings."""

    folder: str
    environment: dict[str, str]

    @classmethod
    def here(cls) -> _Place:
        return cls(str(Path.cwd()), {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ})

    @contextmanager
    def entered(self) -> Iterator[None]:
        if not Path(self.folder).is_dir():
            raise ConfigurationError(
                f"a worker does not see the folder {self.folder}: its machine must share it with this one"
            )
        before = {name: os.environ.get(name) for name in _ENVIRONMENT}
        _change({name: self.environment.get(name) for name in _ENVIRONMENT})
        try:
            with contextlib.chdir(self.folder):
                yield
        finally:
            _change(before)


def _change(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class Cluster:
    """Processes that work side by side.

    Parameters
    ----------
    client
        Dask's connection to the scheduler.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def workers(self) -> dict[str, str]:
        """The processes that there are now, by their addresses, and the machines that they run on."""
        found = self._client.scheduler_info(n_workers=-1)["workers"]
        return {address: worker["host"] for address, worker in found.items()}

    def is_local(self) -> bool:
        """Whether all processes run on this machine."""
        from distributed.utils import get_ip

        return set(self.workers.values()) <= {"127.0.0.1", "::1", get_ip()}

    def run(
        self,
        work: Work,
        calls: Iterable[tuple[Any, ...]],
        *,
        say: Callable[[str], None],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Call ``work`` with each of the arguments; yields these and what it returned, or its QlamError, as it ends.

        ``calls`` is asked for the next arguments when a process can take them. ``say`` hears in this process what work
        says in its own. When ``should_stop`` says so, all work is told, and what it then returns or raises is still
        yielded.
        """
        from distributed import Event

        topic, lines = f"qlam-{uuid4().hex}", SimpleQueue()
        stop = Event(topic, client=self._client)
        self._client.subscribe_topic(topic, lambda event: lines.put(event[1]))
        place, watched = _Place.here(), _Watch(self)
        futures: dict[Any, tuple[Any, ...]] = {}
        left = iter(calls)
        try:
            while True:
                for call in islice(left, max(0, watched.size - len(futures))):
                    futures[self._client.submit(_at_work, work, call, place, topic, pure=False)] = call
                if not futures:
                    return
                time.sleep(_POLL_SECONDS)
                for future in [future for future in futures if future.done()]:
                    _hear(lines, say)
                    yield futures.pop(future), _outcome(future)
                _hear(lines, say)
                if should_stop():
                    stop.set()
                    if not self.workers:
                        raise Interrupted("interrupted while no worker was there")
                else:
                    watched.look(say)
        finally:
            with contextlib.suppress(Exception):  # of a connection that is lost
                stop.set()
                self._client.unsubscribe_topic(topic)


class _Watch:
    """Says when a worker is gone, and how many there are."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._known, self._looked = cluster, set(cluster.workers), time.monotonic()

    @property
    def size(self) -> int:
        return max(1, len(self._known))

    def look(self, say: Callable[[str], None]) -> None:
        if time.monotonic() - self._looked < _WATCH_SECONDS:
            return
        now = set(self._cluster.workers)
        for _ in self._known - now:
            say("a worker is gone; what it was training goes on from its checkpoint")
        self._known, self._looked = now, time.monotonic()


@contextmanager
def cluster(workers: int | None, address: str | None) -> Iterator[Cluster | None]:
    """Start ``workers`` processes here, or connect to the scheduler at an ``address``; None where neither is given.

    Raises ConfigurationError when both are given or Dask is not installed, and QlamError when there is no scheduler.
    """
    if workers is None and address is None:
        yield None
        return
    if workers is not None and address is not None:
        raise ConfigurationError("--workers starts processes here, and --dask names a scheduler: give one of them")
    require("distributed", "cluster", "--workers" if address is None else "--dask")
    with ExitStack() as open_:
        yield Cluster(_local(workers, open_) if address is None else _connected(address, open_))


def _local(workers: int, open_: ExitStack) -> Any:
    import dask
    from distributed import Client, LocalCluster

    require("cryptography", "cluster", "--workers")
    settings = {
        "distributed.nanny.pre-spawn-environ": {},  # as many threads as in this process, for the same bits
        "distributed.scheduler.allowed-failures": _DEATHS - 1,
        "distributed.worker.daemon": True,
        "distributed.comm.timeouts.connect": "60s",
    }
    open_.enter_context(dask.config.set(settings))
    # Whoever may connect may run code: on a machine of many users that is this process alone, by a key of its own.
    local = open_.enter_context(
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            security=True,
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            memory_limit=None,
            silence_logs=logging.CRITICAL,
        )
    )
    client = open_.enter_context(Client(local, set_as_default=False))
    client.register_plugin(_steadfast())
    return client


def _connected(address: str, open_: ExitStack) -> Any:
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = open_.enter_context(Client(address, timeout=_CONNECT_SECONDS, set_as_default=False))
    except (OSError, ValueError, ImportError) as error:
        raise QlamError(f"--dask {address}: no scheduler there: {kind_and_reason(error)}") from None
    client.register_plugin(_steadfast())
    return client


def _steadfast() -> Any:
    from distributed import WorkerPlugin

    class Steadfast(WorkerPlugin):
        """Keeps Ctrl-C, which a terminal sends to all processes, from ending a worker before its training has saved."""

        name = "qlam-steadfast"

        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Steadfast()


def _at_work(work: Work, call: tuple[Any, ...], place: _Place, topic: str) -> Any:
    """Do a piece of work in this process, a worker."""
    from distributed import Event, get_worker

    worker = get_worker()
    if worker.state.nthreads != 1:
        raise ConfigurationError(
            f"worker {worker.address} has {worker.state.nthreads} threads, of which torch would share one generator: "
            "start it with --nthreads 1, and several of it"
        )
    stop, asked = Event(topic), _Rarely()
    should_stop = lambda: asked(stop.is_set)  # noqa: E731
    if should_stop():
        raise Interrupted("interrupted before it began")
    with place.entered():
        return work(*call, say=lambda line: worker.log_event(topic, line), should_stop=should_stop)


class _Rarely:
    """Asks a question over the network only now and then; a lost connection is a yes."""

    def __init__(self) -> None:
        self._asked, self._answer = -_STOP_SECONDS, False

    def __call__(self, ask: Callable[[], bool]) -> bool:
        if not self._answer and time.monotonic() - self._asked >= _STOP_SECONDS:
            try:
                self._answer = ask()
            except Exception:  # the scheduler is gone
                self._answer = True
            self._asked = time.monotonic()
        return self._answer


def _hear(lines: SimpleQueue[str], say: Callable[[str], None]) -> None:
    with contextlib.suppress(Empty):
        while True:
            say(lines.get_nowait())


def _outcome(future: Any) -> Any:
    """Return what a piece of work returned, or its QlamError; raises everything else."""
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except QlamError as error:
        return error
    except KilledWorker:
        return QlamError(f"its process died {_DEATHS} times")
    except CancelledError:
        raise QlamError("the connection to Dask's scheduler is lost") from None
