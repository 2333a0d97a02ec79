"""The pages on comparisons say what the results say: made-up ones, and the committed ones."""

from pathlib import Path

import pytest
from made_up_results import COMPARISON, write_results, write_run

from qlam_qiskit.compare.pages import BEGIN, END, PAGES, details, summary, updated
from qlam_qiskit.errors import ConfigurationError

REPOSITORY = Path(__file__).parents[2]


def rows(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]


def test_the_overview_has_models_by_tasks_and_reported_figures_apart(results):
    other = {**COMPARISON, "models": {name: COMPARISON["models"][name] for name in ("qlam", "gru")}}
    write_results(results / "another", other, {("qlam", 0): 70, ("gru", 0): 80})
    text = summary(results)
    assert rows(text) == [
        ["test accuracy, %", "digits", "digits"],
        ["---"] * 3,
        ["QLAM", "**93.00 +- 2.65**", "70.00"],
        ["GRU", "90.33 +- 2.52", "**80.00**"],
        ["RNN", "40.00", ""],
        ["*ahead of QLAM*", "none", "GRU"],
        ["*parameters*", "1,234 to 1,234", "1,234 to 1,234"],
        ["test accuracy, %", "digits", "digits"],
        ["---"] * 3,
        ["QLAM (a paper)", "92.6 +- 0.15", "92.6 +- 0.15"],
        ["RNN (a book)", "97", ""],
    ]
    assert text.index("40.00") < text.index("Reported elsewhere, of other sizes and training, not run here:")
    assert "\n\n- digits: QLAM against GRU, the best baseline: +2.67 points over n = 3 seeds" in text


def test_who_is_ahead_of_a_reference_that_has_not_run_is_not_said(results):
    write_results(results / "another", COMPARISON, {("gru", 0): 80})
    assert ["*ahead of QLAM*", "none", ""] in rows(summary(results))


def test_a_task_of_several_cases_has_a_table_of_its_own(results):
    vary = {
        **COMPARISON,
        "description": "Further and further",
        "data": {"dataset": "copying"},
        "vary": {"key": "delay", "values": [20, 500]},
    }
    for case, right in (("delay20", 60), ("delay500", 50)):
        write_results(results / "vary", vary, {("qlam", 0): right, ("gru", 0): 55}, case)
    found = rows(summary(results))
    start = found.index(["test accuracy, %", "delay 20", "delay 500"])
    assert found[start + 2 : start + 4] == [["QLAM", "**60.00**", "50.00"], ["GRU", "55.00", "**55.00**"]]
    assert ["test accuracy, %", "digits"] in found
    assert "Further and further:" in summary(results)


def test_without_results_the_pages_say_so(tmp_path):
    assert summary(tmp_path) == details(tmp_path) == "None has finished yet.\n"


@pytest.mark.parametrize("make", PAGES.values())
def test_pages_follow_the_results(results, make):
    before = f"# Title\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n"
    now = updated(before, make(results))
    assert now.startswith("# Title\n")
    assert now.endswith("after\n")
    assert "93.00 +- 2.65" in now
    assert updated(now, make(results)) == now
    write_run(results / "made_up", "rnn", 1, 44)
    assert updated(now, make(results)) != now


def test_a_page_without_markers_is_refused():
    with pytest.raises(ConfigurationError, match="lacks the markers"):
        updated("# Title\n", "")


@pytest.mark.parametrize("page", PAGES)
def test_the_committed_pages_show_what_the_committed_results_say(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    made = updated(text, PAGES[page](REPOSITORY / "results"))
    assert text == made, "run python -m qlam_qiskit.compare.pages"
