"""Confusions, mistakes and examples of answers that are known."""

import numpy as np
import pytest
import torch
from torch import nn

from qlam_qiskit.data import SequenceData, Split
from qlam_qiskit.runs.predictions import Predictions, predict


def predictions(labels, predicted, losses, classes=3):
    labels, predicted = np.array(labels), np.array(predicted)
    labels, predicted = labels.reshape(len(labels), -1), predicted.reshape(len(predicted), -1)
    names = tuple("abcdefghij"[:classes])
    return Predictions(labels, predicted, np.ones(labels.shape), np.array(losses, float), names)


def test_confusions_are_counted_by_truth_and_answer():
    found = predictions([0, 0, 1, 2, 2], [0, 1, 1, 0, 2], np.zeros(5))
    np.testing.assert_array_equal(found.confusion(), [[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    assert found.accuracy == pytest.approx(3 / 5)
    several = predictions([[0, 1], [2, 2]], [[0, 2], [2, 2]], np.zeros(2))
    np.testing.assert_array_equal(several.confusion(), [[1, 0, 0], [0, 0, 1], [0, 0, 2]])
    np.testing.assert_array_equal(several.right, [False, True])
    assert several.accuracy == pytest.approx(3 / 4)


def test_mistakes_are_wrong_answers_by_loss():
    found = predictions([0, 1, 2, 0], [1, 0, 2, 2], [1.0, 3.0, 9.0, 2.0])
    assert found.mistakes(2).tolist() == [1, 3]
    assert found.mistakes(10).tolist() == [1, 3, 0]


def test_examples_are_of_classes_far_apart_and_then_the_worst_mistakes():
    labels = [*range(10), *range(10)]
    predicted = [*range(10), 9, *range(1, 9), 0]
    losses = np.zeros(20)
    losses[19] = 1.0
    found = predictions(labels, predicted, losses, classes=10)
    assert found.examples(6).tolist() == [0, 3, 6, 9, 19, 10]
    assert len(set(found.examples(15).tolist())) == 15


def test_examples_fill_up_where_one_kind_is_missing():
    all_right = predictions([0, 1, 2], [0, 1, 2], np.zeros(3)).examples(6)
    assert sorted(all_right.tolist()) == [0, 1, 2]
    all_wrong = predictions([0, 1, 2], [1, 2, 0], [1, 2, 3])
    assert all_wrong.examples(2).tolist() == [2, 1]


def test_predictions_are_the_models():
    class Copier(nn.Module):
        def forward(self, tokens):
            return tokens[:, :2]  # the first two tokens are the logits of two answers

    values = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    labels = np.array([[0, 1], [1, 1], [2, 2], [3, 0], [0, 0]])
    heard = []
    split = Split(labels, values)
    data = SequenceData("copied", split, split, 3, 4, 4, 2, None, tuple("abcd"))
    found = predict(Copier(), split, data, lambda *done: heard.append(done), 2)
    np.testing.assert_array_equal(found.predicted, values[:, :2].argmax(-1))
    logits = torch.from_numpy(values[:, :2]).log_softmax(-1).numpy()
    chosen = np.take_along_axis(logits, labels[:, :, None], axis=2)[:, :, 0]
    np.testing.assert_allclose(found.losses, -chosen.mean(1), rtol=1e-5)
    np.testing.assert_allclose(found.confidence, np.exp(logits.max(-1)), rtol=1e-5)
    assert heard == [(2, 5), (4, 5), (5, 5)]
