"""Samples of different lengths in one batch: every engine reads each after its own steps, as if it ran alone."""

import numpy as np
import pytest
from references import random_arguments

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.engine.torch.torch_engine import TorchEngine
from qlam_qiskit.engine.torch.torch_open_engine import TorchOpenEngine
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.templates import load_template

LENGTHS = [9, 2, 5, 5, 17, 3, 16, 12, 17, 4, 8, 9, 7, 6, 2, 11, 13, 3, 17]


def _engines():
    pure, damped = load_template("reuploading", 3), load_template("damped_line", 2)
    return {
        "exact": ExactEngine(pure, precision="float64", threads=1),
        "open": OpenEngine(damped, precision="float64", threads=1),
        "torch": TorchEngine(pure, precision="float64", device="cpu", chunk_bytes=1 << 14),
        "torch open": TorchOpenEngine(damped, precision="float64", device="cpu", chunk_bytes=1 << 14, kept_bytes=0),
    }


def _times(length):
    return [length - 1, length // 2 - 1]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("exact", {}),
        ("open", {}),
        ("open", {"mean": True, "emissions": True}),
        ("torch", {}),
        ("torch open", {}),
    ],
)
def test_a_padded_batch_is_its_samples_run_alone(name, options):
    engine, rng = _engines()[name], np.random.default_rng(3)
    samples = len(LENGTHS)
    sizes = {"samples": samples, "steps": max(LENGTHS), "registers": 2, "queries": 2, "readouts": 2}
    inputs, weights, queries = random_arguments(engine, rng, **sizes)
    times = np.array([_times(length) for length in LENGTHS])
    times[-1, 1] = -1  # never
    values, tape = engine.forward(inputs, weights, queries, readout_steps=times, **options)
    cotangent = rng.normal(size=values.shape)
    emitted = {"emissions": rng.normal(size=tape.emissions.shape)} if options else {}
    padded = inputs.copy()
    gradients = engine.backward(tape, cotangent, **emitted)
    of_weights = np.zeros_like(weights)
    for k, length in enumerate(LENGTHS):
        read = [0, 1] if times[k, 1] >= 0 else [0]
        one, slots = slice(k, k + 1), np.ix_([k], read)
        alone, own = engine.forward(
            inputs[one, :length], weights, queries[slots], readout_steps=times[k, read].tolist(), **options
        )
        np.testing.assert_allclose(values[slots], alone, rtol=0, atol=1e-12)
        own_emitted = {}
        if options:
            np.testing.assert_allclose(tape.emissions[slots], own.emissions, rtol=0, atol=1e-12)
            own_emitted = {"emissions": emitted["emissions"][slots]}
        expected = engine.backward(own, cotangent[slots], **own_emitted)
        np.testing.assert_allclose(gradients.inputs[one, :length], expected.inputs, rtol=0, atol=1e-11)
        assert not gradients.inputs[k, length:].any()  # padding
        np.testing.assert_allclose(gradients.queries[slots], expected.queries, rtol=0, atol=1e-11)
        of_weights += expected.weights
    np.testing.assert_allclose(gradients.weights, of_weights, rtol=0, atol=1e-10)
    assert not values[-1, 1].any() and not gradients.queries[-1, 1].any()
    np.testing.assert_array_equal(inputs, padded)


def test_padding_may_hold_anything_finite():
    rng = np.random.default_rng(5)
    for engine in _engines().values():
        inputs, weights, queries = random_arguments(engine, rng, samples=3, steps=6)
        times = np.array([[5], [1], [3]])
        other = inputs.copy()
        other[1, 2:], other[2, 4:] = 1e3, -7.0
        found = []
        for given in (inputs, other):
            values, tape = engine.forward(given, weights, queries, readout_steps=times)
            found.append((values, engine.backward(tape, np.ones_like(values) * np.arange(values.shape[-1]))))
        np.testing.assert_array_equal(found[0][0], found[1][0])
        np.testing.assert_allclose(found[0][1].weights, found[1][1].weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize("times", [[[0], [1]], [[4], [0], [0]], [[-2], [0], [0]]])
def test_times_that_do_not_fit_are_refused(times):
    engine = _engines()["exact"]
    arguments = random_arguments(engine, np.random.default_rng(1), samples=3, steps=4)
    with pytest.raises(CircuitError, match=r"reading times|readout steps"):
        engine.forward(*arguments, readout_steps=np.array(times))
