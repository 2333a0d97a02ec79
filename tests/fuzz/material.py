"""The sound files that cases are made from: experiments, a comparison, backends, a trained run, data."""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from qlam_qiskit.compare.records import pack
from qlam_qiskit.data.catalogue import IMAGE_SETS
from qlam_qiskit.plain_yaml import dump_yaml

ROOT = Path(__file__).parents[2]
BACKENDS = (ROOT / "backends.yaml").read_bytes()
EXPERIMENTS = [path.read_bytes() for path in sorted((ROOT / "experiments").glob("*.yaml"))]
COMPARISONS = [path.read_bytes() for path in sorted((ROOT / "experiments" / "comparisons").glob("*.yaml"))]
SMALL = {
    "data": {"dataset": "npz", "path": "small.npz"},
    "model": {"circuit": {"template": "line", "qubits": 2}, "embedding": {"kind": "linear", "width": 2}},
    "training": {"epochs": 1, "batch_size": 16, "validation_fraction": 0.2},
}
# A memory that forgets, read as means in both directions, with noise.
FORGETFUL = {
    **SMALL,
    "model": {
        **SMALL["model"],
        "circuit": {"template": "damped_line", "qubits": 2},
        "registers": 2,
        "directions": "both",
        "readout": {"kind": "z_strings", "max_weight": 1, "times": 2, "pooling": "mean"},
        "noise": {"shots": 100},
    },
}


@cache
def run_files(*, forgetful: bool = False) -> dict[str, bytes]:
    """Train a small model once, of a memory that forgets or of one that does not; returns its run folder and data."""
    from qlam_qiskit.runs.experiment import Experiment
    from qlam_qiskit.training import train

    class Quiet:
        def step(self, *_: object) -> None: ...
        def compiling(self, *_: object) -> None: ...

        def epoch(self, *_: object) -> None: ...

    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("small.npz").write_bytes(small_data())
            settings = FORGETFUL if forgetful else SMALL
            run, _ = train(Experiment.model_validate(settings), "small", Quiet(), out=Path("run"))
            run.append("evaluations.jsonl", EVALUATION)
            run.write_json("tracking.json", {"wandb": "ab12", "tensorboard": None})
            run.card.write_bytes((ROOT / "qlam_qiskit" / "pretrained" / "digits_device" / "card.yaml").read_bytes())
            files = {str(path): path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
        finally:
            os.chdir(before)
    return {**files, "small.npz": small_data()}


SPACE = {
    "training.circuit_rate": {"float": [0.001, 0.1], "log": True},
    "training.clip": {"float": [0.25, 1.0], "step": 0.25},
    "model": {"registers": {"int": [1, 3]}, "circuit": {"template": ["line", "damped_line"]}},
    "scales": {"multiply": ["model.time_scale", "model.weight_scale"], "float": [0.25, 4], "points": 3},
}
EVALUATION = {
    "accuracy": 0.5, "samples": 9, "part": "test", "backend": "aer_shots", "shots": 100, "loss": 1.0, "task": "small",
    "seed": 0, "run": "run", "seconds": 1.0,
}  # fmt: skip


@cache
def small_data() -> bytes:
    """Make an .npz data set."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80)
    tokens = rng.normal(size=(80, 4, 2)) + labels[:, None, None]
    stream = io.BytesIO()
    np.savez(stream, x_train=tokens[:48], y_train=labels[:48], x_test=tokens[48:], y_test=labels[48:])
    return stream.getvalue()


@cache
def own_files() -> dict[str, tuple[bytes, dict]]:
    """Make small files of a user's own, each with the settings that read it."""
    rows = [f"{k // 3},{k % 5}.5,{-k},{'ab'[k // 3 % 2]},{k}" for k in range(24)]
    steps = "\n".join(["who,x,y,label,level", *rows]).encode()
    wide = b"t1,t2,t3,label\n1,2,3,a\n4,5,,b\n6,,,a\n7,8,9,b\n"
    cases = "\n".join(f"{k},1,{k}.5:2,3,4:{'ab'[k % 2]}" for k in range(6))
    archive = f"@problemName x\n@timestamps false\n@classLabel true a b\n@data\n{cases}\n".encode()
    columns = {"sample": "who", "tokens": ["x", "y"]}
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table({"x": [[1.0, 2.0], [3.0]] * 3, "label": ["a", "b"] * 3}), stream)
    return {
        "steps.csv": (steps, {**columns, "labels": "label"}),
        "levels.csv": (steps, {**columns, "labels": "level", "task": "regression", "every_step": True}),
        "wide.csv": (wide, {"tokens": "t*", "labels": "label"}),
        "mine.ts": (archive, {}),
        "lists.parquet": (stream.getvalue(), {"labels": "label"}),
    }


@cache
def image_files() -> dict[str, bytes]:
    """Make a small MNIST and a small CIFAR-10."""
    files = {}
    for file in IMAGE_SETS["mnist"].files:
        shape = (3, 28, 28) if file.dimensions == 3 else (3,)
        header = np.array([0x800 | file.dimensions, *shape], ">u4").tobytes()
        files[f"data/mnist/{file.name}.gz"] = gzip.compress(header + bytes(int(np.prod(shape))), mtime=0)
    for name in ("data_batch_1.bin", "test_batch.bin"):
        files[f"data/cifar10/cifar-10-batches-bin/{name}"] = bytes(3 * 3073)
    return files


@cache
def result_files() -> dict[str, bytes]:
    """Make the results of a comparison of two models."""
    comparison = {
        "data": {"dataset": "digits"},
        "training": {"epochs": 1},
        "models": {"qlam": {"label": "QLAM", "model": {}}, "gru": {"label": "GRU", "model": {"kind": "gru"}}},
    }
    files = {"results/small/comparison.yaml": dump_yaml(comparison).encode()}
    for model in ("qlam", "gru"):
        for seed in (0, 1):
            record = {
                "case": "", "model": model, "seed": seed, "multiplier": 1.0, "fingerprint": "ab", "experiment": {},
                "task": "digits", "parameters": 12, "train_samples": 9, "test_samples": 9, "test_accuracy": 0.5,
                "validation_accuracy": 0.5, "train_seconds": 1.0, "metrics": [], "environment": {"processor": "x"},
                "correct": pack(np.arange(9)[:, None] % 2 == seed),
            }  # fmt: skip
            files[f"results/small/{model}-seed{seed}.json"] = json.dumps(record).encode()
    return files


@cache
def job_files() -> dict[str, bytes]:
    """Make the saved inputs and result of one job."""
    from qiskit import QuantumCircuit
    from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    from qlam_qiskit.jobs import files

    circuit = QuantumCircuit(1)
    circuit.measure_all()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        files.write_inputs(home, "s", [[SamplerPub.coerce((circuit, None, 5))]])
        bits = BitArray(np.zeros((5, 1), np.uint8), 1)
        result = PrimitiveResult([SamplerPubResult(DataBin(meas=bits, shape=()), {})], {})
        files.write_result(home, "s", 0, result, {"tag": "t"})
        return {f"runs/{path.relative_to(home)}": path.read_bytes() for path in home.rglob("*") if path.is_file()}
