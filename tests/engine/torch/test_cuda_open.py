"""What needs a GPU: memories with channels agree with the CPU's open engine, in single and in double precision."""

import numpy as np
import pytest
import torch
from gpu import needs_gpu
from open_memories import random_open_memory
from references import random_arguments

from qlam_qiskit.backends import fake_device
from qlam_qiskit.engine import bench
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.engine.torch.torch_open_engine import TorchOpenEngine
from qlam_qiskit.planning import noisy_memory
from qlam_qiskit.templates import load_template

pytestmark = needs_gpu


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def _runs(memory, engines, arguments, rng, **options):
    """Return values, emissions and gradients of each engine, for the same cotangents."""
    shape = [*arguments[2].shape[:4], 1 << memory.num_qubits]
    cotangent, of_emissions = rng.normal(size=shape), rng.normal(size=(*shape[:3], memory.num_emissions))
    for engine in engines:
        values, tape = engine.forward(*arguments, emissions=True, **options)
        gradients = engine.backward(tape, cotangent, emissions=of_emissions)
        yield values, tape.emissions, gradients.inputs, gradients.weights, gradients.queries


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("qubits", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("template", ["damped_ring", "damped_line"])
def test_cuda_agrees_with_the_cpu_to_single_precision(template, qubits, mean, rng):
    memory = load_template(template, qubits)
    engines = OpenEngine(memory, precision="float64"), TorchOpenEngine(memory)
    arguments = random_arguments(engines[0], rng, samples=33, steps=100, registers=2, queries=2, readouts=3, size=0.5)
    arguments[0] = arguments[0].astype(np.float32)
    cpu, cuda = _runs(memory, engines, arguments, rng, readout_steps=[99, 0, 50], mean=mean)
    for part, expected in zip(cuda[:2], cpu[:2], strict=True):
        assert part.dtype == np.float32
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-4)
    for part, expected in zip(cuda[2:], cpu[2:], strict=True):
        assert np.linalg.norm(part - expected) < 1e-3 * np.linalg.norm(expected)


@pytest.mark.parametrize("seed", range(8))
def test_cuda_agrees_with_the_cpu_in_double_precision(seed):
    rng = np.random.default_rng(seed)
    memory = random_open_memory(rng)
    engines = OpenEngine(memory, precision="float64"), TorchOpenEngine(memory, precision="float64")
    arguments = random_arguments(engines[0], rng, samples=3, steps=9, registers=2, queries=2, readouts=2)
    for part, expected in zip(
        *_runs(memory, engines[::-1], arguments, rng, readout_steps=[7, 2], mean=True), strict=True
    ):
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-10)


def test_tf32_does_not_reach_the_products(rng):
    memory = load_template("damped_ring", 4)
    before = torch.get_float32_matmul_precision()
    arguments = random_arguments(OpenEngine(memory), rng, samples=8, steps=100)
    torch.set_float32_matmul_precision("high")
    try:
        values, _ = TorchOpenEngine(memory).forward(*arguments)
    finally:
        torch.set_float32_matmul_precision(before)
    expected, _ = OpenEngine(memory, precision="float64").forward(*arguments)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)


def test_memory_stays_within_chunks_and_what_grows_with_the_inputs(rng):
    engine = TorchOpenEngine(load_template("damped_ring", 4), chunk_bytes=1 << 25, kept_bytes=0)

    def peak(steps):
        arguments = random_arguments(engine, rng, samples=32, steps=steps)
        torch.cuda.reset_peak_memory_stats()
        values, tape = engine.forward(*arguments)
        engine.backward(tape, values)
        return torch.cuda.max_memory_allocated()

    peak(100)
    states = 3600 * 32 * 256 * 4  # bytes of the states after 3,600 steps
    assert peak(4000) - peak(400) < 0.5 * states


def test_a_template_with_channels_is_timed_on_the_gpu():
    result = bench("damped_ring", 3, steps=20, batch=8, repeats=1, device="cuda")
    assert result["device"] == "cuda" and result["peak_device_mb"] > 0


@pytest.mark.parametrize("chunks", [{}, {"chunk_bytes": 4000, "kept_bytes": 0}])
@pytest.mark.parametrize(("qubits", "damped", "device"), [(3, [2], "FakeTorino"), (3, [0, 2], None), (2, [], None)])
def test_steps_in_one_launch_agree_with_one_launch_a_layer(qubits, damped, device, chunks, rng):
    """Two groups of turns in a step with noise, one without; chunks of steps; a batch that fills no block."""
    pytest.importorskip("triton")
    memory = load_template("damped_line", qubits, {"damped": damped})
    if device is not None:
        memory = noisy_memory(memory, fake_device(device), emissions=True)
    engines = [TorchOpenEngine(memory, fused=fused, **chunks) for fused in (True, False)]
    arguments = random_arguments(engines[0], rng, samples=19, steps=30, registers=2, queries=1, readouts=3, size=0.5)
    fused, layers = _runs(memory, engines, arguments, rng, readout_steps=[29, 0, 11], mean=True)
    for part, expected in zip(fused, layers, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-4, atol=1e-4)
