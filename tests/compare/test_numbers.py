"""Comparisons of models that predict numbers: NRMSE from the search to the table, and sound records alone."""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from qlam_qiskit.compare import check_records, load_comparison
from qlam_qiskit.compare.pages import details
from qlam_qiskit.compare.records import Records
from qlam_qiskit.errors import QlamError
from qlam_qiskit.plain_yaml import dump_yaml

SERIES = {
    "description": "Two maps",
    "data": {"dataset": "series", "steps": 30, "washout": 4, "train_samples": 20, "test_samples": 9},
    "vary": {"key": "system", "values": ["henon", "lorenz"]},
    "training": {"epochs": 2, "batch_size": 8, "validation_fraction": 0.2},
    "search": {"multipliers": [0.3, 1.0], "train_limit": 12},
    "budget": {"parameters": 60, "tolerance": 0.2},
    "seeds": [0, 1],
    "contenders": 1,
    "models": {
        "gru": {"label": "GRU", "model": {"kind": "gru", "embedding": {"kind": "linear", "width": 2}}},
        "delays": {"label": "Ridge", "smaller": True, "model": {"kind": "delays", "width": 3}},
    },
    "reference": "gru",
}
OUT = Path("results/small")


@pytest.fixture
def series(tmp_path, monkeypatch):
    """Write the comparison as ./small.yaml in a folder of its own, and make it the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QLAM_HOME", raising=False)
    Path("small.yaml").write_text(dump_yaml(SERIES))


def record(name):
    return json.loads((OUT / f"{name}.json").read_text())


def test_errors_are_compared_from_the_search_to_the_table(series, run, quiet):
    run()
    search = {path.stem: json.loads(path.read_text()) for path in (OUT / "search").iterdir()}
    for case in ("henon", "lorenz"):
        errors = {rate: search[f"{case}-gru-x{rate:g}"]["validation_nrmse"] for rate in (0.3, 1.0)}
        values = record(f"{case}-gru-seed0")
        assert values["multiplier"] == min(errors, key=errors.get)
        assert len(values["errors"]) == values["test_samples"] == 9
        assert "test_accuracy" not in values
        assert record(f"{case}-delays-seed0")["parameters"] == 4
        assert record(f"{case}-delays-seed1")["test_nrmse"] > 0
    table = json.loads((OUT / "table.json").read_text())
    for entry in table:
        rows = {row["model"]: row for row in entry["rows"]}
        runs = [record(f"{entry['case']}-delays-seed{seed}")["test_nrmse"] for seed in (0, 1)]
        assert rows["delays"]["test_nrmse"] == pytest.approx(np.mean(runs))
        gain = rows["delays"]["test_nrmse"] - rows["gru"]["test_nrmse"]
        assert entry["test"]["seeds"]["difference"] == pytest.approx(gain)
        better = (
            np.array(record(f"{entry['case']}-gru-seed0")["errors"]) < record(f"{entry['case']}-delays-seed0")["errors"]
        )
        assert entry["test"]["samples"][0]["only_first"] == better.sum()
    text = details(Path("results"))
    assert "| test NRMSE | Henon, 1 step ahead | Lorenz x, 1 step ahead |" in text
    assert "of NRMSE over n = 2 seeds" in text
    said = []
    found = check_records(
        load_comparison("small.yaml"), "small", lambda job: nullcontext(quiet), out=OUT, say=said.append
    )
    assert len(found) == 8
    assert all("the same numbers" in line for line in said)
    values = record("henon-gru-seed0")
    (OUT / "henon-gru-seed0.json").write_text(
        json.dumps({**values, "errors": [value + 1 for value in values["errors"]]})
    )
    with pytest.raises(QlamError, match=r"1 of 8 runs differ from results.small: henon-gru-seed0"):
        check_records(load_comparison("small.yaml"), "small", lambda job: nullcontext(quiet), out=OUT, say=said.append)
    assert "henon-gru-seed0: NRMSE" in said[-1] or any("henon-gru-seed0: NRMSE" in line for line in said)
    for damage in ({"errors": None}, {"errors": [0.1]}, {"validation_nrmse": None}):
        (OUT / "henon-gru-seed0.json").write_text(json.dumps({**values, **damage}))
        with pytest.raises(QlamError, match=next(iter(damage))):
            Records(OUT).runs()


def test_what_a_table_says_of_errors_is_what_the_models_answer(series, run):
    run(models=["delays"], seeds=[0], cases=["henon"])
    values = record("henon-delays-seed0")
    assert np.mean(values["errors"]) == pytest.approx(values["test_loss"], rel=1e-4)
    assert torch.tensor(values["errors"]).min() >= 0
