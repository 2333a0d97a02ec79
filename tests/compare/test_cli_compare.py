"""``qlam compare`` at the command line."""

import json

import pytest
from click.testing import CliRunner
from made_up_results import change_record

from qlam_qiskit.cli import qlam
from qlam_qiskit.compare.records import Records
from qlam_qiskit.compare.tables import make_table
from qlam_qiskit.errors import ConfigurationError


def invoke(*arguments):
    result = CliRunner().invoke(qlam, ["compare", *arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_progress_goes_to_stderr_and_the_table_to_stdout(small):
    result = invoke("small.yaml", "--models", "gru", "--seeds", "0")
    assert result.stdout.splitlines()[2].startswith("| task | model |")
    assert "| GRU |" in result.stdout
    assert "gru-x0.3" in result.stderr
    assert "gru-seed0: " in result.stderr


def test_trainings_are_counted_with_the_time_left_and_a_second_time_nothing_is_trained(small):
    first = invoke("small.yaml").stderr.splitlines()
    counted = [line for line in first if line.startswith("training ")]
    # Two rates of two models, one seed of each, then the second seed of both.
    assert [line.split(",")[0] for line in counted[:2]] == ["training 1 of 8: qlam-x0.3", "training 2 of 8: qlam-x1"]
    assert len(counted) == 8
    assert counted[-1].startswith("training 8 of 8: ")
    assert all(" left" in line for line in counted[1:])
    assert "nothing was trained" not in "".join(first)
    again = invoke("small.yaml")
    assert again.stderr == "nothing was trained: results/small has the records of all 8 trainings already\n"
    assert "| GRU |" in again.stdout


def test_a_terminal_gets_a_table_of_its_own(results, capsys):
    from qlam_qiskit.cli.compare import _print_table
    from qlam_qiskit.compare import load_comparison

    folder = results / "made_up"
    change_record(folder / "rnn-seed0.json", environment={"processor": "one", "gpu": "a card"})
    comparison = load_comparison(str(folder / "comparison.yaml"))
    _print_table(comparison, make_table(comparison, Records(folder)))
    out = capsys.readouterr().out
    assert "test accuracy, %" in out
    assert "|" not in out
    assert out.count("10 (GPU)") == 1
    for contestant in comparison.models.values():
        assert contestant.label in out


def test_json_is_one_object(small):
    result = invoke("small.yaml", "--models", "gru", "--seeds", "0", "--out", "there", "--json")
    (entry,) = json.loads(result.stdout)["table"]
    assert entry["rows"][0]["seeds"] == [0]
    checked = json.loads(invoke("small.yaml", "--out", "there", "--check", "--json").stdout)
    assert checked["checked"][0]["same_metrics"] is True


@pytest.mark.parametrize(("text", "seeds"), [("0-2", [0, 1, 2]), ("0,5", [0, 5]), ("3,1-2,1", [3, 1, 2])])
def test_seeds_are_numbers_and_ranges(text, seeds):
    from qlam_qiskit.cli.compare import _parse_seeds

    assert _parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["a", "1-", "2-1", "", "1,,2", "-1"])
def test_other_seeds_are_refused(small, text):
    with pytest.raises(ConfigurationError, match="expected numbers and ranges, such as 0-2 or 0,5"):
        invoke("small.yaml", "--seeds", text)
