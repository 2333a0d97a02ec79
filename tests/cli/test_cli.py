"""The command line as a user meets it: help, exit statuses, one JSON object, one line for every mistake."""

import json
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from small_data import write_small_data

from qlam_qiskit.cli import qlam
from qlam_qiskit.plain_yaml import dump_yaml, parse_yaml


def commands(group=qlam, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_an_example(path, run):
    status, out, _ = run(*path, "--help")
    assert status == 0
    assert f"Example: qlam {path[0]}" in " ".join(out.split())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_readme_names_every_command(path):
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text()
    assert f"qlam {' '.join(path)}" in readme


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from qlam_qiskit.cli import qlam;"
        "assert CliRunner().invoke(qlam, ['--help']).exit_code == 0;"
        "heavy = {'torch', 'qiskit', 'numpy', 'numba', 'pydantic', 'rich', 'yaml'} & sys.modules.keys();"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_checkouts_script_and_the_module_are_the_command():
    for script in ([str(Path(__file__).parent.parent.parent / "cli.py")], ["-m", "qlam_qiskit"]):
        began = time.monotonic()
        done = subprocess.run([sys.executable, *script, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("qlam, version")
        assert time.monotonic() - began < 30


def test_train_and_evaluate_print_one_json_object(run, small_experiment):
    status, out, err = run("train", small_experiment, "--json")
    assert status == 0, err
    trained = json.loads(out)
    assert trained["run"] == "runs/small"
    assert "epoch   3/3" in err
    status, out, _ = run("evaluate", "runs/small", "--backend", "aer_shots", "--shots", 512, "--limit", 30, "--json")
    result = json.loads(out)
    assert status == 0
    assert {"accuracy": float, "samples": int, "backend": str, "shots": int, "seconds": float}.items() <= {
        key: type(value) for key, value in result.items()
    }.items()
    assert (result["samples"], result["backend"], result["shots"]) == (30, "aer_shots", 512)


def test_people_get_a_sentence(run, small_experiment):
    _, out, _ = run("train", small_experiment)
    assert "of 120 test samples" in out
    assert out.rstrip().endswith("runs/small")
    _, out, _ = run("evaluate", "small")
    assert "on exact (exact)" in out


def test_circuits_are_listed_drawn_and_exported(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run("circuits", "list", "--json")
    names = {row["name"] for row in json.loads(out)["circuits"]}
    assert status == 0
    assert {"ring", "line", "brickwork", "reuploading", "ising"} <= names
    assert "Rzz" in run("circuits", "draw", "ring", "--qubits", 2)[1] or "ZZ" in run("circuits", "draw", "ring")[1]
    assert run("circuits", "draw", "line", "--out", "line.png")[0] == 0
    assert Path("line.png").read_bytes().startswith(b"\x89PNG")
    assert "OPENQASM 3" in run("circuits", "export", "line", "--steps", 2)[1]
    assert run("circuits", "export", "line", "--steps", 2, "--format", "qpy", "--out", "line.qpy")[0] == 0
    from qiskit import qpy

    with Path("line.qpy").open("rb") as file:
        (circuit,) = qpy.load(file)
    assert circuit.num_qubits == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["line.png", "line.qpy"]


def test_a_template_of_the_users_own_is_drawn(run, tmp_path):
    own = tmp_path / "own.py"
    source = Path(__file__).parent.parent.parent / "circuits" / "line.py"
    own.write_text(source.read_text().replace('name="line"', 'name="mine"'))
    status, out, _ = run("circuits", "draw", "own", "--path", own, "--option", "layers=2")
    assert status == 0
    assert "theta[13]" in out


def test_experiments_are_listed(run):
    _, out, _ = run("experiments", "list", "--json")
    assert "smnist" in {row["name"] for row in json.loads(out)["experiments"]}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "digit"], 2, "unknown experiment 'digit'; available:"),
        (["train", "digits", "--set", "model.qubits=4"], 2, "unknown key model.qubits; valid keys:"),
        (["train", "digits", "--set", "training.epochs=few"], 2, "training.epochs:"),
        (["train", "digits", "--backend", "qpu"], 2, "qpu"),
        (["train", "digits", "--seed", "-1"], 2, "--seed"),
        (["train", "digits", "--set", "model.circuit.template=star"], 2, "unknown circuit template 'star'; available:"),
        (["train", "digits", "--set", "model.circuit.options.depth=2"], 2, "unknown option 'depth'"),
        (["train", "digits", "--set", "data.train_limit=0"], 2, "data.train_limit"),
        (["train", "mnist_rows", "--data-dir", "EMPTY"], 1, "train-images-idx3-ubyte"),
        (["train", "missing.yaml"], 2, "missing.yaml: no such file"),
        (["evaluate", "nothing"], 1, "nothing: no such run"),
        (["evaluate", "nothing", "--limit", "0"], 2, "--limit"),
        (["circuits", "draw", "star"], 2, "unknown circuit template 'star'; available: brickwork, damped_line"),
        (["circuits", "draw", "line", "--out", "a.gif"], 2, "must end in .png, .svg or .pdf"),
        (["circuits", "draw", "line", "--out", "no/such/folder.png"], 1, "cannot be written"),
        (["circuits", "export", "line", "--format", "qpy"], 2, "--out"),
        (["bench", "--qubits", "17"], 2, "17"),
        (["bench", "--template", "star"], 2, "unknown circuit template"),
        (["trian"], 2, "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_a_status(run, tmp_path, tmp_path_factory, monkeypatch, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    empty = tmp_path_factory.mktemp("data")
    (empty / "mnist").mkdir()
    found, out, err = run(*(str(empty) if word == "EMPTY" else word for word in arguments))
    assert found == status, err
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_template_with_an_unsupported_gate_names_it(run, small_experiment):
    Path("circuits").mkdir()
    source = Path(__file__).parent.parent.parent / "circuits" / "line.py"
    gate = '__import__("qiskit").circuit.Gate("mystery", 1, [])'
    Path("circuits/opaque.py").write_text(
        source.read_text().replace("    angles = iter", f"    update.append({gate}, [1])\n    angles = iter")
    )
    status, _, err = run("train", small_experiment, "--set", "model.circuit.template=opaque")
    assert status == 1
    assert "instruction 6: 'mystery' on qubits [1] is not supported" in err
    assert not Path("runs").exists()


def test_not_a_number_in_the_data_is_named(run, small_experiment):
    write_small_data("small.npz", spoil=float("nan"))
    status, _, err = run("train", small_experiment)
    assert status == 1
    assert "small" in err
    assert len(err.strip().splitlines()) == 1


def test_a_corrupt_checkpoint_is_one_line(run, small_experiment):
    run("train", small_experiment)
    path = Path("runs/small/checkpoints/best.safetensors")
    path.write_bytes(path.read_bytes()[:200])
    status, out, err = run("evaluate", "runs/small")
    assert (status, out) == (1, "")
    assert "best.safetensors: the checkpoint is damaged" in err


def test_a_value_of_the_wrong_type_in_a_file_is_named(run, small_experiment):
    values = parse_yaml(Path(small_experiment).read_text())
    values["model"]["registers"] = "two"
    Path(small_experiment).write_text(dump_yaml(values))
    status, _, err = run("train", small_experiment)
    assert status == 2
    assert "small.yaml: model.registers:" in err
    assert "'two'" in err


def test_a_template_that_ends_the_program_does_not_end_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("circuits").mkdir()
    Path("circuits/quits.py").write_text("import sys\nsys.exit(0)\n")
    Path("circuits/loop.py").symlink_to("loop.py")
    command = [sys.executable, "-m", "qlam_qiskit", "train", "digits", "--set", "model.circuit.template=quits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("Error: ") and "quits.py" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not Path("runs").exists()
    listed = subprocess.run([*command[:3], "circuits", "list"], capture_output=True, text=True, check=False)
    assert listed.returncode == 0 and "quits" in listed.stdout
