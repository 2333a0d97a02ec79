"""Downloads image data sets; a file appears under its name only when its checksum is the published one."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qlam_qiskit.data.catalogue import ImageSet, fetchable_set
from qlam_qiskit.data.idx import find_idx, read_idx
from qlam_qiskit.data.storage import cache_dir, read_split
from qlam_qiskit.errors import DataError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_CHUNK = 1 << 16
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Fetched:
    """What a fetch did: the data set's folder, the files downloaded, and those that were there and sound."""

    folder: Path
    downloaded: tuple[str, ...]
    kept: tuple[str, ...]


def fetch_dataset(name: str, data_dir: Path | None = None) -> Fetched:
    """Download what a data set lacks, or has damaged, into ``data_dir`` or the cache; progress on stderr.

    Sound files stay as they are, smaller ones of the user's own too. Raises ConfigurationError for a name
    that is not downloaded, and DataError when there is no network, a checksum is wrong, or nothing can be
    written.
    """
    image_set = fetchable_set(name)
    folder = (cache_dir() if data_dir is None else data_dir) / image_set.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _fetch_idx(image_set, folder) if image_set.layout == "idx" else _fetch_cifar(image_set, folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror or type(error).__name__}") from None


def _fetch_idx(image_set: ImageSet, folder: Path) -> Fetched:
    downloaded, kept = [], []
    for file in image_set.files:
        path = find_idx(folder, file.name)
        try:
            if path is not None:
                read_idx(path, file)
                kept.append(path.name)
                continue
        except DataError:
            pass  # damaged: replaced by the download
        _download(image_set, f"{file.name}.gz", file.download_md5, folder)
        downloaded.append(f"{file.name}.gz")
    return Fetched(folder, tuple(downloaded), tuple(kept))


def _fetch_cifar(image_set: ImageSet, folder: Path) -> Fetched:
    try:
        for split in ("train", "test"):
            read_split(image_set, folder, split)
        return Fetched(folder, (), tuple(sorted(path.name for path in folder.glob("*.bin"))))
    except DataError:
        pass  # missing or damaged: downloaded below
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder.parent) as temporary:
        archive = _download(image_set, *image_set.archive, Path(temporary))
        names = _unpack_batches(archive, Path(temporary))
        for name in names:
            (Path(temporary) / name).replace(folder / name)
    return Fetched(folder, names, ())


def _unpack_batches(archive: Path, target: Path) -> tuple[str, ...]:
    """Unpack the .bin files alone; list their bare names, ending with the test batch."""
    names = []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile() and member.name.endswith(".bin"):
                    names.append(Path(member.name).name)
                    with (target / names[-1]).open("wb") as file:
                        file.write(tar.extractfile(member).read())
                        file.flush()
                        os.fsync(file.fileno())
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{archive.name}: cannot be unpacked: {error}") from None
    return tuple(sorted(names))


def _download(image_set: ImageSet, name: str, md5: str, folder: Path) -> Path:
    """Download one file from the first mirror that has it, through a temporary file in the same folder."""
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")  # the bar says the rest
    failures = []
    for mirror in image_set.mirrors:
        try:
            with _progress(name) as bar:
                downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUT_SECONDS)
                return Path(pooch.retrieve(mirror + name, f"md5:{md5}", name, folder, downloader=downloader))
        except RequestException as error:
            failures.append(f"{mirror + name} ({_reason(error)})")
        except ValueError:
            failures.append(f"{mirror + name} (wrong checksum: what came is not the published file)")
    raise DataError(f"{image_set.name}: {name} could not be downloaded from {' nor '.join(failures)}")


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError):
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer in {_TIMEOUT_SECONDS} s"
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__


@contextmanager
def _progress(name: str) -> Iterator[_Bar]:
    """Show a download's progress on stderr, where that is a terminal, while it runs."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from qlam_qiskit.progress import console_of_bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = console_of_bars()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield _Bar(progress, progress.add_task(name, total=None))


class _Bar:
    """A rich bar under the four names that pooch calls: total, update, reset, close."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    @property
    def total(self) -> float | None:
        return self._progress.tasks[0].total

    @total.setter
    def total(self, size: int) -> None:
        self._progress.update(self._task, total=size or None)

    def update(self, size: int) -> None:
        self._progress.advance(self._task, size)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.stop_task(self._task)
