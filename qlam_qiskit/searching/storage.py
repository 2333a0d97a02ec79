"""Where a study is kept, and which of the processes that work on it are alive.

A file, SQLite's or Optuna's journal, is shared by processes that see it: each holds the lock of a file of its own
beside it, which the kernel frees when the process dies, however it dies, and one at a time takes up work. Over a
database server Optuna's heartbeats say who is alive, as far as no such lock can be seen from here.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from qlam_qiskit.errors import ConfigurationError, QlamError, kind_and_reason
from qlam_qiskit.workspace import make_private_folder

_HEARTBEAT, _GRACE = 30, 150  # seconds between two, and until a process that sends none is taken for dead
_SQLITE_PATIENCE = 60  # seconds to wait for other processes' writing


@dataclass(frozen=True)
class Keeping:
    """An open storage.

    Attributes
    ----------
    storage
        Optuna's.
    url
        What another process opens it by.
    locks
        The folder of locks of the processes that work on it.
    shared
        Whether every process that uses the storage sees that folder.
    """

    storage: BaseStorage
    url: str
    locks: Path
    shared: bool

    def alone(self) -> nullcontext[None] | FileLock:
        """Let one process at a time take up work, where they share a file system."""
        return FileLock(self.locks / ".taking") if self.shared else nullcontext()

    @property
    def beats(self) -> bool:
        """Whether heartbeats are kept."""
        return getattr(self.storage, "heartbeat_interval", None) is not None


def open_storage(url: str | None, folder: Path, *, heartbeat: int = _HEARTBEAT, grace: int = _GRACE) -> Keeping:
    """Open the storage at a URL of SQLAlchemy's, or the journal in a file; by default SQLite in a study's ``folder``.

    Raises ConfigurationError for what is neither, and QlamError when it cannot be opened.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = url or f"sqlite:///{(folder / 'study.db').absolute()}"
    file = _file_of(url)
    locks = (folder if file is None else file.parent) / f".{'study' if file is None else file.name}.processes"
    try:
        make_private_folder(locks)
        with FileLock(locks / ".opening"):  # making tables is not for two at a time
            return Keeping(_opened(url, file, heartbeat, grace), url, locks, file is not None)
    except (ConfigurationError, KeyboardInterrupt):
        raise
    except ImportError as error:
        missing = getattr(error.__cause__ or error.__context__ or error, "name", None) or "for this kind of database"
        raise ConfigurationError(f"--storage {url}: its driver, the package {missing}, is not installed") from None
    except Exception as error:  # of SQLAlchemy, of drivers, of the file system
        raise QlamError(f"--storage {url}: cannot be opened: {kind_and_reason(error)}") from None


def _file_of(url: str) -> Path | None:
    """Return the file that a storage is; None of a server."""
    if "://" not in url:
        return Path(url).absolute()
    if not url.startswith("sqlite"):
        return None
    path = url.partition("://")[2].partition("?")[0]
    if path in ("", "/", "/:memory:"):
        raise ConfigurationError(f"--storage {url}: a study in memory would be lost; name a file, sqlite:///study.db")
    return Path(path.removeprefix("/")).absolute()


def _opened(url: str, file: Path | None, heartbeat: int, grace: int) -> BaseStorage:
    if "://" not in url:
        if file.is_dir() or file.suffix in (".db", ".sqlite", ".sqlite3"):
            raise ConfigurationError(
                f"--storage {url}: a path is that of Optuna's journal, such as study.journal; "
                f"SQLite's is given as sqlite:///{url}"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return JournalStorage(JournalFileBackend(str(file)))
    connect = {"timeout": _SQLITE_PATIENCE} if file is not None else {}
    beats = {} if file is not None else {"heartbeat_interval": heartbeat, "grace_period": grace}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(url, engine_kwargs={"connect_args": connect}, **beats)


class Worker:
    """One of the processes that work on a study, seen from itself: alive while it holds the lock of its file.

    Parameters
    ----------
    keeping
        The study's storage.
    """

    def __init__(self, keeping: Keeping) -> None:
        self.name = uuid4().hex
        self._keeping = keeping
        self._lock = FileLock(keeping.locks / self.name, thread_local=False)

    def __enter__(self) -> Worker:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        (self._keeping.locks / self.name).unlink(missing_ok=True)

    def is_dead(self, name: str) -> bool | None:
        """Whether a worker is dead; None where that cannot be seen from here."""
        if name == self.name:
            return False
        path = self._keeping.locks / name
        if not path.exists():
            return True if self._keeping.shared else None
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        lock.release()
        return True

    @contextmanager
    def beating(self, trial_id: int) -> Iterator[None]:
        """Send heartbeats for a trial meanwhile, where a storage keeps them."""
        storage, done = self._keeping.storage, Event()
        if not self._keeping.beats:
            yield
            return

        def beat() -> None:
            while True:
                storage.record_heartbeat(trial_id)
                if done.wait(storage.get_heartbeat_interval()):
                    return

        thread = Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
