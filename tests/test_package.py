"""The wheel holds what the package needs, and works in an empty folder."""

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = """
import torch
from qiskit.circuit import ParameterVector, QuantumCircuit
import qlam_qiskit as qq

assert "wheel" in qq.__file__
assert {"digits", "smnist"} <= qq.find_experiments().keys()

phi, theta = ParameterVector("phi", 2), ParameterVector("theta", 3)
update = QuantumCircuit(2)
update.rx(phi[0], 0), update.rx(phi[1], 1), update.ry(theta[0], 0), update.ry(theta[1], 1), update.rzz(theta[2], 0, 1)
model = qq.QLAM(circuit=qq.MemoryCircuit(update, phi, theta), steps=784, classes=10, backend="exact")
assert model(torch.zeros(2, 784, 1)).shape == (2, 1, 10)

circuit = {"template": "line", "qubits": 3}
data = {"dataset": "digits", "view": "rows", "train_limit": 100}
experiment = {"data": data, "model": {"circuit": circuit}, "training": {"epochs": 1}}
run = qq.train(experiment, data_dir="data", progress=False)
assert run.evaluate(backend="aer_shots", shots=64, limit=2)["samples"] == 2
plan = run.plan(backend="fake_torino", limit=2, shots=64)
assert "fidelity" in str(plan) and "QPU time" in str(plan), plan
submission = plan.submit()
submission.wait()
assert run.score(submission)["samples"] == 2
assert qq.Run.open("digits").evaluations[-1]["backend"] == "fake_torino"
"""


def test_every_package_is_one_that_the_wheel_takes():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(settings["options"]["packages"].split())
    found = {str(path.parent.relative_to(ROOT)) for path in (ROOT / "qlam_qiskit").rglob("__init__.py")}
    assert listed == {name.replace(os.sep, ".") for name in found} | {"qlam_qiskit.circuits", "qlam_qiskit.experiments"}


def test_the_wheel_works_in_an_empty_folder(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    source, empty = tmp_path / "source", tmp_path / "empty"
    empty.mkdir()
    for name in ("qlam_qiskit", "circuits", "experiments"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        held = set(file.namelist())
        file.extractall(tmp_path / "wheel")
        (metadata,) = (file.read(name).decode() for name in held if name.endswith("METADATA"))
    wanted = {
        *(path.relative_to(ROOT).as_posix() for path in (ROOT / "qlam_qiskit").rglob("*") if _ships(path)),
        *(f"qlam_qiskit/{path.relative_to(ROOT)}" for path in (ROOT / "circuits").rglob("*") if _ships(path)),
        *(f"qlam_qiskit/{path.relative_to(ROOT)}" for path in (ROOT / "experiments").rglob("*.yaml")),
    }
    assert wanted <= held
    assert {"qlam_qiskit/py.typed", "qlam_qiskit/report/report.css"} <= wanted
    assert any(name.endswith("licenses/LICENSE") for name in held)
    for line in ("License: Apache-2.0", "Provides-Extra: docs", "Requires-Dist: torch>=2.4", "Requires-Python: >=3.11"):
        assert line in metadata
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "wheel")}
    subprocess.run([sys.executable, "-W", "error", "-c", CODE], cwd=empty, env=environment, check=True)


def _ships(path):
    return path.is_file() and "__pycache__" not in path.parts
