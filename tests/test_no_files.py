"""Where a file is read, a device, a pipe or a folder is refused at once: one never ends, the next never begins."""

import os
import subprocess
import sys

import pytest
from deadline import answered_within

from qlam_qiskit.backends.registry import load_registry
from qlam_qiskit.configuration import read_yaml
from qlam_qiskit.data.catalogue import IMAGE_SETS
from qlam_qiskit.data.idx import read_idx
from qlam_qiskit.data.npz import load_npz
from qlam_qiskit.errors import QlamError
from qlam_qiskit.jobs import files
from qlam_qiskit.runs.checkpoint import load_checkpoint
from qlam_qiskit.runs.circuit_file import read_circuit
from qlam_qiskit.runs.records import RunDescription, read_json, read_lines
from qlam_qiskit.runs.run_folder import RunFolder

IMAGES = IMAGE_SETS["mnist"].files[0]
# The file's path in the folder, and who reads it.
READERS = {
    "x.yaml": lambda folder: read_yaml(folder / "x.yaml"),
    "backends.yaml": lambda folder: load_registry(folder / "backends.yaml"),
    "x.npz": lambda folder: load_npz(folder / "x.npz"),
    "images": lambda folder: read_idx(folder / "images", IMAGES),
    "images.gz": lambda folder: read_idx(folder / "images.gz", IMAGES),
    "run.json": lambda folder: read_json(folder / "run.json", RunDescription),
    "metrics.jsonl": lambda folder: list(read_lines(folder / "metrics.jsonl", RunDescription)),
    "circuits.qpy": lambda folder: read_circuit(folder / "circuits.qpy", None),
    "last.safetensors": lambda folder: load_checkpoint(folder / "last.safetensors"),
    "checkpoints/best.safetensors": lambda folder: RunFolder(folder).weights_digest(),
    "submissions/s/job-000/inputs.npz": lambda folder: files.read_inputs(folder, "s", 0),
    "submissions/s/job-000/result.npz": lambda folder: files.read_result(folder, "s", 0),
}


@pytest.fixture
def in_time():
    """Fail what waits for a pipe or reads without end."""
    with answered_within(20, "it waits, or reads without end"):
        yield


@pytest.mark.parametrize("what", ["device", "pipe", "folder", "link to itself"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_one_line_that_names_it(tmp_path, in_time, name, what):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "device":
        path.symlink_to("/dev/zero")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.name)
    with pytest.raises(QlamError) as raised:
        READERS[name](tmp_path)
    assert path.name in str(raised.value)
    assert "Errno" not in str(raised.value)


def test_a_result_that_is_no_file_is_put_aside(tmp_path, in_time):
    path = files.result_file(tmp_path, "s", 0)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    aside = files.put_aside(tmp_path, "s", 0)
    assert aside is not None and aside.name.startswith("not-believed-") and not path.exists()


LONG = "a" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "digits", "--out", LONG),
        ("train", f"{LONG}.yaml"),
        ("evaluate", LONG),
        ("circuits", "plan", f"{LONG}.py", "--qubits", "2"),
        ("circuits", "export", "ring", "--qubits", "2", "--out", LONG),
        ("compare", f"{LONG}.yaml"),
        ("backends", "list", "--backends", LONG),
        ("data", "list", "--data-dir", LONG),
        ("jobs", "show", LONG),
    ],
)
def test_a_name_that_no_file_can_have_is_one_line(run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(*arguments)
    assert status in (1, 2)
    assert err.strip().splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [("--help",), ("experiments", "list", "--json")])
def test_a_full_disk_behind_standard_output_is_one_line(arguments):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "qlam_qiskit", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


def test_closed_streams_are_no_defect():
    for closed in (1, 2):
        command = [sys.executable, "-m", "qlam_qiskit", "experiments", "list", "--json"]
        done = subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" {closed}>&-', "sh", *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0
        assert "Traceback" not in done.stdout + done.stderr
