"""A search from an experiment to its best trial: what is trained, pruned, resumed, written and said."""

import json
import signal
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest

import qlam_qiskit as qq
from qlam_qiskit.errors import ConfigurationError, DataError, Interrupted, QlamError
from qlam_qiskit.runs import RunFolder, load_experiment
from qlam_qiskit.searching import Space, best_first
from qlam_qiskit.searching.methods import PRUNERS, SAMPLERS, Method
from qlam_qiskit.searching.study import Standing, entries

OUT = Path("runs/search/small")


def search(space="space.yaml", **options):
    return qq.search("small.yaml", space, progress=False, **options)


def points(found):
    return [entry.last.params for entry in entries(found.study.trials)]


def test_a_search_finds_what_its_trials_say(small, run):
    status, out, err = run("search", "small.yaml", "space.yaml", "--trials", 7, "--json")
    assert status == 0, err
    values = json.loads(out)
    found = entries(optuna.load_study(study_name="small", storage=values["storage"]).trials)
    assert values["trials"] == len(found) == 7
    assert values["complete"] + values["pruned"] == 7
    complete = [entry for entry in found if entry.standing is Standing.COMPLETE]
    best = max(complete, key=lambda entry: (entry.last.value, -entry.number))
    assert values["best"]["trial"] == best.number
    assert values["best"]["validation_accuracy"] == best.last.value
    assert values["best"]["point"] == best.last.params
    # The first trial is the experiment as it is, unless the space does not hold it.
    assert found[0].last.params == {"training.circuit_rate": 0.012, "model.width": 4, "model.kind": "rnn"}
    # The best one's file trains to the same numbers, and its run is tested by resuming it.
    experiment = load_experiment(values["best"]["experiment"])
    assert experiment.model.kind == best.last.params["model.kind"]
    assert "best of 7 trials by validation accuracy" in experiment.description
    folder = RunFolder.open(Path(values["best"]["run"]))
    assert folder.result() is None
    again = qq.train(experiment, out="again", progress=False)
    without = [{k: v for k, v in row.items() if k != "seconds"} for row in folder.metrics()]
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in again.metrics] == without
    page = Path(values["page"]).read_text()
    assert page.count("<svg") == 4
    assert "://" not in page.replace("http://www.w3.org", "").replace(values["storage"], "")
    assert f"trial {best.number}; the test set was not looked at" in page
    # A second time there is nothing left to do, and more trials are more of the same study.
    status, out, err = run("search", "small.yaml", "space.yaml", "--trials", 7)
    assert (status, err) == (0, "")
    assert out.startswith("7 trials: ")
    assert f"best: trial {best.number}, {best.last.value:.2%} of validation samples" in out
    status, out, err = run("search", "small.yaml", "space.yaml", "--trials", 8)
    assert out.startswith("8 trials: ")
    assert "trial 7 (8 of 8): " in err


def test_a_search_that_is_stopped_and_continued_has_the_trials_of_one_that_was_not(small):
    options = {"trials": 3, "pruner": "none"}
    whole = search(name="whole", **options)
    for stop_after in (1, 9, 14):
        asked = 0

        def enough(stop_after=stop_after):
            nonlocal asked
            asked += 1
            return asked > stop_after

        with pytest.raises(Interrupted, match="the study is kept, and the same command continues"):
            search(should_stop=enough, **options)
    found = search(**options)
    assert points(found) == points(whole)
    values = [[entry.last.value for entry in entries(study.study.trials)] for study in (found, whole)]
    assert values[0] == values[1]
    assert found.counts["complete"] == 3
    assert any(len(entry.attempts) > 1 for entry in entries(found.study.trials))
    for entry in entries(found.study.trials):
        both = [RunFolder(Path(f"runs/search/{name}/trial-{number:04d}")).metrics() for name, number in (
            ("small", entry.number), ("whole", entry.ordinal))]  # fmt: skip
        assert [row["train_loss"] for row in both[0]] == [row["train_loss"] for row in both[1]]


def test_the_search_knows_nothing_of_the_test_set(small):
    before = search(trials=2, pruner="none", name="before")
    with np.load("small.npz") as arrays:
        changed = dict(arrays)
    changed["x_test"], changed["y_test"] = -changed["x_test"], 1 - changed["y_test"]
    np.savez("small.npz", **changed)
    after = search(trials=2, pruner="none", name="after")
    assert [t.intermediate_values for t in before.study.trials] == [t.intermediate_values for t in after.study.trials]


def test_a_grid_has_each_of_its_points_once(small):
    said = []
    space = {"training.circuit_rate": [0.001, 0.01], "model.width": {"int": [2, 3]}, "model.kind": ["rnn"]}
    found = search(space, sampler="grid", trials=100, say=said.append)
    assert "the grid has 4 points" in said
    assert found.trials == 4
    as_set = {tuple(sorted(point.items())) for point in points(found)}
    assert as_set == {tuple(sorted(point.items())) for point in Space.of(space).grid()}


def test_a_pruned_trial_ends_after_the_epoch_that_decided_it(small):
    experiment = small.model_copy(update={"training": small.training.model_copy(update={"epochs": 9})})
    space = {"training.circuit_rate": {"float": [1e-5, 0.3], "log": True}}
    found = qq.search(experiment, space, name="halved", trials=6, pruner="halving", progress=False)
    pruned = [entry for entry in entries(found.study.trials) if entry.standing is Standing.PRUNED]
    assert 0 < len(pruned) == found.counts["pruned"] < 6
    for entry in pruned:
        rows = RunFolder(Path(f"runs/search/halved/trial-{entry.number:04d}")).metrics()
        assert len(rows) < 9
        assert entry.last.intermediate_values == {row["epoch"]: row["validation_accuracy"] for row in rows}
    assert found.best.validation_accuracy == max(t.value for t in found.study.trials if t.state.name == "COMPLETE")


def test_a_trial_that_cannot_be_trained_fails_and_the_search_goes_on(small):
    said = []
    space = {"training.circuit_rate": [0.01, 1e38], "training.head_rate": [0.02]}
    found = search(space, sampler="grid", say=said.append)
    assert (found.counts["complete"], found.counts["failed"]) == (1, 1)
    assert any("failed: the loss is" in line for line in said)
    assert found.best.point["training.circuit_rate"] == 0.01
    with pytest.raises(QlamError, match="none of 1 trials could be trained; trial 0: the loss is"):
        search({"training.circuit_rate": [1e38]}, name="bad", sampler="grid")


def test_what_is_wrong_with_no_single_trial_ends_the_search_and_fails_none(small):
    Path("small.npz").rename("gone.npz")
    with pytest.raises(DataError):
        search(trials=2)
    Path("gone.npz").rename("small.npz")
    found = search(trials=2)
    assert found.counts["failed"] == 0
    assert found.trials == 2
    OUT.joinpath("study.db").unlink()
    with pytest.raises(
        QlamError, match=r"trial-0000: of another study of this name; remove runs/search/small, or give"
    ):
        search({"training.circuit_rate": {"float": [0.5, 0.9]}}, trials=2)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_stays_within_the_space_and_draws_alike_again(task, sampler):
    from qlam_qiskit.searching.storage import Worker

    drawn = []
    for name in ("one", "two"):
        made = task(trials=12, sampler=sampler, url=f"sqlite:///{name}.db")
        study = made.open()
        found = []
        with Worker(study.keeping) as worker:
            while (taken := study.take(worker)) is not None:
                found.append(taken.point)
                study.complete(taken, taken.point["training.circuit_rate"])
        drawn.append(found)
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 12
    for point in drawn[0]:
        assert all(dimension.holds(point[dimension.name]) for dimension in made.space.dimensions)
    assert len({tuple(point.values()) for point in drawn[0]}) == 12
    assert {point["model.width"] for point in drawn[0]} == {2, 4, 6}


def test_names_that_are_none_list_the_known_ones(small, run):
    status, _, err = run("search", "small.yaml", "--sampler", "tpee")
    assert (status, err) == (2, f"Error: unknown sampler 'tpee'; available: {', '.join(SAMPLERS)}; did you mean tpe?\n")
    status, _, err = run("search", "small.yaml", "--pruner", "mean")
    assert status == 2
    assert f"unknown pruner 'mean'; available: {', '.join(PRUNERS)}" in err
    status, _, err = run("search", "small.yaml", "nowhere.yaml")
    assert (status, err) == (2, "Error: nowhere.yaml: no such file\n")
    with pytest.raises(ConfigurationError, match="'a/b' is no name of a study"):
        search(name="a/b")
    assert not Path("runs").exists()


def test_without_a_package_a_line_says_which_extra_has_it(small, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(ConfigurationError, match=r"sampler cmaes needs cmaes, .*pip install 'qlam-qiskit\[search\]'"):
        Method("cmaes", "none", 0, 1)
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, out, err = run("search", "small.yaml")
    assert (status, out) == (2, "")
    assert err == "Error: a search needs optuna, which is not installed: pip install 'qlam-qiskit[search]'\n"


def test_the_best_comes_first_and_of_equals_the_smallest():
    assert best_first({3: 0.5, 1: 0.7, 2: 0.7, 0: None}) == [1, 2, 3]
    assert best_first({1.0: None}) == []


def test_two_workers_search_together(small, run):
    command = ("search", "small.yaml", "space.yaml", "--trials", 6, "--pruner", "none", "--workers", 2)
    status, out, err = run(*command, "--json")
    assert status == 0, err
    values = json.loads(out)
    assert (values["trials"], values["complete"]) == (6, 6)
    assert err.count("of validation samples") == 6
    attempts = optuna.load_study(study_name="small", storage=values["storage"]).trials
    assert len(attempts) == 6
    assert len({attempt.user_attrs["worker"] for attempt in attempts}) <= 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
