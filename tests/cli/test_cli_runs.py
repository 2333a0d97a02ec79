"""``qlam runs``: what there is, all about one, out of the door as a zip, and away."""

import json
import sys
import zipfile
from pathlib import Path

import pytest
from qiskit import qpy

from qlam_qiskit.run import Run
from qlam_qiskit.runs import RunFolder
from qlam_qiskit.training import load_experiment, train


@pytest.fixture
def small(small_experiment, quiet):
    experiment = load_experiment(small_experiment, ("training.epochs=1",))
    return train(experiment, "small", quiet)[0].path


def test_runs_are_listed_also_damaged_and_unfinished_ones(run, small):
    assert run("evaluate", small, "--limit", 5)[0] == 0
    RunFolder.create(Run.open(small).experiment, "begun", None)
    damaged = RunFolder.create(Run.open(small).experiment, "damaged", None)
    (damaged.path / "run.json").write_text("{")
    status, out, _ = run("runs", "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)["runs"]}
    assert status == 0
    assert rows.keys() == {"small", "begun", "damaged"}
    assert rows["small"]["accuracy"] == Run.open(small).result["test_accuracy"]
    assert (rows["small"]["evaluations"], rows["small"]["problem"]) == (1, None)
    assert "run.json: damaged" in rows["damaged"]["problem"]
    status, out, _ = run("runs", "list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith(("small", "begun", "damaged"))]
    assert f"{rows['small']['accuracy']:.2%}" in out


def test_an_empty_workspace_says_how_to_begin(run, small_experiment):
    said = "no runs yet; qlam train digits makes one, and --pretrained shows those that came with the package\n"
    assert run("runs", "list") == (0, "", said)


def test_all_about_one(run, small):
    run("evaluate", small, "--limit", 5)
    _, out, _ = run("runs", "show", "small")
    assert "line on 3 qubits" in out
    assert "of 5 test samples on exact (exact)" in out
    assert "qlam train experiment.yaml --backend exact" in out
    shown = json.loads(run("runs", "show", "small", "--json")[1])
    assert shown["description"]["circuit_fingerprint"] == Run.open(small).circuit.fingerprint


@pytest.mark.parametrize("old", [False, True])
def test_an_export_is_a_run_again_with_its_circuit_and_how_to_repeat_it(run, small, old):
    expected = json.loads(run("evaluate", small, "--json")[1])
    (small / "figures").mkdir()
    (small / "figures" / "memory.png").write_bytes(b"picture")
    (small / "secret.txt").write_text("not of the run")
    if old:
        (small / "circuits.qpy").unlink()
    status, out, err = run("runs", "export", "small")
    assert (status, out) == (0, "small.zip\n"), err
    with zipfile.ZipFile("small.zip") as archive:
        names = set(archive.namelist())
        archive.extractall("elsewhere")
    assert {"small/experiment.yaml", "small/checkpoints/best.safetensors", "small/figures/memory.png"} <= names
    assert "small/secret.txt" not in names
    with Path("elsewhere/small/circuits.qpy").open("rb") as file:
        assert [circuit.num_qubits for circuit in qpy.load(file)] == [3, 3]
    assert "qlam train experiment.yaml --backend exact --out ../again" in Path("elsewhere/small/README.md").read_text()
    again = json.loads(run("evaluate", "elsewhere/small", "--json")[1])
    assert (again["accuracy"], again["loss"]) == (expected["accuracy"], expected["loss"])
    status, _, err = run("runs", "export", "small")
    assert (status, err) == (2, "Error: small.zip: already exists; choose another --out\n")
    status, _, err = run("runs", "export", "small", "--out", "no/such/place.zip")
    assert status == 1
    assert "cannot be written" in err


def test_a_run_is_removed_and_nothing_else(run, small):
    status, _, err = run("runs", "remove", "small")
    assert (status, err) == (2, "Error: nobody is here to be asked; --yes removes without asking\n")
    (small / "notes.txt").write_text("mine")
    assert run("runs", "remove", "small", "--yes") == (0, "removed runs/small, but for notes.txt\n", "")
    assert [path.name for path in small.iterdir()] == ["notes.txt"]


def test_nothing_is_removed_that_is_no_run_or_that_is_trained(run, small, small_experiment):
    Path("project").mkdir()
    Path("project/experiment.yaml").write_text(Path(small_experiment).read_text())
    status, _, err = run("runs", "remove", "project", "--yes")
    assert (status, err) == (1, "Error: project: not a run folder (it has no checkpoints)\n")
    with RunFolder(small).locked():
        status, _, err = run("runs", "remove", "small", "--yes")
    assert (status, "another process is training this run" in err) == (1, True)
    assert Path("project/experiment.yaml").exists()
    assert (small / "run.json").exists()
    assert run("runs", "remove", "small", "--yes")[0] == 0
    assert not small.exists()


def test_a_person_is_asked(run, small, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda question, **options: pytest.fail(question))
    with pytest.raises(pytest.fail.Exception, match="Remove runs/small for good"):
        run("runs", "remove", "small")
    assert small.exists()
