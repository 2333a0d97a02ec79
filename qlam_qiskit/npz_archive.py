"""Reads arrays out of .npz files from anywhere: what their headers promise is compared with the file, and with memory.

A header of a few bytes can promise terabytes, and a few megabytes can unpack to gigabytes.
"""

from __future__ import annotations

import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from qlam_qiskit.errors import DataError
from qlam_qiskit.machine_memory import check_memory
from qlam_qiskit.workspace import open_regular

_MOST_MEMBERS = 100_000
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What reading an archive that is not sound can raise.
_FAULTS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    SyntaxError,  # a header is a Python literal
    RecursionError,
    MemoryError,
    OverflowError,
    NotImplementedError,  # a way of packing that zipfile does not know
    RuntimeError,  # a password
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Read arrays of plain numbers, by default all.

    Raises FileNotFoundError, and DataError when the file is no sound archive, lacks one of ``names``, or unpacks to
    more than this machine has memory for.
    """
    try:
        with open_regular(path) as stream:
            if stream.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                needed = f" with {', '.join(names)}" if names else ""
                raise DataError(f"{path}: holds one array; an .npz file{needed} is needed")
            stream.seek(0)
            return _read_all(path, stream, names)
    except FileNotFoundError:
        raise
    except _FAULTS as error:
        said = " ".join(str(getattr(error, "strerror", None) or error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: not a sound .npz file of numbers: {said}") from None


def _read_all(path: Path, stream: IO[bytes], names: Sequence[str] | None) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(stream) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(archive.infolist()) > min(len(members), _MOST_MEMBERS):
            raise DataError(f"{path}: not a sound .npz file: it holds an array twice, or too many")
        for name in names or ():
            if name not in members:
                raise DataError(f"{path}: has no array {name}; it needs {', '.join(names or ())}")
        chosen = {name: members[name] for name in names or members}
        check_memory(sum(info.file_size for info in chosen.values()), f"{path}: what it unpacks to", DataError)
        return {name: read_member(archive, info) for name, info in chosen.items()}


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Read one array of plain numbers, every byte of it checked.

    Its header and the archive's index must promise the same number of bytes. Raises ValueError where they do not, and
    whatever zipfile and numpy raise for what is damaged.
    """
    with archive.open(info) as member:
        shape, fortran_order, dtype = _header(member)
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds Python objects")
        size = math.prod(shape) * dtype.itemsize
        if size < 0 or size != info.file_size - member.tell():
            raise ValueError(f"the header of {info.filename} promises {size:,} bytes, the file has others")
        content = member.read(size + 1)  # to the end, where zipfile compares the checksum
    if len(content) != size:
        raise ValueError(f"{info.filename} is cut short")
    flat = np.frombuffer(bytearray(content), dtype, count=math.prod(shape))
    return flat.reshape(shape[::-1]).T if fortran_order else flat.reshape(shape)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(member)
    if version not in _HEADERS:
        raise ValueError(f"version {version[0]}.{version[1]} of its format is not read here")
    return _HEADERS[version](member)
