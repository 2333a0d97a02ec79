"""A run as one zip file that says how to repeat it, and as nothing but what training left when it is removed."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import zipfile
from pathlib import Path

from qlam_qiskit.errors import ConfigurationError, RunError
from qlam_qiskit.model import ModelSettings
from qlam_qiskit.runs.circuit_file import circuit_bytes, digest
from qlam_qiskit.runs.saved_run import SavedRun
from qlam_qiskit.words import quality
from qlam_qiskit.workspace import write_atomically

_TRAINED = ("experiment.yaml", "run.json", "result.json", "metrics.jsonl", "noisy_circuits.qpy")
_ADDED = ("evaluations.jsonl", "report.html")


def export_run(run: SavedRun, out: Path) -> list[str]:
    """Write a run into a zip file: a folder that opens as a run, with a README that says how to repeat it.

    Parameters
    ----------
    run
        The run; training must have kept weights already.
    out
        The file, which must not be there yet.

    Returns
    -------
    list of str
        The names of the files in it.

    Raises
    ------
    QlamError
        When the run is damaged or has no weights yet, or the file is there or cannot be written.
    """
    folder, name = run.folder, run.path.resolve().name
    if out.exists():
        raise ConfigurationError(f"{out}: already exists; choose another --out")
    run.folder.weights_digest()  # says what is wrong with them
    found = [run.path / file for file in (*_TRAINED, folder.card.name)] + [folder.best]
    added = [folder.additions / file for file in _ADDED] + sorted((folder.additions / "figures").glob("*"))
    contents = {str(path.relative_to(run.path)): path.read_bytes() for path in found if path.is_file()}
    contents |= {str(path.relative_to(folder.additions)): path.read_bytes() for path in added if path.is_file()}
    if folder.pretrained:
        contents["evaluations.jsonl"] = "".join(f"{json.dumps(row)}\n" for row in folder.evaluations()).encode()
    if isinstance(run.experiment.model, ModelSettings):
        circuit = run.circuit  # checked here, and built where an older run's folder lacks it
        if not folder.circuit.exists():
            written = circuit_bytes(circuit)
            description = {**folder.description(), "circuit_digest": digest(written)}
            contents |= {folder.circuit.name: written, "run.json": json.dumps(description, indent=2).encode()}
        else:
            contents[folder.circuit.name] = folder.circuit.read_bytes()
    contents["README.md"] = _readme(run, name).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(contents):
            archive.writestr(f"{name}/{file}", contents[file])
    try:
        write_atomically(out, stream.getvalue())
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from None
    return [f"{name}/{file}" for file in sorted(contents)]


def repeating_command(run: SavedRun) -> str:
    """Return the command that trains the same again from a folder's own experiment."""
    backend = run.folder.description().get("backend")
    command = ["qlam", "train", "experiment.yaml"]
    if run.experiment.backend is None and backend is not None:
        command += ["--backend", backend]
    return shlex.join(command)


def remove_run(run: SavedRun) -> list[Path]:
    """Remove what this package wrote into a run's folder, and the folder if nothing else is in it.

    Returns
    -------
    list of Path
        What is left, which someone else put there.

    Raises
    ------
    RunError
        When a process is training it, it is no run, or something cannot be removed.
    """
    folder, path = run.folder, run.path
    if not folder.best.parent.is_dir():
        raise RunError(f"{path}: not a run folder (it has no checkpoints)")
    with folder.locked(), folder.written():
        folder.sweep()
        for file in (*_TRAINED, *_ADDED, "tracking.json", folder.circuit.name):
            (path / file).unlink(missing_ok=True)
        for inner in ("checkpoints", "figures"):
            if (path / inner).is_dir():
                shutil.rmtree(path / inner)
        folder.unlock_file()
        left = sorted(path.iterdir())
        if not left:
            path.rmdir()
    return left


def _readme(run: SavedRun, name: str) -> str:
    description, result = run.folder.description(), run.result or {}
    model = run.experiment.model
    lines = [f"# {name}", "", f"A trained run of qlam-qiskit: {description.get('task')}, model {model.kind}."]
    if result:
        noise = f", with {result['test_noise']}" if result.get("test_noise") else ""
        lines.append(f"Test set: {quality(result, 'test_')} {result['test_samples']:,} samples{noise}.")
    lines += ["", "Train it again, in this folder:", "", f"    {repeating_command(run)} --out ../again", ""]
    if "refit" in description:
        refit = json.dumps(description["refit"])
        lines += [f"Its last linear layer was refitted afterwards (`qlam refit`): {refit}", ""]
    lines += [
        "Test the weights that are here, from the folder above:",
        "",
        f"    qlam evaluate {shlex.quote(name)}",
        "",
    ]
    if isinstance(model, ModelSettings):
        lines += [
            f"`circuits.qpy` has the memory circuit (update, query) for `qiskit.qpy.load`; its template is "
            f"{model.circuit.template!r}, which training needs."
        ]
    versions = ", ".join(f"{package} {number}" for package, number in description.get("versions", {}).items())
    return "\n".join([*lines, "", f"Trained with {versions}.", ""])
