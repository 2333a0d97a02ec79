"""A memory circuit as a file: QPY of its update and its query, whose metadata name their parameters in order.

The file is data, as everything in a run's folder is, also when the folder is a stranger's. QPY calls by name what it
finds in Qiskit's circuit library, and takes memory for as many qubits as a file claims. So a file is looked at before
Qiskit reads it: its digest, its version, the sizes in its headers, and the names of its operations.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit, circuit, qpy
from qiskit.circuit import Operation, Parameter, controlflow, library

from qlam_qiskit.errors import CircuitError, RunError, kind_and_reason
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.rate import Rate
from qlam_qiskit.workspace import open_regular, write_atomically

# From version 13 on expressions are data and not text; from 16 on a table says where each circuit begins.
VERSION = 16
_FILE = struct.Struct("!6sB3BQcc2Q")  # name, version, Qiskit's version, circuits, symbols, kind, where each begins
_CIRCUIT = struct.Struct("!H1cHIIQIQI")  # sizes of name and phase, qubits, clbits, sizes and counts of what follows
_INSTRUCTION = struct.Struct("!HHHIIBHqII")  # size of the name, which follows, and what comes after it
_MOST_BYTES = 1 << 24
_MOST_QUBITS = 64


def circuit_bytes(memory: MemoryCircuit) -> bytes:
    """Write a memory circuit as QPY; raises CircuitError when QPY does not give the same circuit back."""
    update, query = memory.update.copy(), memory.query.copy()
    update.metadata = {"inputs": _names(memory.inputs), "weights": _names(memory.weights), **_roles(memory)}
    query.metadata = {"query_angles": _names(memory.query_angles)}
    stream = io.BytesIO()
    try:
        qpy.dump([update, query], stream, version=VERSION)
        kept = _parse(stream.getvalue()).fingerprint == memory.fingerprint
    except Exception as error:  # whatever a gate of the user's own raises
        raise CircuitError(
            f"circuit {memory.update.name!r} cannot be written as QPY: {kind_and_reason(error)}"
        ) from None
    if not kept:
        raise CircuitError(
            f"circuit {memory.update.name!r} is not the same after QPY: write annotated operations out, such as "
            "gate.control() without annotated=True"
        )
    return stream.getvalue()


def write_circuit(path: Path, memory: MemoryCircuit) -> str:
    """Write a memory circuit into a file; returns the file's digest."""
    data = circuit_bytes(memory)
    write_atomically(path, data)
    return digest(data)


def read_circuit(path: Path, expected: str | None) -> MemoryCircuit:
    """Read a memory circuit from a file of the ``expected`` digest; raises RunError whatever else the file may be."""
    if not path.is_file():
        raise RunError(f"{path}: cannot be read: not a file")
    try:
        with open_regular(path) as file:
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    if digest(data) != expected:
        raise RunError(f"{path}: damaged: its contents do not match their digest in run.json")
    try:
        _check_headers(data)
        _check_operations(data)
        return _parse(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # Qiskit's reader fails in any way, and where it panics, outside of Exception
        raise RunError(f"{path}: not a memory circuit: {kind_and_reason(error)}") from None


def _parse(data: bytes) -> MemoryCircuit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a newer Qiskit's file
        update, query = qpy.load(io.BytesIO(data))
    named = {parameter.name: parameter for parameter in (*update.parameters, *query.parameters)}

    def listed(circuit: QuantumCircuit, role: str) -> list[Parameter]:
        return [named[name] for name in circuit.metadata[role]]

    return MemoryCircuit(
        update,
        listed(update, "inputs"),
        listed(update, "weights"),
        query,
        listed(query, "query_angles"),
        ancillas=update.metadata.get("ancillas", ()),
        emissions=update.metadata.get("emissions"),
        rates={named[name]: Rate(*bounds) for name, bounds in update.metadata.get("rates", {}).items()},
    )


def _roles(memory: MemoryCircuit) -> dict[str, Any]:
    """Write out what only a memory with channels has."""
    if not memory.is_open:
        return {}
    rates = {weight.name: [rate.low, rate.high] for weight, rate in memory.rates.items()}
    return {"ancillas": list(memory.ancillas), "emissions": list(memory.emissions), "rates": rates}


def _check_headers(data: bytes) -> None:
    name, version, *_, circuits, _, _, first, second = _FILE.unpack_from(data)
    if name != b"QISKIT" or version != VERSION or circuits != 2:
        raise ValueError(f"expected two circuits in QPY of version {VERSION}")
    for offset, most_clbits in ((first, _MOST_QUBITS), (second, 0)):
        *_, qubits, clbits, _, registers, instructions, variables = _CIRCUIT.unpack_from(data, offset)
        most = max(registers, instructions)
        if qubits > _MOST_QUBITS or clbits > most_clbits or variables or most > len(data):
            raise ValueError(f"a circuit of {qubits:,} qubits, {clbits:,} bits and {instructions:,} instructions")


def _check_operations(data: bytes) -> None:
    """Refuse a file that names, where QPY looks for operations, something else that Qiskit would call."""
    for name in _not_operations():
        place = data.find(name)
        while place >= 0:
            start = place - _INSTRUCTION.size
            if start >= 0 and _INSTRUCTION.unpack_from(data, start)[0] == len(name):
                raise ValueError(f"{name.decode()} is not an operation")
            place = data.find(name, place + 1)


@cache
def _not_operations() -> tuple[bytes, ...]:
    """Return the names that QPY finds in Qiskit, but that no file of this package has for an operation."""
    return tuple(sorted(name.encode() for name in _forbidden()))


def _forbidden() -> Iterator[str]:
    for module in (library, circuit, controlflow):
        for name in dir(module):
            found = getattr(module, name)
            # Oracles compile text that a file gives them.
            if not (isinstance(found, type) and issubclass(found, Operation)) or "Oracle" in name:
                yield name


def _names(parameters: tuple[Parameter, ...]) -> list[str]:
    return [parameter.name for parameter in parameters]


def digest(data: bytes) -> str:
    """Hash a file's contents."""
    return hashlib.sha256(data).hexdigest()
