"""The files beside the ledger: the inputs of every job before it is sent, and its result once it has arrived.

With the inputs it is written down what a result of them must look like, so that a result can be judged where the
circuits cannot be read any more. A result that is not believed is kept beside the place of the right one.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.jobs.archive import (
    DamagedFileError,
    flush_folder,
    naming_damage,
    read_archive,
    read_circuits,
    write_and_flush,
    write_archive,
    write_circuits,
)
from qlam_qiskit.jobs.errors import JobError
from qlam_qiskit.jobs.expected import ExpectedPub, expect
from qlam_qiskit.planning import Pub
from qlam_qiskit.redaction import hide, hide_within
from qlam_qiskit.workspace import close_to_others, open_regular

_PREPARING = ".preparing-"
_STRAY_SECONDS = 86_400.0
_ASIDE = "not-believed-"
_MOST_ASIDE = 4


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
        close_to_others(final.parent)
        close_to_others(draft)
        for number, pubs in enumerate(jobs):
            folder = draft / f"job-{number:03d}"
            folder.mkdir(mode=0o700)
            _write_pubs(folder, pubs)
        draft.replace(final)
        flush_folder(final.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise JobError(f"{final}: the jobs' inputs cannot be written ({error.strerror}); nothing was sent") from None


def read_inputs(home: Path, submission: str, number: int) -> list[Pub]:
    """Read the pubs of one job back, as they were given; raises JobError when the files are missing or damaged."""
    folder = job_folder(home, submission, number)
    try:
        manifest, arrays = read_archive(folder / "inputs.npz")
        circuits = read_circuits(folder / "circuits.qpy", manifest.get("circuits"))
        with naming_damage(folder / "inputs.npz"):
            return [_make_pub(entry, circuits, arrays) for entry in manifest["pubs"]]
    except DamagedFileError as error:
        raise _lost_inputs(error, submission) from None


def read_expected(home: Path, submission: str, number: int) -> tuple[tuple[ExpectedPub, ...], bool]:
    """Read what a result of one job must look like, and whether its circuits are sent with the job's mark.

    Raises JobError when the inputs are missing or damaged. Submissions of older versions say it by their circuits,
    and were sent without marks.
    """
    path = job_folder(home, submission, number) / "inputs.npz"
    try:
        manifest, _ = read_archive(path)
        if "expected" in manifest:
            with naming_damage(path):
                return tuple(ExpectedPub.from_json(values) for values in manifest["expected"]), True
    except DamagedFileError as error:
        raise _lost_inputs(error, submission) from None
    return expect(read_inputs(home, submission, number)), False


def result_file(home: Path, submission: str, number: int) -> Path:
    """Return where the result of one job is kept."""
    return job_folder(home, submission, number) / "result.npz"


def write_result(home: Path, submission: str, number: int, result: PrimitiveResult, about: dict[str, Any]) -> Path:
    """Write a result and what is known about it (``about``, JSON-able, with the job's ``tag``).

    Raises JobError when the disk is full or cannot be written to.
    """
    path = result_file(home, submission, number)
    try:
        write_archive(path, *_as_archive(result, about))
    except OSError as error:
        raise JobError(
            f"{path}: the result cannot be saved ({error.strerror}); nothing is lost: "
            f"free some space and run `qlam jobs resume {submission}`"
        ) from None
    return path


def read_result(home: Path, submission: str, number: int) -> tuple[PrimitiveResult, dict[str, Any]]:
    """Read a saved result and what is known about it; raises JobError when the file is missing or damaged."""
    path = result_file(home, submission, number)
    try:
        manifest, arrays = read_archive(path)
        with naming_damage(path):
            return _from_archive(manifest, arrays), manifest
    except DamagedFileError as error:
        raise DamagedFileError(
            f"{error}; run `qlam jobs fetch {submission}`, which asks for the result again"
        ) from None


def has_result(home: Path, submission: str, number: int, tag: str) -> bool:
    """Whether a readable result of the job with this tag is on disk."""
    try:
        return read_archive(result_file(home, submission, number))[0].get("tag") == tag
    except DamagedFileError:
        return False


def keep_aside(home: Path, submission: str, number: int, result: Any, why: str) -> Path | None:
    """Keep a result that is not believed under another name; returns where, or None when it cannot be kept.

    The same answer that comes twice is kept once, and no more than a few of a job. Credentials that a service repeats
    in it are not kept.
    """
    folder = job_folder(home, submission, number)
    try:
        if isinstance(result, PrimitiveResult):
            manifest, arrays = _as_archive(result, {"why": why})
            if any(array.dtype.kind not in "biufc" for array in arrays.values()):
                return None
            digest = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values()))
            path = folder / f"{_ASIDE}{digest.hexdigest()[:8]}.npz"
            if not path.exists() and len(list(folder.glob(f"{_ASIDE}*"))) < _MOST_ASIDE:
                write_archive(path, manifest, arrays)
        else:
            data = hide(str(result)).encode()
            path = folder / f"{_ASIDE}{hashlib.sha256(data).hexdigest()[:8]}.txt"
            if not path.exists() and len(list(folder.glob(f"{_ASIDE}*"))) < _MOST_ASIDE:
                write_and_flush(path, data)
    except Exception:
        return None  # what came is of a form that nothing here can write down
    return path if path.exists() else None


def put_aside(home: Path, submission: str, number: int) -> Path | None:
    """Move a saved result that is not believed out of the right one's place; returns where, None without one."""
    path = result_file(home, submission, number)
    if not path.exists():
        return None
    try:
        with open_regular(path) as file:
            content = file.read()
    except OSError:
        content = b""  # no file at all
    aside = path.with_name(f"{_ASIDE}{hashlib.sha256(content).hexdigest()[:8]}.npz")
    path.replace(aside)
    flush_folder(path.parent)
    return aside


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
    digest = write_circuits(folder / "circuits.qpy", circuits)
    expected = [pub.to_json() for pub in expect(pubs)]
    write_archive(folder / "inputs.npz", {"pubs": entries, "circuits": digest, "expected": expected}, arrays)


def _make_pub(entry: dict[str, Any], circuits: list[QuantumCircuit], arrays: dict[str, np.ndarray]) -> Pub:
    circuit, values = circuits[entry["circuit"]], arrays[entry["values"]]
    if not circuit.num_parameters:
        values = BindingsArray(shape=values.shape[:-1])
    if "observables" in entry:
        return EstimatorPub.coerce((circuit, entry["observables"], values, entry["precision"]))
    return SamplerPub.coerce((circuit, values, entry["shots"]))


def _as_archive(result: PrimitiveResult, about: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Divide a result into JSON, from which credentials that a service repeats are taken out, and arrays."""
    arrays, pubs = {}, []
    for index, pub in enumerate(result):
        bits = {}
        for name, value in pub.data.items():
            bits[name] = value.num_bits if isinstance(value, BitArray) else None
            arrays[f"{index}.{name}"] = value.array if isinstance(value, BitArray) else np.asarray(value)
        pubs.append({"shape": list(pub.data.shape), "bits": bits, "metadata": pub.metadata})
    return hide_within({"pubs": pubs, "metadata": result.metadata, **about}), arrays


def _from_archive(manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> PrimitiveResult:
    pubs = []
    for index, entry in enumerate(manifest.pop("pubs")):
        fields = {}
        for name, num_bits in entry["bits"].items():
            array = arrays[f"{index}.{name}"]
            fields[name] = array if num_bits is None else BitArray(array, num_bits)
        kind = PubResult if None in entry["bits"].values() else SamplerPubResult
        pubs.append(kind(DataBin(**fields, shape=tuple(entry["shape"])), entry["metadata"]))
    return PrimitiveResult(pubs, metadata=manifest.pop("metadata"))


def _lost_inputs(error: DamagedFileError, submission: str) -> JobError:
    return JobError(
        f"{error}: the job's inputs are missing or damaged; put a copy of the file back, or give the job up with "
        f"`qlam jobs cancel {submission}` and submit again"
    )
