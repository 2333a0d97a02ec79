"""What needs a GPU: agreement with the CPU's engine in single precision, and memory that does not grow with T."""

import numpy as np
import pytest
import torch
from gpu import needs_gpu
from references import random_arguments

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.engine.torch.torch_engine import TorchEngine
from qlam_qiskit.templates import load_template

pytestmark = needs_gpu


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("qubits", [4, 6, 8, 10])
@pytest.mark.parametrize("template", ["ring", "brickwork", "reuploading"])
def test_cuda_agrees_with_the_cpu_to_single_precision(template, qubits, rng):
    memory = load_template(template, qubits)
    cpu, cuda = ExactEngine(memory, precision="float64"), TorchEngine(memory)
    arguments = random_arguments(cpu, rng, samples=33, steps=100, registers=2, queries=2, readouts=3)
    arguments[0] = arguments[0].astype(np.float32)
    read = [99, 0, 50]
    expected, tape = cpu.forward(*arguments, readout_steps=read)
    values, cuda_tape = cuda.forward(*arguments, readout_steps=read)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-4)
    cotangent = rng.normal(size=values.shape)
    gradients, slopes = cuda.backward(cuda_tape, cotangent), cpu.backward(tape, cotangent)
    for name in ("inputs", "weights", "queries"):
        part, other = getattr(gradients, name), getattr(slopes, name)
        assert np.linalg.norm(part - other) < 1e-3 * np.linalg.norm(other)


def test_cuda_agrees_with_the_cpu_in_double_precision(rng):
    memory = load_template("ising", 5)
    cpu, cuda = ExactEngine(memory, precision="float64"), TorchEngine(memory, precision="float64")
    arguments = random_arguments(cpu, rng, samples=5, steps=20)
    (values, tape), (expected, other_tape) = cuda.forward(*arguments), cpu.forward(*arguments)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)
    gradients, others = cuda.backward(tape, values), cpu.backward(other_tape, values)
    for name in ("inputs", "weights", "queries"):
        np.testing.assert_allclose(getattr(gradients, name), getattr(others, name), rtol=0, atol=1e-11)


def test_tf32_does_not_reach_the_products(rng):
    memory = load_template("ring", 6)
    before = torch.get_float32_matmul_precision()
    arguments = random_arguments(ExactEngine(memory), rng, samples=8, steps=100)
    torch.set_float32_matmul_precision("high")
    try:
        values, _ = TorchEngine(memory).forward(*arguments)
    finally:
        torch.set_float32_matmul_precision(before)
    expected, _ = ExactEngine(memory, precision="float64").forward(*arguments)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-4)


def test_runs_are_bit_identical(rng):
    engine = TorchEngine(load_template("ring", 6))
    arguments = random_arguments(engine, rng, samples=20, steps=50, registers=2)
    runs = []
    for _ in range(2):
        values, tape = engine.forward(*arguments)
        gradients = engine.backward(tape, values)
        runs.append((values, gradients.inputs, gradients.weights, gradients.queries))
    for part, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(part, other)


def test_memory_beyond_inputs_and_angles_does_not_grow_with_the_sequence(rng):
    engine = TorchEngine(load_template("ring", 8), chunk_bytes=1 << 26)

    def peak(steps):
        arguments = random_arguments(engine, rng, samples=64, steps=steps)
        torch.cuda.reset_peak_memory_stats()
        values, tape = engine.forward(*arguments)
        engine.backward(tape, values)
        return torch.cuda.max_memory_allocated(), arguments[0].astype(np.float32).nbytes

    peak(200)
    (short, few), (long, many) = peak(400), peak(4000)
    # Angles and their gradients grow with the inputs; psi after every step would be 32 times as much as these.
    states = (many - few) / engine.memory.num_inputs * 2 * engine.dimension
    assert long - short < 0.8 * states
