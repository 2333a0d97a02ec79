"""Runs that come with the package: whole, small, documented, opened by name, and never written to."""

import hashlib
import importlib.util
import json
import shlex
import shutil
import zipfile
from pathlib import Path

import click
import numpy as np
import pytest

from qlam_qiskit.cli import qlam
from qlam_qiskit.data import SequenceData, Split
from qlam_qiskit.errors import ConfigurationError, RunError
from qlam_qiskit.run import Run
from qlam_qiskit.runs import RunFolder, SavedRun, find_pretrained, load_checkpoint, load_experiment
from qlam_qiskit.training import train

ROOT = Path(__file__).parents[2]
NAMES = list(find_pretrained())


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """Work in a folder in which there is nothing."""
    monkeypatch.chdir(tmp_path)
    for variable in ("QLAM_HOME", "QLAM_BACKENDS"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("pretrained_maker", ROOT / "docs" / "pretrained.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def contents(folder):
    """Map the files of a folder to a hash of what is in them."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def of_the_sizes(description):
    """Make a task of the sizes that a run is of, with nothing in it."""
    labels = np.arange(description["classes"])
    split = Split(labels, np.zeros((len(labels), description["steps"], description["token_size"]), np.uint8))
    sizes = {key: description[key] for key in ("task", "steps", "token_size")}
    names = tuple(map(str, labels))
    return SequenceData(
        **sizes, train=split, test=split, num_classes=len(names), num_answers=1, image_shape=None, class_names=names
    )


def test_there_are_those_to_begin_with():
    assert {"digits_device", "mnist_rows", "smnist", "smnist_device", "sfashion_device"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_small_and_whole(name, empty):
    folder = RunFolder.open(Path(f"pretrained:{name}"))
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert {"card.yaml", "run.json", "best.safetensors", "circuits.qpy"} <= {path.name for path in files}
    assert not folder.last.exists()
    assert {key.partition("/")[0] for key in load_checkpoint(folder.best).tensors} == {"model"}
    run = SavedRun(folder, loaded=of_the_sizes(folder.description()))
    model = run.qlam()  # circuit, weights and description fit together, and the circuits their digests
    noise = run.experiment.model.noise
    assert (run.noisy_circuit is not None) == (noise is not None and noise.device is not None)
    assert model.circuit.fingerprint == folder.description()["circuit_fingerprint"]
    assert [row["epoch"] for row in run.metrics] == list(range(1, run.experiment.training.epochs + 1))
    assert run.result["test_accuracy"] > (0.7 if run.experiment.data.dataset == "cifar10" else 0.85)


@pytest.mark.parametrize("name", NAMES)
def test_no_record_has_a_path_of_where_it_was_made(name):
    folder = find_pretrained()[name]
    for path in (*folder.glob("*.json*"), folder / "experiment.yaml"):
        assert '"/' not in path.read_text(encoding="utf-8"), path.name
    assert {row["run"] for row in RunFolder(folder).evaluations()} <= {f"pretrained:{name}"}


@pytest.mark.parametrize("name", NAMES)
def test_the_command_on_a_card_trains_the_same_experiment(name):
    run = SavedRun.open(f"pretrained:{name}")
    program, command, experiment = shlex.split(run.card.again)
    assert (program, command) == ("qlam", "train")
    context = click.Context(qlam)
    qlam.get_command(context, "train").make_context("train", [experiment], parent=context)
    assert load_experiment(experiment) == run.experiment


def test_a_damaged_card_is_one_line(empty):
    shutil.copytree(find_pretrained()["smnist"], "mine")
    Path("mine/card.yaml").write_text("about: a memory\n")
    with pytest.raises(RunError, match=r"mine/card\.yaml: missing key data"):
        _ = SavedRun.open("mine").card


def test_the_digits_give_the_figure_of_their_card(empty):
    shipped = RunFolder(find_pretrained()["digits_device"]).evaluations()
    (expected,) = (row for row in shipped if row["backend"] == "exact")
    run = Run.open("pretrained:digits_device")
    found = run.evaluate("exact")
    assert (found["accuracy"], found["samples"]) == (expected["accuracy"], 360)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
    assert run.result["clean_test_accuracy"] == expected["accuracy"]
    assert run.evaluations[:-1] == shipped
    assert run.evaluations[-1]["run"] == "pretrained:digits_device"
    assert Path("runs/pretrained/digits_device/evaluations.jsonl").is_file()


@pytest.fixture
def shipped(small_experiment, quiet, monkeypatch):
    """Train a small run on a device's errors, and put it where it cannot be written to, as pretrained:tiny."""
    noise = ("training.epochs=1", "model.noise.device=FakeManilaV2")
    trained, _ = train(load_experiment(small_experiment, noise), "tiny", quiet)
    folder = Path("site-packages", "tiny").resolve()
    shutil.copytree(trained.path, folder)
    shutil.rmtree(trained.path)
    (folder / ".lock").unlink()
    shutil.copy(find_pretrained()["smnist"] / "card.yaml", folder)
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr("qlam_qiskit.runs.pretrained.find_pretrained", lambda: {"tiny": folder})
    before = contents(folder)
    yield folder
    assert contents(folder) == before
    assert {path.name for path in folder.iterdir()} == {Path(file).parts[0] for file in before}


def test_what_is_made_of_them_is_kept_in_the_workspace(run, shipped, monkeypatch):
    for command in (
        ("evaluate", "pretrained:tiny", "--limit", 5),
        ("report", "pretrained:tiny", "--limit", 5, "--samples", 1),
        ("plot", "pretrained:tiny", "training"),
        ("estimate", "pretrained:tiny", "--backend", "fake_torino", "--limit", 2),
        ("submit", "pretrained:tiny", "--backend", "aer_shots", "--limit", 2, "--shots", 2),
        ("refit", "pretrained:tiny", "--backend", "exact", "--samples", 40),
        ("runs", "export", "pretrained:tiny"),
    ):
        status, out, err = run(*command)
        assert status == 0, (command, err)
        assert "site-packages" not in out + err, command
    made = {str(path) for path in Path("runs/pretrained").rglob("*") if path.is_file()}
    files = ("evaluations.jsonl", "report.html", "figures/training.png")
    assert made == {f"runs/pretrained/tiny/{file}" for file in files}
    (submission,) = json.loads(run("jobs", "list", "--json")[1])["submissions"]
    assert submission["metadata"]["run"] == "pretrained:tiny"
    refitted = SavedRun.open("tiny-refit-exact")
    assert refitted.folder.description()["refit"]["of"] == "pretrained:tiny"
    assert refitted.path.stat().st_mode & 0o777 == 0o700
    assert refitted.noisy_circuit is not None
    with zipfile.ZipFile("tiny.zip") as archive:
        archive.extractall("elsewhere")
    unpacked, opened = SavedRun.open("elsewhere/tiny"), SavedRun.open("pretrained:tiny")
    assert unpacked.noisy_circuit is not None
    assert (unpacked.card, unpacked.evaluations) == (opened.card, opened.evaluations)
    assert len(opened.evaluations) == 1
    monkeypatch.setattr("qlam_qiskit.runs.run_folder.find_pretrained", lambda: {"tiny": shipped})
    assert SavedRun.open(shipped).folder.reference == "pretrained:tiny"


def test_an_outcome_that_cannot_be_kept_is_told_all_the_same(run, shipped, monkeypatch):
    monkeypatch.setenv("QLAM_HOME", "small.npz")
    status, out, err = run("evaluate", "pretrained:tiny", "--limit", 5)
    assert (status, "of 5 test samples" in out) == (0, True)
    assert err.splitlines()[-1].startswith("not kept: small.npz/pretrained/tiny: cannot be written: ")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("runs", "remove", "pretrained:tiny", "--yes"), "comes with the package, and stays as it is"),
        (("train", "small.yaml", "--out", "pretrained:mine"), "only runs that come with the package are called"),
        (("refit", "pretrained:tiny", "--samples", 40, "--out", "pretrained:mine"), "only runs that come with the"),
    ],
)
def test_they_are_neither_removed_nor_made(run, shipped, command, said):
    status, out, err = run(*command)
    assert (status, out) == (2, "")
    assert said in err and len(err.strip().splitlines()) == 1


def test_they_are_not_trained_on(shipped, quiet):
    experiment = RunFolder(shipped).experiment()
    with pytest.raises(ConfigurationError, match="pretrained:tiny: comes with the package, and stays as it is"):
        train(experiment, "tiny", quiet, out=Path("pretrained:tiny"), resume=True)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("pretrained:digits_devic", "; did you mean digits_device?"),
        ("pretrained:../pretrained/smnist", "no such run comes with the package; there are: "),
        (f"pretrained:{ROOT}/qlam_qiskit/pretrained/smnist", "no such run comes with the package; there are: "),
        ("pretrained:", "no such run comes with the package; there are: "),
        ("smnist", "; did you mean pretrained:smnist?"),
    ],
)
def test_another_name_is_one_line(run, empty, asked, said):
    for command in (("evaluate", asked), ("runs", "show", asked), ("plot", asked)):
        status, out, err = run(*command)
        assert (status, out, len(err.strip().splitlines())) == (1, "", 1)
        assert err.startswith(f"Error: {asked}: ") and said in err


def test_images_that_are_missing_are_asked_for(run, empty):
    status, out, err = run("evaluate", "pretrained:mnist_rows", "--backend", "fake_torino", "--data-dir", "data")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "`qlam data fetch mnist --data-dir data`" in err


def test_they_are_listed_with_the_figures_that_came_with_them(run, empty):
    own = empty / "runs" / "pretrained" / "smnist_device"
    own.mkdir(parents=True)
    mine = {"accuracy": 0.05, "samples": 60_000, "backend": "mine", "shots": 1}
    (own / "evaluations.jsonl").write_text(json.dumps(mine))
    status, out, _ = run("runs", "list", "--pretrained", "--json")
    rows = {row["name"]: row for row in json.loads(out)["runs"]}
    assert status == 0 and rows.keys() == {f"pretrained:{name}" for name in NAMES}
    assert rows["pretrained:smnist"]["noiseless"] == 0.9926
    assert {"exact_torino", "exact_boston"} == rows["pretrained:smnist_device"]["noisy"].keys()
    status, out, _ = run("runs", "list", "--pretrained")
    assert status == 0 and "99.26%" in out and "pretrained:digits_device" in out and "fake_torino" in out
    assert "mine" in run("runs", "show", "pretrained:smnist_device")[1]
    assert json.loads(run("runs", "list", "--json")[1]) == {"runs": []}


def test_a_card_is_shown(run, empty):
    _, out, _ = run("runs", "show", "pretrained:digits_device")
    card = SavedRun.open("pretrained:digits_device").card
    for text in (card.about, card.data, card.again, card.hardware, *card.good_for, *card.not_for, card.license):
        assert text in out
    assert "98.61% of 360 test samples on exact (exact)" in out and "on fake_torino" in out
    assert json.loads(run("runs", "show", "pretrained:smnist", "--json")[1])["card"]["again"] == "qlam train smnist"


def test_the_page_is_of_the_cards_and_records(maker):
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page(), "run python docs/pretrained.py page"


@pytest.mark.parametrize("name", NAMES)
def test_keeping_a_run_makes_the_files_that_are_there(name, maker, empty, monkeypatch):
    monkeypatch.setattr(maker, "ROOT", empty)
    folder = find_pretrained()[name]
    assert contents(maker.keep(SavedRun(RunFolder(folder)), name)) == contents(folder)


def test_a_run_of_ones_own_can_be_kept(maker, small_experiment, quiet, monkeypatch):
    folder, _ = train(load_experiment(small_experiment, ("training.epochs=1",)), "small", quiet)
    Run.open(folder.path).evaluate("exact", limit=5)
    monkeypatch.setattr(maker, "ROOT", Path.cwd())
    kept = RunFolder(maker.keep(SavedRun.open("small"), "mine"))
    assert [row["run"] for row in kept.evaluations()] == ["pretrained:mine"]
    assert kept.weights_digest() == folder.weights_digest()
    monkeypatch.setattr(maker, "MOST_BYTES", 1000)
    with pytest.raises(SystemExit, match="more than 1,000"):
        maker.keep(SavedRun.open("small"), "mine")


def test_a_name_of_a_new_run_is_not_one_of_these(small_experiment, quiet):
    with pytest.raises(ConfigurationError, match="only runs that come with the package are called pretrained:NAME"):
        train(load_experiment(small_experiment), "pretrained:mine", quiet)
