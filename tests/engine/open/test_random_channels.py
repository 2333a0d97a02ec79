"""Random memories with channels: states are Aer's density matrices, gradients are slopes, and so are those of emissions.

QLAM_RANDOM_CIRCUITS sets how many are drawn.
"""

import os

import numpy as np
import pytest
from open_memories import aer_reading, random_open_memory
from qiskit.quantum_info import DensityMatrix
from references import assert_slopes, bound_sequence, random_arguments

from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.templates import load_template

COUNT = int(os.environ.get("QLAM_RANDOM_CIRCUITS", "25"))


@pytest.mark.parametrize("seed", range(COUNT))
def test_readouts_and_emissions_are_aers_and_gradients_are_slopes(seed):
    rng = np.random.default_rng(seed)
    memory = random_open_memory(rng)
    engine = OpenEngine(memory, precision="float64", threads=1)
    inputs, weights, queries = random_arguments(engine, rng, samples=2, steps=3, readouts=3)
    everything = dict(readout_steps=[0, 1, 2], emissions=True)
    values, tape = engine.forward(inputs, weights, queries, **everything)
    for sample in range(2):
        found, state, emitted = aer_reading(memory, inputs[sample, :, 0], weights[0], queries[sample, 2, 0, 0])
        np.testing.assert_allclose(values[sample, 2, 0, 0], found, rtol=0, atol=1e-10)
        np.testing.assert_allclose(np.trace(state), 1, rtol=0, atol=1e-10)
        np.testing.assert_allclose(tape.emissions[sample, :, 0], emitted, rtol=0, atol=1e-10)
    cotangent, of_emissions = rng.normal(size=values.shape), rng.normal(size=tape.emissions.shape)
    gradients = engine.backward(tape, cotangent, emissions=of_emissions)

    def value(*changed):
        values, tape = engine.forward(*changed, **everything)
        return (values * cotangent).sum() + (tape.emissions * of_emissions).sum()

    parts = (gradients.inputs, gradients.weights, gradients.queries)
    assert_slopes(value, (inputs, weights, queries), parts, rng)


def _z_by_qiskit(memory, inputs, weights):
    state = DensityMatrix(bound_sequence(memory, inputs, weights))
    return state.probabilities(memory.memory_qubits)


def test_input_gradients_are_those_of_the_parameter_shift_rule():
    """By Qiskit's density matrices: angles of RY and RZ have two-term shifts, those of rates four-term ones."""
    memory = load_template("damped_line", 2)
    engine = OpenEngine(memory, precision="float64")
    rng = np.random.default_rng(5)
    inputs, weights, _ = random_arguments(engine, rng, samples=1, steps=2)
    query = np.zeros((1, 1, 1, 1, memory.num_query_angles))
    values, tape = engine.forward(inputs, weights, query)
    cotangent = rng.normal(size=values.shape)
    gradient = engine.backward(tape, cotangent).inputs

    def value(changed):
        return _z_by_qiskit(memory, changed[0, :, 0], weights[0]) @ cotangent[0, 0, 0, 0]

    for place in np.ndindex(inputs.shape):
        shift = np.zeros_like(inputs)
        shift[place] = np.pi / 2
        slope = (value(inputs + shift) - value(inputs - shift)) / 2
        np.testing.assert_allclose(gradient[place], slope, rtol=0, atol=1e-9)
