"""A comparison from nothing to its table: what is trained, what is skipped, and how an interrupted one goes on."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from qlam_qiskit.compare import compare, load_comparison
from qlam_qiskit.compare.planning import Plan
from qlam_qiskit.compare.records import Records, unpack
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.training import Interrupted, RunFolder

TRIALS = ["qlam-x0.3", "qlam-x1", "gru-x0.3", "gru-x1"]
RUNS = ["qlam-seed0", "gru-seed0", "qlam-seed1", "gru-seed1"]
OUT = Path("results/small")


def record(name):
    return json.loads((OUT / f"{name}.json").read_text())


def numbers(name):
    """Read what must not depend on how a run came about."""
    values = record(name)
    values.pop("train_seconds")
    for row in values["metrics"]:
        row.pop("seconds")
    return values


def change(values, **changes):
    Path("small.yaml").write_text(dump_yaml({**values, **changes}))


def test_every_model_is_searched_trained_and_recorded_once(small, run):
    assert run() == TRIALS + RUNS
    assert run() == []
    assert sorted(path.stem for path in OUT.glob("*.json")) == sorted([*RUNS, "table"])
    assert sorted(path.stem for path in (OUT / "search").glob("*.json")) == sorted(TRIALS)
    assert all(path.stat().st_size < 10_000 for path in OUT.rglob("*.json"))


def test_a_record_says_all_that_the_run_did(small, run):
    run(models=["gru"], seeds=[0])
    values = record("gru-seed0")
    (folder,) = (RunFolder.open(path) for path in Path("runs/compare/small").glob("gru-seed0-*"))
    assert values["experiment"]["seed"] == 0
    assert values["experiment"]["model"]["kind"] == "gru"
    assert values["metrics"] == folder.metrics()
    assert values["test_accuracy"] == pytest.approx(folder.result()["test_accuracy"])
    assert unpack(values["correct"]).mean() == values["test_accuracy"]
    assert unpack(values["correct"]).shape == (120, 1)
    assert values["environment"]["processor"]
    assert "/" not in json.dumps(values["environment"])


def test_parameters_are_those_of_the_reference(small, run):
    run(seeds=[0])
    ours, theirs = (record(f"{model}-seed0")["parameters"] for model in ("qlam", "gru"))
    assert abs(ours - theirs) <= 0.2 * ours


def test_the_rate_of_best_validation_accuracy_is_taken_and_of_equals_the_smallest(small, run):
    run(models=["gru"], seeds=[0])
    found = {
        value: json.loads((OUT / "search" / f"gru-x{value:g}.json").read_text())["validation_accuracy"]
        for value in (0.3, 1.0)
    }
    expected = 0.3 if found[0.3] >= found[1.0] else 1.0
    values = record("gru-seed0")
    assert values["multiplier"] == expected
    assert values["experiment"]["training"]["circuit_rate"] == pytest.approx(0.012 * expected)
    assert values["experiment"]["training"]["head_rate"] == pytest.approx(0.02 * expected)


def test_the_best_trial_and_the_next_smaller_rate_are_trained_in_full_and_the_better_not_again(small, run):
    change(small, search={"multipliers": [1.0, 1e-6, 3.0], "epochs": 10, "train_limit": 60, "confirm": True})
    trials = ["gru-x1", "gru-x1e-06", "gru-x3"]
    started = run(models=["gru"], seeds=[0, 1])
    search = {path.stem: json.loads(path.read_text()) for path in (OUT / "search").iterdir()}
    by_rate = sorted(trials, key=lambda name: search[name]["multiplier"])
    best_trial = max(by_rate, key=lambda name: search[name]["validation_accuracy"])
    assert best_trial != by_rate[0]
    finalists = [f"{best_trial}-full", f"{by_rate[by_rate.index(best_trial) - 1]}-full"]
    assert started == [*trials, *finalists, "gru-seed0", "gru-seed1"]
    best = max(reversed(finalists), key=lambda name: search[name]["validation_accuracy"])
    values = record("gru-seed0")
    assert values["multiplier"] == search[best]["multiplier"]
    assert values["train_seconds"] == search[best]["train_seconds"]
    assert values["validation_accuracy"] == search[best]["validation_accuracy"]
    assert not any("test" in key for finalist in finalists for key in search[finalist])
    assert "the best and the next smaller one" in (OUT / "table.md").read_text()
    Path("runs/compare").rename("runs/old")
    assert run("again", models=["gru"], seeds=[0]) == [*trials, *finalists, "gru-seed0"]
    assert numbers("../../again/gru-seed0") == numbers("gru-seed0")


def test_without_trials_every_rate_is_trained_in_full(small, run):
    change(small, search={"multipliers": [0.3, 1.0], "epochs": 0}, seeds=[0])
    assert run() == ["qlam-x0.3-full", "qlam-x1-full", "gru-x0.3-full", "gru-x1-full", "qlam-seed0", "gru-seed0"]
    values = [json.loads((OUT / "search" / f"gru-x{value:g}-full.json").read_text()) for value in (0.3, 1.0)]
    assert record("gru-seed0")["validation_accuracy"] == max(value["validation_accuracy"] for value in values)
    assert load_comparison(str(OUT / "comparison.yaml")) == load_comparison("small.yaml")
    assert "after the whole training with the first seed" in (OUT / "table.md").read_text()


def test_alternatives_are_tried_one_key_after_the_other_at_the_best_rate(small, run):
    gru = {**small["models"]["gru"], "alternatives": {"readout.pooling": ["mean"], "layers": [2, 3]}}
    change(
        small,
        models={**small["models"], "gru": gru},
        training={**small["training"], "epochs": 6},
        search={"multipliers": [0.3, 1.0], "epochs": 4, "train_limit": 60, "confirm": True},
        budget={"parameters": 4000, "tolerance": 0.1},
        seeds=[0, 1],
    )
    started = run(models=["gru"], seeds=[0])
    search = {path.stem: json.loads(path.read_text()) for path in (OUT / "search").iterdir()}
    accuracy = {name: values["validation_accuracy"] for name, values in search.items()}
    rate = max(["gru-x0.3", "gru-x1"], key=accuracy.get)
    pooled = f"{rate}-pooling-mean"
    taken = pooled if accuracy[pooled] > accuracy[rate] else rate
    deeper = [f"{taken}-layers-{layers}" for layers in (2, 3)]
    best = max([taken, *deeper], key=accuracy.get)
    smaller = [] if rate == "gru-x0.3" else [f"{best.replace('gru-x1', 'gru-x0.3')}-full"]
    assert started == ["gru-x0.3", "gru-x1", pooled, *deeper, f"{best}-full", *smaller, "gru-seed0"]
    variant = search[best]["variant"]
    assert record("gru-seed0")["variant"] == variant
    assert record("gru-seed0")["experiment"]["model"]["layers"] == variant.get("layers", 1)
    assert ("readout.pooling" in variant) == (taken == pooled)
    assert all(
        abs(search[name]["parameters"] - 4000) <= 400 for name in accuracy
    )  # each variant has a width of its own
    assert "for GRU (readout.pooling mean, layers 2, layers 3)" in (OUT / "table.md").read_text()
    assert run(models=["gru"]) == ["gru-seed1"]
    assert run(models=["gru"]) == []


def test_the_search_knows_nothing_of_the_test_set(small, run):
    run(models=["gru"], seeds=[0])
    with np.load("small.npz") as arrays:
        changed = dict(arrays)
    changed["x_test"], changed["y_test"] = -changed["x_test"], 1 - changed["y_test"]
    np.savez("small.npz", **changed)
    before = {path.name: path.read_text() for path in (OUT / "search").iterdir()}
    run("elsewhere", models=["gru"], seeds=[0])
    Path("runs/compare").rename("runs/old")
    run("again", models=["gru"], seeds=[0])
    for name, text in before.items():
        now = json.loads((Path("again/search") / name).read_text())
        then = json.loads(text)
        assert "test_accuracy" not in then
        assert {**now, "train_seconds": 0} == {**then, "train_seconds": 0}


def test_only_the_best_baselines_by_validation_get_further_seeds(small, run):
    rnn = {"label": "RNN", "model": {"kind": "rnn", "embedding": {"kind": "linear", "width": 4}}}
    change(small, models={**small["models"], "rnn": rnn})
    started = run()
    accuracy = {model: record(f"{model}-seed0")["validation_accuracy"] for model in ("gru", "rnn")}
    best = max(accuracy, key=accuracy.get)
    assert [name for name in started if name.endswith("seed1")] == ["qlam-seed1", f"{best}-seed1"]


def test_a_part_can_be_run_and_the_rest_later(small, run):
    assert run(models=["gru"], seeds=[5]) == ["gru-x0.3", "gru-x1", "gru-seed5"]
    assert run(models=["qlam"]) == ["qlam-x0.3", "qlam-x1", "qlam-seed0", "qlam-seed1"]
    assert run() == ["gru-seed0", "gru-seed1"]


def test_an_interrupted_comparison_goes_on_to_the_same_numbers(small, run):
    run("whole")
    Path("runs/compare").rename("runs/whole")
    for stop_after in (3, 9, 14):
        taken = 0

        def enough(stop_after=stop_after):
            nonlocal taken
            taken += 1
            return taken == stop_after

        with pytest.raises(Interrupted, match="the same command continues"):
            run(should_stop=enough)
    run()
    assert {name: numbers(name) for name in RUNS} == {
        name: numbers(f"../../whole/{name}") for name in RUNS
    }  # fmt: skip


def test_a_killed_comparison_goes_on_to_the_same_numbers(small, run):
    change(small, training={**small["training"], "epochs": 60, "checkpoint_seconds": 0.01}, seeds=[0])
    run("whole")
    Path("runs/compare").rename("runs/whole")
    process = subprocess.Popen(
        [sys.executable, "-m", "qlam_qiskit", "compare", "small.yaml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 900
        while not list(Path("runs/compare/small").glob("gru-seed0-*/checkpoints/last.safetensors")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        ended = process.wait()
    assert ended == -signal.SIGKILL
    assert not (OUT / "gru-seed0.json").exists()
    assert run() == ["gru-seed0"]
    assert numbers("gru-seed0") == numbers("../../whole/gru-seed0")


def test_a_folder_left_by_a_process_killed_while_making_it_is_made_anew(small, run):
    run(models=["gru"], seeds=[0])
    (OUT / "gru-seed0.json").unlink()
    (folder,) = Path("runs/compare/small").glob("gru-seed0-*")
    shutil.rmtree(folder)
    (folder / "checkpoints").mkdir(parents=True)
    assert run(models=["gru"], seeds=[0]) == ["gru-seed0"]


def test_records_of_another_configuration_are_not_taken_for_finished(small, run):
    run(models=["gru"], seeds=[0])
    change(small, training={**small["training"], "epochs": 2})
    with pytest.raises(ConfigurationError, match=r"gru-seed0\.json: of another configuration \(training\.epochs\)"):
        run(models=["gru"], seeds=[0])
    assert record("gru-seed0")["experiment"]["training"]["epochs"] == 1


def test_a_rate_that_cannot_be_trained_with_loses(small, run):
    change(small, search={"multipliers": [1.0, 1e35], "train_limit": 60})
    run(models=["gru"], seeds=[0])
    trial = json.loads((OUT / "search" / "gru-x1e+35.json").read_text())
    assert trial["validation_accuracy"] is None
    assert "the loss is" in trial["failure"]
    assert record("gru-seed0")["multiplier"] == 1.0


def test_a_model_that_cannot_be_trained_does_not_keep_the_others_from_it(small, run):
    bad = {"label": "GRU", "model": {**small["models"]["gru"]["model"]}}
    training = {**small["training"], "circuit_rate": 1e38, "head_rate": 1e38}
    change(small, models={"qlam": small["models"]["qlam"], "gru": bad}, training=training)
    with pytest.raises(QlamError, match="gru: no rate of the search trains it"):
        run(seeds=[0])


def test_a_budget_that_no_width_meets_is_refused(small, run):
    change(small, budget={"tolerance": 0.001, "parameters": 200})
    with pytest.raises(ConfigurationError, match=r"models\.\w+: \d+ parameters, not within 0% of the budget of 200"):
        run()


def test_cases_of_a_varied_key_are_told_apart(small, run):
    change(
        small,
        data={"dataset": "copying", "symbols": 2, "alphabet": 3, "train_samples": 60, "test_samples": 9},
        vary={"key": "delay", "values": [0, 2]},
        seeds=[0],
        search={"multipliers": [1.0]},
    )
    assert run(cases=["delay2"], models=["gru"]) == ["delay2-gru-seed0"]
    assert run() == ["delay0-qlam-seed0", "delay0-gru-seed0", "delay2-qlam-seed0"]
    assert unpack(record("delay2-gru-seed0")["correct"]).shape == (9, 2)
    assert len(json.loads((OUT / "table.json").read_text())) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "lstm"}, "reference 'lstm' is none of the models qlam, gru"),
        ({"training": {"epochs": 1, "validation_fraction": 0.0}}, r"training\.validation_fraction is 0"),
        ({"seeds": [1, 1]}, "seeds: each only once"),
        ({"seeds": []}, "seeds: .*at least 1 item"),
        ({"modles": {}}, r"unknown key modles; valid keys: budget, contenders, data, description, models"),
        ({"vary": {"key": "delay", "values": [3]}}, "delay is not an option of data set npz"),
        ({"models": {"qlam": {"model": {}}}}, r"missing key models\.qlam\.label"),
        (
            {"models": {"qlam": {"label": "QLAM", "model": {}, "alternatives": {"registers": [1]}}}},
            "registers is 1 already",
        ),
        (
            {"models": {"qlam": {"label": "QLAM", "model": {}, "alternatives": {"registers": [0]}}}},
            "registers cannot be 0: input",
        ),
        (
            {"models": {"qlam": {"label": "QLAM", "model": {}, "alternatives": {"registres": [2]}}}},
            "registres cannot be 2",
        ),
        (
            {
                "models": {"qlam": {"label": "QLAM", "model": {}, "alternatives": {"registers": [2]}}},
                "search": {"multipliers": [1.0]},
            },
            r"models\.qlam\.alternatives are tried after rates",
        ),
        ({"models": {"q-lam": {"label": "Q", "model": {}}}}, "models"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(small, changes, message):
    change(small, **changes)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_comparison("small.yaml")
    assert "\n" not in str(caught.value)


def test_unknown_names_list_the_known_ones(small, run):
    with pytest.raises(ConfigurationError, match="unknown comparison 'mnist'; available: copying, psmnist, recall"):
        load_comparison("mnist")
    with pytest.raises(ConfigurationError, match="--models: 'lstm' is none of qlam, gru"):
        run(models=["lstm"])
    with pytest.raises(ConfigurationError, match="--cases: this comparison has only one"):
        run(cases=["delay0"])
    change(small, data={"dataset": "copying"}, vary={"key": "delay", "values": [0, 2]})
    with pytest.raises(ConfigurationError, match="--cases: 'delay1' is none of delay0, delay2"):
        run(cases=["delay1"])


@pytest.mark.parametrize("name", ["copying", "psmnist", "recall", "scifar10", "sfashion", "smnist"])
def test_shipped_comparisons_are_valid(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    comparison = load_comparison(name)
    assert comparison.description
    assert {"qlam", "rnn", "lstm", "gru", "s4d", "transformer"} <= comparison.models.keys()
    assert len({contestant.model.readout.times for contestant in comparison.models.values()}) == 1
    embeddings = {model: contestant.model.embedding for model, contestant in comparison.models.items()}
    ours = embeddings.pop("qlam")
    (others,) = set(embeddings.values())
    assert ours.width == (24 if name == "sfashion" else others.width)
    assert ours.model_copy(update={"width": others.width}) == others


def test_the_shipped_comparison_of_series_meets_on_one_embedding_and_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    comparison = load_comparison("series")
    assert [case.name for case in comparison.cases()] == ["narma10", "mackey_glass", "henon", "lorenz"]
    assert comparison.counts_errors
    assert comparison.baselines == ["gru", "s4d", "delays", "echo_state"]
    plan = Plan(comparison, next(comparison.cases()), None)
    counts = {model: plan.final(model, 1.0, 0).experiment for model in comparison.models}
    assert counts["echo_state"].model.width == 1200
    assert counts["delays"].model.width == 20
    assert all(experiment.data.system == "narma10" for experiment in counts.values())


def test_damaged_records_are_one_line(small, run):
    run(models=["gru"], seeds=[0])
    (OUT / "gru-seed0.json").write_text("{")
    with pytest.raises(QlamError, match=r"gru-seed0\.json: cannot be read"):
        run(models=["gru"], seeds=[0])
    (OUT / "gru-seed0.json").write_text("[]")
    with pytest.raises(QlamError, match=r"gru-seed0\.json: not a comparison's record"):
        Records(OUT).runs()


def test_two_comparisons_at_once_share_the_runs(small, quiet):
    here = []

    @contextmanager
    def follow(job):
        before = len(quiet.epochs)
        yield quiet
        if len(quiet.epochs) > before:  # else the other process had trained it meanwhile
            here.append(job.name)

    rnn = {"label": "RNN", "model": {"kind": "rnn", "width": 4, "embedding": {"kind": "linear", "width": 4}}}
    change(
        small,
        models={"gru": small["models"]["gru"], "rnn": rnn},
        reference="gru",
        budget={"tolerance": 0.9},
        training={**small["training"], "epochs": 20},
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "qlam_qiskit", "compare", "small.yaml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (OUT / "comparison.yaml").exists():
        assert process.poll() is None
        time.sleep(0.01)
    compare(load_comparison("small.yaml"), "small", follow, out=OUT, say=lambda line: None)
    said = process.communicate(timeout=900)[1]
    assert process.returncode == 0, said
    jobs = re.split(r"^training \d+ of \d+: ", said, flags=re.MULTILINE)[1:]
    there = [job.partition("\n")[0] for job in jobs if "\nepoch " in job]
    for name in ("gru-seed0", "rnn-seed0", "gru-seed1", "rnn-seed1"):
        (folder,) = (RunFolder.open(path) for path in Path("runs/compare/small").glob(f"{name}-*"))
        assert [row["epoch"] for row in folder.metrics()] == list(range(1, 21))
        assert record(name)["metrics"] == folder.metrics()
        assert [*here, *there].count(name) == 1


def test_who_waits_for_another_process_can_be_interrupted(small, run):
    from qlam_qiskit.compare.training import Bench

    comparison = load_comparison("small.yaml")
    trial = Plan(comparison, next(comparison.cases()), None).trials("gru")[0]
    folder = RunFolder(Bench(Path("runs/compare/small"), None, 1).folder(trial))
    folder.path.mkdir(parents=True)
    with folder.locked(), pytest.raises(Interrupted, match="the same command continues"):
        run(models=["gru"], seeds=[0], should_stop=lambda: (OUT / "search" / "gru-x1.json").exists())
    assert not (OUT / "search" / "gru-x0.3.json").exists()
