"""The open engine on torch's CPU device: the numbers of the CPU's open engine, for every circuit, reading and chunk."""

import os

import numpy as np
import pytest
from gpu import needs_no_gpu
from open_memories import random_open_memory
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit.library import RXXGate, XXPlusYYGate
from qiskit_aer.noise import depolarizing_error, thermal_relaxation_error
from references import random_arguments

from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.engine.torch import make_engine
from qlam_qiskit.engine.torch.torch_open_engine import TorchOpenEngine
from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.templates import load_template

COUNT = int(os.environ.get("QLAM_RANDOM_CIRCUITS", "12"))
EVERYTHING = {"readout_steps": [5, 0, 3], "mean": True, "emissions": True}


@pytest.fixture
def rng():
    return np.random.default_rng(13)


def _torch(memory, precision="float64", **options):
    return TorchOpenEngine(memory, precision=precision, device="cpu:0", **options)


def _run(engine, arguments, cotangent, of_emissions, **options):
    """Return probabilities, emissions if they were asked for, and the three gradients."""
    values, tape = engine.forward(*arguments, **options)
    gradients = engine.backward(tape, cotangent, emissions=of_emissions)
    emitted = [] if tape.emissions is None else [tape.emissions]
    return values, *emitted, gradients.inputs, gradients.weights, gradients.queries


def _assert_alike(memory, arguments, rng, other=None, **options):
    exact = OpenEngine(memory, precision="float64", threads=1)
    values, tape = exact.forward(*arguments, **options)
    of_emissions = None if tape.emissions is None else rng.normal(size=tape.emissions.shape)
    cotangents = rng.normal(size=values.shape), of_emissions
    found = _run(other or _torch(memory), arguments, *cotangents, **options)
    for part, expected in zip(found, _run(exact, arguments, *cotangents, **options), strict=True):
        assert part.shape == expected.shape and part.dtype == expected.dtype
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("qubits", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("template", ["damped_ring", "damped_line"])
def test_templates_give_the_open_engines_numbers(template, qubits, mean, rng):
    memory = load_template(template, qubits)
    arguments = random_arguments(_torch(memory), rng, samples=3, steps=7, registers=2, queries=2, readouts=3)
    _assert_alike(memory, arguments, rng, **EVERYTHING | {"mean": mean})


@pytest.mark.parametrize("seed", range(COUNT))
def test_random_memories_give_the_open_engines_numbers(seed):
    rng = np.random.default_rng(seed)
    memory = random_open_memory(rng)
    arguments = random_arguments(_torch(memory), rng, samples=2, steps=4, registers=2, queries=2, readouts=2)
    _assert_alike(memory, arguments, rng, readout_steps=[2, 1], mean=bool(seed % 2), emissions=True)


def test_noise_after_every_gate_gives_the_open_engines_numbers(rng):
    clean = load_template("damped_ring", 3)
    update = clean.update.copy_empty_like()
    for instruction in clean.update.data:
        update.append(instruction)
        if len(instruction.qubits) == 2:
            update.append(depolarizing_error(0.02, 2).to_instruction(), instruction.qubits)
        elif instruction.operation.name.startswith("r") and instruction.operation.name != "reset":
            update.append(thermal_relaxation_error(180.0, 140.0, 2.0).to_instruction(), instruction.qubits)
    memory = MemoryCircuit(update, clean.inputs, clean.weights, ancillas=clean.ancillas)
    arguments = random_arguments(_torch(memory), rng, samples=3, steps=6, registers=2, readouts=3)
    _assert_alike(memory, arguments, rng, **EVERYTHING)


def test_strings_of_distant_qubits_and_inputs_after_weights_are_run(rng):
    """No window holds X on qubits 0 and 3; angles are products and functions of inputs and weights."""
    x, w = ParameterVector("x", 3), ParameterVector("w", 2)
    update = QuantumCircuit(5)
    update.ry(x[0] * w[0], 0)
    update.append(RXXGate(x[1] + w[1]), [0, 3])
    update.append(RXXGate(x[1]), [2, 3])
    update.rx(w[0], 2)
    update.append(XXPlusYYGate(x[2].sin()), [1, 2])
    update.append(XXPlusYYGate(w[1]), [2, 4])
    update.rz(x[0], 3)
    memory = MemoryCircuit(update, x, w, ancillas=[4])
    arguments = random_arguments(_torch(memory), rng, samples=3, steps=6, registers=2, readouts=3)
    _assert_alike(memory, arguments, rng, **EVERYTHING)


def test_inputs_in_a_gadget_are_run_too(rng):
    """The ancilla is then a qubit of the register."""
    x, w = Parameter("x"), Parameter("w")
    update = QuantumCircuit(3, 1)
    update.ry(x, 1)
    update.append(XXPlusYYGate(x * w), [1, 0])
    update.ry(w, 2)
    update.measure(0, 0)
    memory = MemoryCircuit(update, [x], [w], ancillas=[0])
    arguments = random_arguments(_torch(memory), rng, samples=3, steps=6, readouts=3)
    _assert_alike(memory, arguments, rng, **EVERYTHING)


@pytest.mark.parametrize("kept_bytes", [0, 1 << 30])
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 17, 1 << 18, 1 << 30])
def test_chunks_and_states_kept_do_not_show(chunk_bytes, kept_bytes, rng):
    memory = load_template("damped_ring", 3)
    cut = _torch(memory, chunk_bytes=chunk_bytes, kept_bytes=kept_bytes)
    arguments = random_arguments(cut, rng, samples=2, steps=23, registers=2, queries=3, readouts=4)
    _assert_alike(memory, arguments, rng, cut, readout_steps=[21, 1, 2, 14], mean=True, emissions=True)
    _assert_alike(memory, arguments, rng, cut, readout_steps=[21, 1, 2, 14])


def test_states_kept_grow_with_the_square_root_of_the_sequence():
    engine = _torch(load_template("damped_ring", 2), precision="float32", chunk_bytes=1)

    def held(steps):
        length = engine._chunk_length(steps, samples=16)
        return length * engine._step.numbers + -(-steps // length) * engine._step.size

    assert held(1_000_000) <= 11 * held(10_000)


def test_queries_broadcast_and_a_tape_serves_twice(rng):
    engine = _torch(load_template("damped_line", 3))
    inputs, weights, queries = random_arguments(engine, rng, samples=4, steps=5, registers=2, queries=2, readouts=2)
    arguments = inputs, weights, queries[:1, :1]
    _assert_alike(engine.memory, arguments, rng, engine, readout_steps=[1, 3])
    values, tape = engine.forward(*arguments)
    first, second = engine.backward(tape, values), engine.backward(tape, values)
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.inputs, second.inputs)


def test_a_sample_that_is_not_finite_leaves_the_others_and_earlier_readings_alone(rng):
    engine = _torch(load_template("damped_ring", 2))
    inputs, weights, queries = random_arguments(engine, rng, samples=3, steps=6)
    expected, _ = engine.forward(inputs, weights, queries, readout_steps=[2, 5], mean=True)
    inputs[1, 4] = np.nan
    found, _ = engine.forward(inputs, weights, queries, readout_steps=[2, 5], mean=True)
    assert np.isnan(found[1, 1]).all()
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
    np.testing.assert_array_equal(found[:, 0], expected[:, 0])


def test_single_precision_stays_close_to_double_over_784_steps(rng):
    memory = load_template("damped_ring", 3)
    double, single = OpenEngine(memory, precision="float64", threads=1), _torch(memory, "float32")
    inputs, weights, queries = random_arguments(double, rng, samples=4, steps=784, size=0.3)
    inputs = inputs.astype(np.float32)
    cotangent = rng.normal(size=(4, 1, 1, 1, 8))
    (values, *exact), (found, *rounded) = (
        _run(e, (inputs, weights, queries), cotangent, None) for e in (double, single)
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-5)
    for part, expected in zip(rounded, exact, strict=True):
        assert part.dtype == np.float32
        assert np.linalg.norm(part - expected) < 1e-3 * np.linalg.norm(expected)


def test_the_engine_is_chosen_by_circuit_and_device():
    memory = load_template("damped_ring", 2)
    engine = make_engine(memory, device="cpu:0")
    assert isinstance(engine, TorchOpenEngine)
    assert engine.in_precision("float32") is engine
    assert engine.in_precision("float64").dtype is np.float64


@needs_no_gpu
def test_a_machine_without_cuda_is_told_in_one_line():
    with pytest.raises(ConfigurationError, match=r"^device cuda: torch .*use device: cpu$"):
        make_engine(load_template("damped_ring", 2), device="cuda")


def test_what_does_not_fit_is_refused(rng):
    with pytest.raises(CircuitError, match=r"at most 6 qubits, not 7.*Aer"):
        _torch(load_template("damped_line", 7))
    with pytest.raises(ConfigurationError, match="float32, float64"):
        _torch(load_template("damped_ring", 2), precision="float16")
    x = ParameterVector("x", 4)
    update = QuantumCircuit(8)
    for k in range(4):
        update.append(XXPlusYYGate(x[k]), [k, 4 + k])
    with pytest.raises(CircuitError, match=r"inputs act on its ancillas, so that 8 qubits.*cpu:0"):
        _torch(MemoryCircuit(update, x, [], ancillas=[4, 5, 6, 7]))
    engine = _torch(load_template("damped_ring", 2))
    inputs, weights, queries = random_arguments(engine, rng)
    with pytest.raises(CircuitError, match="inputs must be"):
        engine.forward(inputs[..., :1], weights, queries)
    values, tape = engine.forward(inputs, weights, queries)
    with pytest.raises(CircuitError, match=r"cotangent has shape \(3, 4\)"):
        engine.backward(tape, np.zeros((3, 4)))
    with pytest.raises(CircuitError, match="not asked for emissions"):
        engine.backward(tape, values, emissions=np.zeros((3, 1, 1, 2)))
