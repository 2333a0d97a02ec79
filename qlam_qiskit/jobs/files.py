"""The files beside the ledger: the inputs of every job before it is sent, and its result once it has arrived.

Nothing here is ever unpickled: circuits are QPY, arrays are npz without objects, the rest is JSON inside the npz.
Every file is written beside its place, flushed to disk and moved in one step.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.exceptions import QiskitError
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.jobs.errors import JobError
from qlam_qiskit.jobs.faults import DamagedResultError
from qlam_qiskit.workspace import make_private_folder, write_atomically

Pub: TypeAlias = SamplerPub | EstimatorPub
_PREPARING = ".preparing-"
_STRAY_SECONDS = 86_400.0


def submission_folder(home: Path, submission: str) -> Path:
    """Return where the files of a submission are."""
    return home / "submissions" / submission


def job_folder(home: Path, submission: str, number: int) -> Path:
    """Return where the files of one job are."""
    return submission_folder(home, submission) / f"job-{number:03d}"


def write_inputs(home: Path, submission: str, jobs: Sequence[Sequence[Pub]]) -> None:
    """Write the inputs of all jobs of a submission, all or none of them; raises JobError when they cannot be."""
    final = submission_folder(home, submission)
    draft = final.with_name(f"{_PREPARING}{submission}")
    try:
        make_private_folder(final.parent)
        make_private_folder(draft)
        for number, pubs in enumerate(jobs):
            folder = draft / f"job-{number:03d}"
            folder.mkdir(mode=0o700)
            _write_pubs(folder, pubs)
        draft.replace(final)
        _flush_folder(final.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise JobError(f"{final}: the jobs' inputs cannot be written ({error.strerror}); nothing was sent") from None


def read_inputs(home: Path, submission: str, number: int) -> list[Pub]:
    """Read the pubs of one job back, as they were given; raises JobError when the files are missing or damaged."""
    folder = job_folder(home, submission, number)
    try:
        with (folder / "circuits.qpy").open("rb") as stream:
            circuits: list[QuantumCircuit] = qpy.load(stream)
        manifest, arrays = _read_arrays(folder / "inputs.npz")
        return [_make_pub(entry, circuits, arrays) for entry in manifest["pubs"]]
    except (OSError, KeyError, IndexError, ValueError, zipfile.BadZipFile, QiskitError) as error:
        raise JobError(f"{folder}: the job's inputs are missing or damaged: {error}") from None


def write_result(home: Path, submission: str, number: int, result: PrimitiveResult, about: dict[str, Any]) -> Path:
    """Write a result and what is known about it (``about``, JSON-able, with the job's ``tag``).

    Raises JobError when the disk is full or cannot be written to.
    """
    path = job_folder(home, submission, number) / "result.npz"
    arrays, pubs = {}, []
    for index, pub in enumerate(result):
        bits = {}
        for name, value in pub.data.items():
            bits[name] = value.num_bits if isinstance(value, BitArray) else None
            arrays[f"{index}.{name}"] = value.array if isinstance(value, BitArray) else np.asarray(value)
        pubs.append({"shape": list(pub.data.shape), "bits": bits, "metadata": pub.metadata})
    manifest = {"pubs": pubs, "metadata": result.metadata, **about}
    try:
        _write_arrays(path, manifest, arrays)
    except OSError as error:
        raise JobError(
            f"{path}: the result cannot be saved ({error.strerror}); nothing is lost: "
            f"free some space and run `qlam jobs resume {submission}`"
        ) from None
    return path


def read_result(home: Path, submission: str, number: int) -> tuple[PrimitiveResult, dict[str, Any]]:
    """Read a saved result and what is known about it; raises JobError when the file is missing or damaged."""
    path = job_folder(home, submission, number) / "result.npz"
    try:
        manifest, arrays = _read_arrays(path)
        pubs = []
        for index, entry in enumerate(manifest.pop("pubs")):
            fields = {}
            for name, num_bits in entry["bits"].items():
                array = arrays[f"{index}.{name}"]
                fields[name] = array if num_bits is None else BitArray(array, num_bits)
            kind = PubResult if None in entry["bits"].values() else SamplerPubResult
            pubs.append(kind(DataBin(**fields, shape=tuple(entry["shape"])), entry["metadata"]))
        return PrimitiveResult(pubs, metadata=manifest.pop("metadata")), manifest
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        remedy = f"remove it and run `qlam jobs fetch {submission}`"
        raise JobError(f"{path}: the saved result is missing or damaged ({error}); {remedy}") from None


def has_result(home: Path, submission: str, number: int, tag: str) -> bool:
    """Whether the result of the job with this tag is on disk; the file was written in one step, so it is whole."""
    try:
        with (job_folder(home, submission, number) / "result.npz").open("rb") as stream:
            manifest = np.load(stream, allow_pickle=False)["manifest"]
            return json.loads(manifest.tobytes()).get("tag") == tag
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return False


def check_result(result: Any, pubs: Sequence[Pub]) -> PrimitiveResult:
    """Return ``result`` if it answers ``pubs``, each with its shape; raises DamagedResultError otherwise.

    The client hands on a result that was cut short as a plain string.
    """
    if not isinstance(result, PrimitiveResult):
        raise DamagedResultError(f"the result was cut short or is of another kind ({type(result).__name__})")
    if len(result) != len(pubs):
        raise DamagedResultError(f"the result answers {len(result)} of {len(pubs)} circuits")
    for index, (answer, pub) in enumerate(zip(result, pubs, strict=True)):
        fields = list(answer.data.values())
        # The service may answer a single execution without its dimension.
        if not fields or ((answer.data.size, pub.size) != (1, 1) and tuple(answer.data.shape) != pub.shape):
            raise DamagedResultError(f"the result of circuit {index} has shape {answer.data.shape}, not {pub.shape}")
    return result


def remove_inputs(home: Path, submission: str) -> None:
    """Remove the files of a submission that could not be recorded."""
    shutil.rmtree(submission_folder(home, submission), ignore_errors=True)


def sweep(home: Path, recorded: Collection[str]) -> None:
    """Remove what processes left behind when they died before they had recorded their submission."""
    for folder in (home / "submissions").glob("*"):
        # A submission is recorded right after its folder appears, so an old one without a record never will be.
        with contextlib.suppress(OSError):  # another process sweeps too
            if folder.name not in recorded and time.time() - folder.stat().st_mtime > _STRAY_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _write_pubs(folder: Path, pubs: Sequence[Pub]) -> None:
    circuits: list[QuantumCircuit] = []
    entries, arrays = [], {}
    for index, pub in enumerate(pubs):
        known = [place for place, circuit in enumerate(circuits) if circuit is pub.circuit]
        if not known:
            circuits.append(pub.circuit)
        entry: dict[str, Any] = {
            "circuit": known[0] if known else len(circuits) - 1,
            "values": f"values{index}",
        }
        if isinstance(pub, SamplerPub):
            entry["shots"] = pub.shots
        else:
            entry["precision"], entry["observables"] = pub.precision, pub.observables.tolist()
        arrays[f"values{index}"] = pub.parameter_values.as_array(pub.circuit.parameters)
        entries.append(entry)
    stream = io.BytesIO()
    qpy.dump(circuits, stream)
    _write_file(folder / "circuits.qpy", stream.getvalue())
    _write_arrays(folder / "inputs.npz", {"pubs": entries}, arrays)


def _make_pub(entry: dict[str, Any], circuits: list[QuantumCircuit], arrays: dict[str, np.ndarray]) -> Pub:
    circuit, values = circuits[entry["circuit"]], arrays[entry["values"]]
    if not circuit.num_parameters:
        values = BindingsArray(shape=values.shape[:-1])
    if "observables" in entry:
        return EstimatorPub.coerce((circuit, entry["observables"], values, entry["precision"]))
    return SamplerPub.coerce((circuit, values, entry["shots"]))


def _write_arrays(path: Path, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO()
    text = json.dumps(manifest, default=str).encode()
    np.savez(stream, manifest=np.frombuffer(text, dtype=np.uint8), **arrays)
    _write_file(path, stream.getvalue())


def _read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return json.loads(arrays.pop("manifest").tobytes()), arrays


def _write_file(path: Path, data: bytes) -> None:
    write_atomically(path, data, private=True)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
