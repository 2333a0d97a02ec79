"""Checking: recorded runs are trained again, and a number that differs is found."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from qlam_qiskit.compare import Choice, check_records, load_comparison
from qlam_qiskit.compare.records import pack, unpack
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.training import Interrupted

OUT = Path("results/small")
RECORD = OUT / "gru-seed0.json"


@pytest.fixture
def check(small, run, quiet):
    run(seeds=[0])

    def check(said=None, **options):
        said = [] if said is None else said
        found = check_records(
            load_comparison("small.yaml"), "small", lambda job: nullcontext(quiet), out=OUT, say=said.append, **options
        )
        return found, said

    return check


def alter(change):
    values = json.loads(RECORD.read_text())
    change(values)
    RECORD.write_text(json.dumps(values))


def flip_one_answer(values):
    correct = unpack(values["correct"])
    correct[3, 0] = not correct[3, 0]
    values["correct"] = pack(correct)
    values["test_accuracy"] = float(correct.mean())


def test_the_same_numbers_come_out_and_nothing_is_written(check):
    before = {path: path.read_bytes() for path in OUT.rglob("*.json")}
    found, said = check()
    assert said == ["gru-seed0: the same numbers", "qlam-seed0: the same numbers"]
    assert all(one["different_answers"] == 0 for one in found)
    assert before == {path: path.read_bytes() for path in OUT.rglob("*.json")}


def test_a_second_check_trains_again(check, quiet, monkeypatch):
    compared = quiet.steps
    check()
    checked = quiet.steps - compared
    check()
    assert quiet.steps == compared + 2 * checked > compared
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, closure=None: None)  # training is broken since
    with pytest.raises(QlamError, match="2 of 2 runs differ"):
        check()


def test_an_interrupted_check_continues_and_says_what_it_had_finished(check, quiet):
    check(choice=Choice(models=["gru"]))
    steps, said = quiet.steps, []
    with pytest.raises(Interrupted, match="the same command continues"):
        check(said, should_stop=lambda: quiet.steps > steps + 7)
    assert said == ["gru-seed0: the same numbers"]
    found, said = check()
    assert said[0] == "gru-seed0: trained before this check was interrupted"
    assert [one["different_answers"] for one in found] == [0, 0]


def test_a_part_can_be_checked(check):
    found, _ = check(choice=Choice(models=["qlam"]))
    assert [one["run"] for one in found] == ["qlam-seed0"]


def test_another_answer_is_found(check):
    alter(flip_one_answer)
    with pytest.raises(QlamError, match=r"1 of 2 runs differ from results/small: gru-seed0"):
        check()
    found, said = check(tolerance=1.0)
    assert found[0]["different_answers"] == 1
    assert "1 answers differ" in said[0]


def test_another_metric_is_found(check):
    alter(lambda values: values["metrics"][0].update(train_loss=values["metrics"][0]["train_loss"] + 1e-9))
    with pytest.raises(QlamError, match="gru-seed0"):
        check()


def test_another_processor_is_named(check):
    def change(values):
        flip_one_answer(values)
        values["environment"]["processor"] = "Abacus"

    alter(change)
    _, said = check(tolerance=1.0)
    assert "recorded on Abacus, run on" in said[0]
    assert torch.backends.cpu.get_cpu_capability() in said[0]  # rounding follows the vector instructions, not the name


def test_a_record_of_another_configuration_is_refused(check):
    alter(lambda values: values["experiment"]["training"].update(clip=0.1))
    with pytest.raises(ConfigurationError, match=r"gru-seed0\.json: of another configuration \(training\.clip\)"):
        check()


def test_no_records_are_refused(small, quiet):
    with pytest.raises(ConfigurationError, match="no recorded runs to check"):
        check_records(load_comparison("small.yaml"), "small", lambda job: nullcontext(quiet), out=OUT)
