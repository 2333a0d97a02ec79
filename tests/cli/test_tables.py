"""Lists on a window of 80 columns: names and numbers stay whole, and nothing is cut or runs over the edge."""

import pytest
from rich.table import Column

from qlam_qiskit.cli.tables import Parts, print_described, print_table
from qlam_qiskit.runs import find_pretrained


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_a_name_is_broken_after_its_own_marks_and_stays_the_same():
    name = "pretrained:sfashion_device/a--b"
    assert str(Parts.of_name(name)) == name
    assert Parts.of_name(name).lines(80) == [name]
    assert Parts.of_name(name).lines(14) == ["pretrained:", "sfashion_", "device/a--b"]
    assert Parts.of_name("").lines(5) == [""]
    assert Parts.of_name("unbroken").lines(3) == ["unbroken"]


def test_the_widest_columns_give_way_and_no_further_than_needed(monkeypatch, capsys):
    rows = [("0123456789", Parts.of_name("first:second_third"), Parts.of_name("ab_cd"), Parts(["1 saved, ", "2 sent"]))]
    columns = (Column("id", no_wrap=True), "name", "where", "jobs")

    def printed(width):
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(columns, rows)
        return [line.split() for line in capsys.readouterr().out.splitlines()[1:]]

    assert printed(60) == [["0123456789", "first:second_third", "ab_cd", "1", "saved,", "2", "sent"]]
    assert printed(51) == [["0123456789", "first:second_", "ab_cd", "1", "saved,", "2", "sent"], ["third"]]
    assert printed(38) == [
        ["0123456789", "first:", "ab_cd", "1", "saved,"],
        ["second_", "2", "sent"],
        ["third"],
    ]


def test_rows_that_have_nothing_to_break_are_a_table_too(narrow, capsys):
    print_table(("name", "what"), [])
    print_table(("name", "what"), [("one", Parts())])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["name", "what"]] * 2 + [["one"]]


def test_what_is_described_fits_the_window_and_is_one_line_for_programs(narrow, monkeypatch, capsys):
    described = [("about", "a word, " * 20), ("empty", ""), ("again", "x" * 90)]
    print_described(described, 8)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:8].strip() for line in lines] == ["about", "", "", "empty", "again"]
    assert all(len(line) <= 80 for line in lines[:4])
    assert lines[4].endswith("x" * 90)
    monkeypatch.delenv("COLUMNS")
    print_described(described, 8)
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_trained_memories_have_a_line_for_each_figure(run, narrow):
    _, out, _ = run("runs", "list", "--pretrained")
    lines = out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert {f"pretrained:{name}" for name in find_pretrained()} <= {line.split()[0] for line in lines}
    noisy = [line.rstrip()[62:] for line in lines[1:] if line.rstrip()[62:]]
    assert "98.6% fake_torino" in noisy
    assert all(line.split()[0].endswith("%") and len(line.split()) == 2 for line in noisy)


@pytest.mark.parametrize("name", find_pretrained())
def test_a_model_card_fits_the_window(run, narrow, name):
    _, out, _ = run("runs", "show", f"pretrained:{name}")
    assert all(len(line) <= 80 for line in out.splitlines())
    assert {"about", "data", "hardware", "license", "again"} <= {line[:12].strip() for line in out.splitlines()}
