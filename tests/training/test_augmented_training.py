"""Training on variants of images: anew in every epoch, the same after a resumption, of training images alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from qlam_qiskit.data import Split
from qlam_qiskit.runs import Experiment
from qlam_qiskit.runs.checkpoint import load_checkpoint
from qlam_qiskit.training import Interrupted, RunFolder, train

TRAINED, HELD_OUT = 45, 15


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Experiment.model_validate(
        {
            "data": {
                "dataset": "digits",
                "view": "rows",
                "train_limit": 60,
                "test_limit": 20,
                "shift": 1,
                "flip": True,
            },
            "model": {"circuit": {"template": "line", "qubits": 2}, "embedding": {"kind": "linear", "width": 4}},
            "training": {"epochs": 2, "batch_size": 16, "validation_fraction": 0.25},
        }
    )


def test_stopping_within_an_epoch_and_resuming_gives_the_same_bits(experiment, quiet):
    whole, _ = train(experiment, "varied", quiet, out=Path("whole"))
    taken = iter(range(100))
    with pytest.raises(Interrupted):
        train(experiment, "varied", quiet, out=Path("stopped"), should_stop=lambda: next(taken) == 4)
    assert RunFolder.open(Path("stopped")).result() is None
    resumed, _ = train(experiment, "varied", quiet, out=Path("stopped"), resume=True)
    one, other = (load_checkpoint(folder.last).tensors for folder in (whole, resumed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert whole.result()["test_loss"] == resumed.result()["test_loss"]


def test_each_epoch_draws_anew_and_what_is_held_out_stays_as_it_is(experiment, quiet, monkeypatch):
    drawn, plain = [], []
    tokens = Split.tokens

    def watched(split, indices):
        if split.variants is None:
            plain.append(len(split))
        else:
            drawn.append((len(split), dict(zip(indices.tolist(), split.variants[indices].tolist(), strict=True))))
        return tokens(split, indices)

    monkeypatch.setattr(Split, "tokens", watched)
    train(experiment, "varied", quiet)
    batches = [{k: v for _, batch in epoch for k, v in batch.items()} for epoch in (drawn[:3], drawn[3:])]
    assert {size for size, _ in drawn} == {TRAINED}
    assert [sorted(epoch) for epoch in batches] == [list(range(TRAINED))] * 2
    assert np.mean([batches[0][k] != batches[1][k] for k in range(TRAINED)]) > 0.7
    assert HELD_OUT in plain
    assert 20 in plain  # tested
