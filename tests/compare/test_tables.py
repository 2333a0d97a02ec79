"""Tables from a made-up results folder, and the committed ones from the real one."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_up_results import COMPARISON, change_record, write_run
from scipy import stats

from qlam_qiskit.compare import Comparison, load_comparison
from qlam_qiskit.compare.pages import details
from qlam_qiskit.compare.records import Records, pack, unpack
from qlam_qiskit.compare.tables import make_table, to_markdown
from qlam_qiskit.configuration import check

REPOSITORY = Path(__file__).parents[2]


def table_of(results):
    return make_table(check(Comparison, COMPARISON, "test"), Records(results / "made_up"))


def test_rows_are_means_over_seeds_reference_first_then_the_best(results):
    (entry,) = table_of(results)
    assert [row["model"] for row in entry["rows"]] == ["qlam", "gru", "rnn"]
    ours = entry["rows"][0]
    assert ours["test_accuracy"] == pytest.approx(np.mean([0.90, 0.94, 0.95]))
    assert ours["deviation"] == pytest.approx(np.std([0.90, 0.94, 0.95], ddof=1))
    assert (ours["seeds"], ours["train_seconds"]) == ([0, 1, 2], 11.0)
    assert entry["rows"][2]["deviation"] is None


def test_seconds_are_those_of_processors_and_a_row_of_a_gpu_alone_says_so(results):
    for seed in (0, 2):
        change_record(results / "made_up" / f"gru-seed{seed}.json", environment={"processor": "one", "gpu": "a card"})
    change_record(results / "made_up" / "rnn-seed0.json", environment={"processor": "one", "gpu": "a card"})
    table = table_of(results)
    rows = {row["model"]: row for row in table[0]["rows"]}
    assert (rows["gru"]["train_seconds"], rows["gru"]["gpu"]) == (11.0, False)
    assert (rows["rnn"]["train_seconds"], rows["rnn"]["gpu"]) == (10.0, True)
    text = to_markdown(check(Comparison, COMPARISON, "test"), "made_up", table)
    assert "| 10 (GPU) |" in text
    assert "or on one GPU where that is said" in text


def test_the_reference_is_tested_against_the_best_baseline_of_the_same_seeds(results):
    (entry,) = table_of(results)
    test = entry["test"]
    expected = stats.ttest_rel([0.90, 0.94, 0.95], [0.88, 0.90, 0.93])
    assert test["baseline"] == "gru"
    assert (test["seeds"]["t"], test["seeds"]["p"]) == (
        pytest.approx(expected.statistic),
        pytest.approx(expected.pvalue),
    )
    assert [one["only_first"] for one in test["samples"]] == [2, 4, 2]
    assert [one["only_second"] for one in test["samples"]] == [0, 0, 0]


def test_the_best_baseline_is_named_by_validation_accuracy_and_is_no_variant_of_the_reference(results):
    models = {**COMPARISON["models"], "old": {"label": "QLAM before", "model": {"registers": 2}, "ours": True}}
    comparison = check(Comparison, {**COMPARISON, "models": models}, "test")
    for seed, validation in enumerate((0.9, 0.8)):
        write_run(results / "made_up", "old", seed, 99)
        change_record(results / "made_up" / f"old-seed{seed}.json", validation_accuracy=validation)
    assert table_of(results)[0]["test"]["baseline"] == "gru"
    change_record(results / "made_up" / "rnn-seed0.json", validation_accuracy=0.7, variant={"layers": 2})
    (entry,) = make_table(comparison, Records(results / "made_up"))
    assert [row["model"] for row in entry["rows"]] == ["qlam", "old", "gru", "rnn"]
    assert entry["test"]["baseline"] == "rnn"
    text = to_markdown(comparison, "made_up", [entry])
    assert "| QLAM before | 1,234 | 99.00 +- 0.00 | **-7.00** | 2 |" in text  # of the seeds that both have
    assert "| 40.00 | +50.00 | 1 | rates x1, layers 2 |" in text


def test_markdown_keeps_reported_figures_apart(results):
    text = details(results)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    rows = rows[next(number for number, row in enumerate(rows) if "seeds" in row) :]
    assert rows[0][3:6] == ["test accuracy, %", "QLAM better by", "seeds"]
    assert rows[0][6:] == ["chosen", "s per run", "paper, %", "published, %"]
    assert "Made up. `qlam compare made_up`: 5,000 training and 100 test samples, 3 epochs" in text
    assert rows[2] == ["digits", "QLAM", "1,234", "93.00 +- 2.65", "", "3", "rates x1", "11", "92.6 +- 0.15", ""]
    assert rows[4] == ["digits", "RNN", "1,234", "40.00", "+50.00", "1", "rates x1", "10", "", "97"]
    assert "digits: QLAM against GRU, the best baseline: +2.67 points over n = 3 seeds, paired t = 4.00, df = 2" in text
    assert "seed 1: 4 better by QLAM, 0 by GRU, p = 0.12" in text
    assert "QLAM 92.6 +- 0.15 (a paper); RNN 97 (a book)" in text


def test_one_seed_has_no_deviation_and_no_t(results):
    for path in (results / "made_up").glob("*-seed[12].json"):
        path.unlink()
    text = to_markdown(check(Comparison, COMPARISON, "test"), "made_up", table_of(results))
    assert "| 90.00 |  | 1 |" in text
    assert "one seed, so no test over seeds" in text


def test_without_the_reference_there_is_a_table_but_no_test(results):
    for path in (results / "made_up").glob("qlam-*.json"):
        path.unlink()
    (entry,) = table_of(results)
    assert [row["model"] for row in entry["rows"]] == ["gru", "rnn"]
    assert entry["test"] is None


@pytest.mark.parametrize("shape", [(7, 1), (8, 3), (10_000, 1)])
def test_packing_loses_nothing_and_is_small(shape):
    correct = np.random.default_rng(0).random(shape) < 0.9
    packed = pack(correct)
    assert np.array_equal(unpack(packed), correct)
    assert len(packed["bits"]) <= correct.size / 8 * 4 / 3 + 4


def test_committed_tables_are_those_of_the_committed_records():
    for path in sorted((REPOSITORY / "results").glob("*/comparison.yaml")):
        comparison, folder = load_comparison(str(path)), path.parent
        table = make_table(comparison, Records(folder))
        assert json.loads((folder / "table.json").read_text()) == json.loads(json.dumps(table))
        assert (folder / "table.md").read_text() == to_markdown(comparison, folder.name, table)
