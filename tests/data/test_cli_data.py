"""``qlam data``: what it prints, and that its errors reach the main program."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from qlam_qiskit.cli.data import data
from qlam_qiskit.errors import ConfigurationError, DataError


def _run(*arguments):
    return CliRunner().invoke(data, [str(argument) for argument in arguments], catch_exceptions=False)


def test_list_as_json_is_one_object(mnist_dir):
    result = _run("list", "--data-dir", mnist_dir, "--json")
    assert result.exit_code == 0
    listed = {entry["name"]: entry for entry in json.loads(result.stdout)["datasets"]}
    assert listed["mnist"]["present"] is True
    assert listed["mnist"]["train"] == 30
    assert listed["cifar10"]["present"] is False


def test_list_shows_every_data_set(mnist_dir):
    result = _run("list", "--data-dir", mnist_dir)
    assert result.exit_code == 0
    for name in ("digits", "mnist", "fashion_mnist", "cifar10", "copying", "recall", "npz", "file"):
        assert name in result.stdout


def test_fetch_reports_what_is_there_already(cifar_dir):
    result = _run("fetch", "cifar10", "--data-dir", cifar_dir, "--json")
    assert json.loads(result.stdout) == {
        "name": "cifar10",
        "folder": str(cifar_dir / "cifar10" / "cifar-10-batches-bin"),
        "downloaded": [],
        "kept": ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"],
    }
    assert "0 files downloaded, 3 already there" in _run("fetch", "cifar10", "--data-dir", cifar_dir).stdout


def test_errors_reach_the_caller(tmp_path):
    with pytest.raises(ConfigurationError, match="not a data set to download"):
        _run("fetch", "minst")
    with pytest.raises(DataError, match="no such data folder"):
        _run("list", "--data-dir", tmp_path / "nowhere")


@pytest.mark.parametrize("command", [[], ["list"], ["fetch"]])
def test_help_has_an_example(command):
    assert "Example: qlam data" in _run(*command, "--help").output


def test_help_imports_no_heavy_library():
    code = (
        "import sys; from qlam_qiskit.cli.data import data; data(['--help'], standalone_mode=False);"
        "sys.exit(str([m for m in ('numpy', 'pydantic', 'pooch', 'rich', 'sklearn') if m in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == "[]"
