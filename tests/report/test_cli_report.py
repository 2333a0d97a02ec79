"""``qlam report`` and ``qlam plot`` from the command line."""

import json

import pytest


def test_report_prints_one_json_object(run, symbol_run, tmp_path):
    page = tmp_path / "page.html"
    status, out, err = run("report", symbol_run, "--out", page, "--samples", 1, "--limit", 12, "--json")
    assert status == 0, err
    result = json.loads(out)
    assert result["report"] == str(page)
    assert "confusion" in result["figures"]
    assert "readouts" in result["left_out"]
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_people_get_the_path(run, symbol_run, tmp_path):
    status, out, _ = run("plot", symbol_run, "training", "--format", "svg", "--out", tmp_path)
    assert (status, out) == (0, f"{tmp_path / 'training.svg'}\n")


def test_plot_prints_one_json_object(run, symbol_run, tmp_path):
    status, out, _ = run("plot", symbol_run, "training", "circuit", "--out", tmp_path, "--json")
    assert status == 0
    assert json.loads(out)["files"] == [str(tmp_path / "training.png"), str(tmp_path / "circuit.png")]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["report", "nothing"], 1, "nothing: no such run"),
        (["report", "RUN", "--samples", "0"], 2, "--samples"),
        (["report", "RUN", "--noise", "Tornio"], 2, "no fake device 'Tornio'"),
        (["report", "RUN", "--out", "no/page.html"], 1, "cannot be written"),
        (["plot", "RUN", "curve"], 2, "unknown figure 'curve'; available: training"),
        (["plot", "RUN", "training", "--format", "gif"], 2, "--format"),
        (["plot", "RUN", "backends"], 1, "backends: the run was evaluated on none yet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_a_status(run, symbol_run, tmp_path, monkeypatch, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*(symbol_run if word == "RUN" else word for word in arguments))
    assert found == status, err
    assert out == ""
    assert message in err
    assert len([line for line in err.splitlines() if line.startswith("Error: ")]) == 1
    assert list(tmp_path.iterdir()) == []
