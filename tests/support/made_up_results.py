"""A results folder with the records of a comparison that nobody ran."""

import json

import numpy as np

from qlam_qiskit.compare.records import pack
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.workspace import write_atomically

COMPARISON = {
    "description": "Made up",
    "data": {"dataset": "digits"},
    "training": {"epochs": 3},
    "models": {
        "gru": {"label": "GRU", "model": {"kind": "gru"}},
        "qlam": {"label": "QLAM", "model": {}, "paper": {"accuracy": 92.6, "deviation": 0.15, "source": "a paper"}},
        "rnn": {"label": "RNN", "model": {"kind": "rnn"}, "published": {"accuracy": 97, "source": "a book"}},
    },
}
RIGHT = {
    ("qlam", 0): 90,
    ("qlam", 1): 94,
    ("qlam", 2): 95,
    ("gru", 0): 88,
    ("gru", 1): 90,
    ("gru", 2): 93,
    ("rnn", 0): 40,
}


def write_results(folder, comparison=COMPARISON, right=RIGHT, case=""):
    """Write a comparison and its runs; ``right`` says how many of 100 test answers each gets right."""
    folder.mkdir(exist_ok=True)
    (folder / "comparison.yaml").write_text(dump_yaml(comparison))
    for (model, seed), count in right.items():
        write_run(folder, model, seed, count, case)


def write_run(folder, model, seed, right, case=""):
    correct = (np.arange(100) < right)[:, None]
    record = {
        "case": case,
        "model": model,
        "seed": seed,
        "multiplier": 1.0,
        "experiment": {},
        "task": "digits",
        "parameters": 1234,
        "train_samples": 5000,
        "test_samples": 100,
        "test_accuracy": right / 100,
        "validation_accuracy": 0.5,
        "train_seconds": 10.0 + seed,
        "correct": pack(correct),
    }
    write_atomically(folder / f"{case}{model}-seed{seed}.json", json.dumps(record))


def change_record(path, **values):
    """Replace some values of a record that is there."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
