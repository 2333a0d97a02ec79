"""Files of arrays and circuits that are read whole or not at all: npz without objects, and QPY.

Nothing here is ever unpickled. What a cut or altered file makes the libraries raise is of every kind (EOFError,
struct.error, zlib.error, MemoryError, ...), so that all of it is caught in one place and becomes DamagedFileError.
Every file is written beside its place, flushed to disk and moved in one step.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qpy

from qlam_qiskit.jobs.errors import JobError
from qlam_qiskit.npz_archive import read_member
from qlam_qiskit.workspace import open_regular, write_atomically

_MANIFEST = "manifest"


class DamagedFileError(JobError):
    """A file is missing, cut short or altered; the message says which and why."""


def write_archive(path: Path, manifest: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and a JSON manifest as an npz file; raises OSError."""
    stream = io.BytesIO()
    text = json.dumps(manifest, default=str).encode()
    np.savez(stream, **{_MANIFEST: np.frombuffer(text, dtype=np.uint8)}, **arrays)
    write_and_flush(path, stream.getvalue())


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what :func:`write_archive` wrote, every byte of it checked; raises DamagedFileError."""
    with naming_damage(path):
        with open_regular(path) as file, zipfile.ZipFile(file) as stored:
            arrays = {info.filename.removesuffix(".npy"): _read_array(stored, info) for info in stored.infolist()}
        manifest = json.loads(arrays.pop(_MANIFEST).tobytes())
        if not isinstance(manifest, dict):
            raise ValueError("its manifest is no mapping")
        return manifest, arrays


def write_circuits(path: Path, circuits: list[QuantumCircuit]) -> str:
    """Write circuits as QPY and return the file's digest; raises OSError."""
    stream = io.BytesIO()
    qpy.dump(circuits, stream)
    write_and_flush(path, stream.getvalue())
    return _digest(stream.getvalue())


def read_circuits(path: Path, digest: str | None) -> list[QuantumCircuit]:
    """Read QPY back; raises DamagedFileError, also when ``digest`` is known and not the file's."""
    with naming_damage(path):
        with open_regular(path) as file:
            data = file.read()
        if not data:
            raise ValueError("it is empty")
        if digest is not None and _digest(data) != digest:
            raise ValueError("it was cut or altered after it was written")
        return qpy.load(io.BytesIO(data))


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turn whatever reading or interpreting ``path`` raises into a DamagedFileError that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DamagedFileError:
        raise
    except FileNotFoundError:
        raise DamagedFileError(f"{path}: missing or damaged (no such file)") from None
    except BaseException as error:
        # A panic of Qiskit's compiled QPY reader is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise DamagedFileError(f"{path}: missing or damaged ({_said(error)})") from None


def write_and_flush(path: Path, data: bytes) -> None:
    """Write a file so that it survives a power cut."""
    write_atomically(path, data, private=True)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_array(stored: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.compress_type != zipfile.ZIP_STORED:  # it could unpack to any size
        raise ValueError(f"{info.filename} is compressed")
    return read_member(stored, info)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__
