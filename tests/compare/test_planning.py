"""Sizes of variants: each has a width of its own within the budget, or is passed over."""

import json

import pytest

from qlam_qiskit.compare import Comparison
from qlam_qiskit.compare.planning import Plan
from qlam_qiskit.compare.records import Records
from qlam_qiskit.compare.search import Search
from qlam_qiskit.configuration import check

EMBEDDING = {"kind": "convolution", "width": 8, "kernel": 8}
COMPARISON = {
    "description": "Digits",
    "data": {"dataset": "digits"},
    "training": {"epochs": 1},
    "search": {"multipliers": [0.3, 1.0], "epochs": 1, "train_limit": 100},
    "models": {
        "qlam": {"label": "QLAM", "model": {"embedding": EMBEDDING}},
        "transformer": {
            "label": "Transformer",
            "model": {"kind": "transformer", "heads": 2, "embedding": EMBEDDING},
            "alternatives": {"heads": [4]},
        },
        "lstm": {
            "label": "LSTM",
            "model": {"kind": "lstm", "embedding": EMBEDDING},
            "alternatives": {"directions": ["both"], "layers": [2, 60]},
        },
    },
}


@pytest.fixture
def plan(request):
    budget = {"parameters": getattr(request, "param", 700), "tolerance": 0.2}
    comparison = check(Comparison, {**COMPARISON, "budget": budget}, "test")
    return Plan(comparison, next(comparison.cases()), None)


@pytest.mark.parametrize("plan", [2000], indirect=True)
def test_a_width_is_a_multiple_of_the_heads_of_the_variant(plan):
    model = plan.trial("transformer", 1.0, {"heads": 4}).experiment.model
    assert (model.heads, model.width % 4) == (4, 0)


def test_a_variant_that_no_width_brings_within_the_budget_does_not_fit(plan):
    assert plan.fits("lstm", {"layers": 2})
    assert not plan.fits("lstm", {"directions": "both", "layers": 60})


def test_an_alternative_that_does_not_fit_beside_one_taken_is_passed_over(plan, tmp_path):
    search = Search(plan, Records(tmp_path), "lstm")
    found = {"lstm-x0.3": 0.5, "lstm-x1": 0.6, "lstm-x1-directions-both": 0.7}
    for name, accuracy in found.items():
        variant = {"directions": "both"} if "both" in name else {}
        job = plan.trial("lstm", float(name.split("-")[1][1:]), variant)
        assert job.name == name
        Records(tmp_path).write(job, {"validation_accuracy": accuracy})
        assert json.loads(Records(tmp_path).path(job).read_text())["variant"] == variant
    names = [[job.name for job in step] for step in search.steps()]
    assert names[:2] == [["lstm-x0.3", "lstm-x1"], ["lstm-x1-directions-both"]]
    assert "lstm-x1-directions-both-layers-60" not in names[2]
