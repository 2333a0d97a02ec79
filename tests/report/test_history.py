"""What a run wrote down, read again."""

import numpy as np
import pytest

from qlam_qiskit.report.history import Accuracy, TrainingCurves, latest_evaluations


def test_the_wilson_interval_is_the_published_one():
    # Wilson 1927, at 95 %: (2 n p + z^2 -+ z sqrt(z^2 + 4 n p (1 - p))) / (2 (n + z^2)).
    value, samples, z = 0.95, 400, 1.959964
    middle, spread = 2 * samples * value + z**2, z * np.sqrt(z**2 + 4 * samples * value * (1 - value))
    expected = (middle - spread) / (2 * (samples + z**2)), (middle + spread) / (2 * (samples + z**2))
    assert Accuracy(value, samples).interval == pytest.approx(expected, abs=1e-6)
    low, high = Accuracy(1.0, 10).interval
    assert low == pytest.approx(10 / (10 + z**2), abs=1e-6)
    assert high == 1.0


def row(backend, accuracy, shots=1024, samples=100, **more):
    return {"backend": backend, "accuracy": accuracy, "shots": shots, "samples": samples, **more}


def test_the_last_evaluation_of_each_kind_counts():
    rows = [
        row("noisy", 0.5),
        row("exact", 0.9, shots=None),
        row("noisy", 0.7),
        row("noisy", 0.6, shots=64),
        row("noisy", 0.8, mitigated=True),
        row("noisy", 1.0, part="validation"),
    ]
    found = latest_evaluations(rows)
    assert [(one.name, one.shots, one.accuracy.value) for one in found] == [
        ("exact", None, 0.9),
        ("noisy, readout mitigated", 1024, 0.8),
        ("noisy", 1024, 0.7),
        ("noisy", 64, 0.6),
    ]


def test_curves_without_validation():
    metrics = [{"epoch": 1, "train_loss": 2.0, "train_accuracy": 0.1, "seconds": 1.0}]
    curves = TrainingCurves.of(metrics, None)
    assert curves.validation_loss is None
    assert curves.train_loss.tolist() == [2.0]
