"""Random memories with channels: states and emissions are Aer's, gradients are slopes.

QLAM_RANDOM_CIRCUITS sets how many are drawn.
"""

import os

import numpy as np
import pytest
from open_memories import assert_agrees_with_aer, random_open_memory
from qiskit.quantum_info import DensityMatrix
from references import bound_sequence, random_arguments

from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.templates import load_template

COUNT = int(os.environ.get("QLAM_RANDOM_CIRCUITS", "25"))


# 186 measures an ancilla that never meets the memory.
@pytest.mark.parametrize("seed", sorted({*range(COUNT), 186}))
def test_readouts_and_emissions_are_aers_and_gradients_are_slopes(seed):
    rng = np.random.default_rng(seed)
    memory = random_open_memory(rng)
    assert_agrees_with_aer(memory, rng)


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
