"""A user's own files from training to the report: on the exact engine, on Aer with shots, and on a fake device."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from qlam_qiskit.by_name import train
from qlam_qiskit.cli import qlam
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.evaluation import evaluate, refit
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.report import build_report
from qlam_qiskit.run import Run

SAMPLES = 72
BACKENDS = """
default: exact
backends:
  exact: {kind: exact}
  aer_shots: {kind: aer, shots: 4096}
  torino: {kind: fake, name: FakeTorino, shots: 512}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QLAM_HOME", str(tmp_path / "home"))
    (tmp_path / "backends.yaml").write_text(BACKENDS)
    return tmp_path


def _series(equal=False):
    rng = np.random.default_rng(1)
    lengths = [4] * SAMPLES if equal else rng.integers(2, 5, SAMPLES)
    return [rng.normal(size=length) + (1.5 if k % 2 else -1.5) for k, length in enumerate(lengths)]


def _write(kind):
    """Write series of different lengths whose class is whether they lie high; returns the data's settings."""
    series, labels = _series(), ["high" if k % 2 else "low" for k in range(SAMPLES)]
    if kind == "ts":
        lines = [
            ",".join(f"{x:.6f}" for x in tokens) + f":{label}" for tokens, label in zip(series, labels, strict=True)
        ]
        head = ["@problemName Levels", "@timestamps false", "@classLabel true high low", "@data"]
        for part, rows in (("TRAIN", lines[:48]), ("TEST", lines[48:])):
            Path(f"Levels_{part}.ts").write_text("\n".join([*head, *rows]))
        return {"path": "Levels_TRAIN.ts"}
    if kind == "csv":
        rows = [f"{k},{x},{labels[k]}" for k, tokens in enumerate(series) for x in tokens]
        Path("mine.csv").write_text("\n".join(["who,x,label", *rows]))
        return {"path": "mine.csv", "sample": "who", "labels": "label", "test_fraction": 0.3}
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"x": [tokens.tolist() for tokens in series], "label": labels, "mean": [x.mean() for x in series]}
    columns["running"] = [(np.cumsum(x) / np.arange(1, len(x) + 1)).tolist() for x in series]
    parquet.write_table(pyarrow.table(columns), "mine.parquet")
    return {"path": "mine.parquet", "tokens": "x", "labels": "label", "test_fraction": 0.3}


def _experiment(data, epochs=12, model=None):
    return {
        "data": {"dataset": "file", **data},
        "model": {
            "circuit": {"template": "line", "qubits": 2},
            "embedding": {"width": 4, "kernel": 2},
            "time_scale": 0.7,
            "weight_scale": 0.5,
            **(model or {}),
        },
        "training": {"epochs": epochs, "batch_size": 16, "circuit_rate": 0.05, "head_rate": 0.1},
    }


@pytest.mark.parametrize("kind", ["ts", "csv", "parquet"])
def test_files_train_and_evaluate_on_every_kind_of_backend(kind):
    run = train(_experiment(_write(kind)), name=kind, progress=False)
    assert run.result["test_accuracy"] > 0.85
    exact = run.evaluate("exact", limit=12)
    assert run.data.test.lengths is not None and exact["samples"] == 12
    shots = run.evaluate("aer_shots", limit=12)
    fake = run.evaluate("torino", limit=12)
    assert abs(shots["loss"] - exact["loss"]) < 0.1 and fake["accuracy"] >= exact["accuracy"] - 0.25
    rows = run.evaluations
    assert [row["backend"] for row in rows] == ["exact", "aer_shots", "torino"]
    if kind == "ts":
        assert run.data.task == "Levels"
        build_report(run, samples=2)


def test_training_on_aer_runs_circuits_of_each_length():
    experiment = _experiment(_write("csv"), epochs=1)
    experiment["data"] |= {"train_limit": 12, "test_limit": 6}
    exact = train(experiment, name="here", progress=False)
    found = train(experiment | {"backend": "aer_shots"}, name="there", progress=False)
    assert abs(found.metrics[0]["train_loss"] - exact.metrics[0]["train_loss"]) < 0.1


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_baselines_take_the_same_files(kind):
    model = {"kind": kind, "width": 8, "embedding": {"width": 4, "kernel": 2}}
    experiment = _experiment(_write("ts")) | {"model": model}
    assert train(experiment, name=kind, progress=False).result["test_accuracy"] > 0.85


def test_numbers_at_the_end(folder):
    data = {**_write("parquet"), "labels": "mean", "task": "regression"}
    run = train(_experiment(data, epochs=20), name="mean", progress=False)
    result = run.result
    assert "test_accuracy" not in result and result["test_nrmse"] < 0.6 and result["test_r2"] > 0.6
    assert {"train_loss", "train_nrmse", "validation_loss", "validation_nrmse"} <= run.metrics[0].keys()
    predicted = run.predict()
    error = np.abs(predicted.predicted - predicted.labels).mean()
    np.testing.assert_allclose(result["test_mae"], error, rtol=1e-5)
    np.testing.assert_allclose(predicted.labels.ravel()[:3], _true_means(run)[:3], atol=1e-5)
    exact, shots, fake = (run.evaluate(name, limit=10) for name in ("exact", "aer_shots", "torino"))
    assert abs(shots["nrmse"] - exact["nrmse"]) < 0.25 and fake["mae"] < 4 * exact["mae"] + 0.5
    refitted = refit(run, samples=40, backend="aer_shots")
    assert refitted["nrmse_after"] < refitted["nrmse_before"] + 0.2
    page = build_report(run, samples=2).files[0].read_text()
    assert "Predicted against true numbers" in page and "NRMSE" in page and "Confusion matrix" not in page
    shown = CliRunner().invoke(qlam, ["runs", "show", "mean"])
    assert shown.exit_code == 0 and "NRMSE" in shown.output and "MAE" in shown.output
    assert "NRMSE" in CliRunner().invoke(qlam, ["runs", "list"]).output


def _true_means(run):
    test = run.data.test
    return np.array(
        [test.labels[k, 0, 0] * run.data.targets.std[0] + run.data.targets.mean[0] for k in range(len(test))]
    )


def test_numbers_at_every_step():
    data = {**_write("parquet"), "labels": "running", "task": "regression", "every_step": True}
    run = train(_experiment(data, epochs=20), name="running", progress=False)
    assert run.result["test_nrmse"] < 0.7 and run.model().head.out_features == 1
    exact, shots, fake = (run.evaluate(name, limit=8) for name in ("exact", "aer_shots", "torino"))
    assert abs(shots["nrmse"] - exact["nrmse"]) < 0.25 and fake["nrmse"] < 2
    build_report(run, samples=2)
    again = evaluate(run, backend="exact", limit=8)
    assert again["r2"] == exact["r2"]
    with pytest.raises(ConfigurationError, match="answers at every step"):
        refit(run, samples=40)


def test_the_command_line_trains_and_says_what_is_wrong(folder):
    data = {**_write("csv"), "test_limit": 6, "train_limit": 20}
    (folder / "mine.yaml").write_text(dump_yaml(_experiment(data, epochs=1)))
    trained = CliRunner().invoke(qlam, ["train", "mine.yaml", "--json"])
    assert trained.exit_code == 0 and json.loads(trained.stdout)["test_samples"] == 6
    (folder / "mine.csv").write_text(f"{(folder / 'mine.csv').read_text()}\n99,nothing,high\n")
    failed = CliRunner().invoke(qlam, ["train", "mine.yaml"])
    assert "column x: 'nothing' is no finite number" in str(failed.exception)
    resumed = Run.open("mine")
    assert resumed.result["task"] == "mine"
