"""A slip of the finger is answered with what was probably meant, and the shell completes names."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from qlam_qiskit.cli import qlam
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean train?"),
        (["jobs", "ftech"], "No such command 'ftech'. Did you mean fetch?"),
        (["backends", "xyz"], "No such command 'xyz'. There are: check, list, show."),
        (["train", "digits", "--sed", 3], "No such option '--sed'. (Did you mean one of: '--seed', '--set'?)"),
        (["train", "digits", "--epoch", 3], "Did you mean '--set training.epochs=VALUE'?"),
        (["train", "digit"], "; did you mean digits"),
        (["train", "DIGITS"], "; did you mean digits"),
        (["train", "digits", "--backend", "aer_shot"], "; did you mean aer_shots"),
        (["backends", "show", "fake_torin"], "; did you mean fake_torino"),
        (["backends", "check", "fake_torin"], "; did you mean fake_torino"),
        (["circuits", "draw", "rnig"], "; did you mean ring?"),
        (["bench", "--template", "rnig"], "; did you mean ring?"),
        (["compare", "sminst"], "; did you mean smnist"),
        (["evaluate", "smal"], "; did you mean small?"),
        (["plot", "runs/smal"], "; did you mean small?"),
        (["plot", "small", "trainig"], "; did you mean training?"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_what_was_probably_meant(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QLAM_HOME", raising=False)
    Path("runs/small").mkdir(parents=True)
    Path("runs/small/experiment.yaml").write_text("{}")
    status, out, err = run(*arguments)
    assert status in (1, 2) and out == ""
    assert message in err
    assert sum(line.startswith("Error: ") for line in err.splitlines()) == 1


def test_nothing_near_is_nothing_suggested():
    assert did_you_mean("zzz", ["train", "plot"]) == "" and did_you_mean("x", []) == ""


def _offered(line, incomplete):
    completer = ShellComplete(qlam, {}, "qlam", "_QLAM_COMPLETE")
    return {item.value for item in completer.get_completions(line.split(), incomplete)}


def test_names_are_completed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QLAM_HOME", raising=False)
    Path("experiments").mkdir()
    Path("experiments/mine.yaml").write_text("{}")
    for name in ("mine", "mine-2", "evil\x1b[2J"):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "experiment.yaml").write_text("{}")
    Path("own.yaml").write_text(dump_yaml({"default": "own", "backends": {"own": {"kind": "exact"}}}))
    assert _offered("train", "mi") == {"mine"}
    assert {"mine", "mine-2", "runs/mine"} <= _offered("evaluate", "")
    assert {"pretrained:digits_device", "pretrained:smnist"} <= _offered("evaluate", "pre")
    assert _offered("report", "ev") == {"ev"}  # a file, for the shell to complete
    assert _offered("evaluate mine --backend", "aer_") == {"aer_shots"}
    assert _offered("evaluate mine --backends own.yaml --backend", "") == {"own"}
    assert _offered("backends check", "fake_t") == {"fake_torino"}
    assert "ring" in _offered("circuits draw", "r") and "ring" in _offered("bench --template", "r")
    assert "smnist" in _offered("compare", "sm")
    assert _offered("jobs show", "2") == set()
    assert {"training", "tokens"} & _offered("plot mine", "tr") == {"training"}
    assert _offered("", "tra") == {"train"}
    Path("backends.yaml").write_text("{")
    assert _offered("backends check", "") == set()


def test_a_shell_gets_completions():
    words = {"COMP_WORDS": "qlam circuits draw ri", "COMP_CWORD": "3", "_QLAM_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-m", "qlam_qiskit"], capture_output=True, text=True, env={**os.environ, **words}, check=True
    )
    assert "plain,ring" in done.stdout.splitlines() and done.stderr == ""


def test_every_name_that_is_asked_for_is_completed():
    """A new command's argument is forgotten easily; those without names of ours to offer are listed here."""
    without = {("data fetch", "name"), ("search", "space")}
    missing = set()

    def walk(command, path):
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                walk(command.get_command(click.Context(command), name), [*path, name])
            return
        for parameter in command.params:
            named = isinstance(parameter, click.Argument) or parameter.name in ("backend", "submission", "template")
            if named and parameter._custom_shell_complete is None:
                missing.add((" ".join(path), parameter.name))

    walk(qlam, [])
    assert missing == without
