"""Readings over spans of steps: the mean of what is read after every step, whatever engine or backend reads it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from qiskit.primitives import BitArray

from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.engine import Readout
from qlam_qiskit.engine.torch.torch_open_engine import TorchOpenEngine
from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.network import ExactExecution, MemoryNetwork, PrimitiveExecution
from qlam_qiskit.network.spans import Spans, emission_means, measured_steps
from qlam_qiskit.templates import load_template

STEPS, READ = 5, (1, 2, 4)
LENGTHS = (2, 1, 2)


def arguments(memory, samples=2, registers=2, queries=2):
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(samples, STEPS, registers, memory.num_inputs)),
        rng.normal(size=(registers, memory.num_weights)),
        rng.normal(size=(samples, len(READ), registers, queries, memory.num_query_angles)),
    )


def exact(memory, readout, read=READ, **options):
    return ExactExecution.of(memory, readout, read, precision="float64", **options)


def means_by_hand(memory, readout, angles, weights, queries):
    queries = np.repeat(queries, LENGTHS, axis=1)
    every, _ = exact(memory, replace(readout, pooling="last"), range(STEPS)).forward(angles, weights, queries)
    return np.stack([part.mean(1) for part in np.split(every, np.cumsum(LENGTHS)[:-1], axis=1)], axis=1)


@pytest.mark.parametrize("template", ["ring", "damped_line"])
@pytest.mark.parametrize("kind", ["probabilities", "z_strings"])
def test_means_are_those_of_readouts_after_every_step_and_so_are_gradients(template, kind):
    memory, readout = load_template(template, 2), Readout(2, kind, pooling="mean")
    given = arguments(memory)
    execution = exact(memory, readout)
    values, tape = execution.forward(*given)
    np.testing.assert_allclose(values, means_by_hand(memory, readout, *given), rtol=0, atol=1e-12)
    rng = np.random.default_rng(1)
    cotangent = rng.normal(size=values.shape)
    gradients = execution.backward(tape, cotangent)
    for place, found in enumerate((gradients.inputs, gradients.weights, gradients.queries)):
        assert found.shape == given[place].shape
        step = 1e-6 * rng.normal(size=found.shape)
        ahead, behind = (
            execution.forward(*(part + sign * step if k == place else part for k, part in enumerate(given)))[0]
            for sign in (1, -1)
        )
        slope = ((ahead - behind) * cotangent).sum() / 2
        assert slope == pytest.approx((found * step).sum(), rel=1e-6, abs=1e-13)


def test_operations_of_torch_average_too():
    memory, readout = load_template("ring", 2), Readout(2, pooling="mean")
    given = arguments(memory)
    found = exact(memory, readout).differentiable(*map(torch.from_numpy, given))
    np.testing.assert_allclose(found.numpy(), exact(memory, readout).forward(*given)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", [Readout(2, pooling="mean"), Readout(2, "emissions", emissions=1)])
def test_the_engine_of_gpus_reads_alike(readout):
    memory = load_template("damped_line", 2)
    given = arguments(memory, queries=1)
    expected, tape = exact(memory, readout).forward(*given)
    wanted = exact(memory, readout).backward(tape, np.ones_like(expected))
    there = ExactExecution(TorchOpenEngine(memory, precision="float64", device="cpu"), readout, READ)
    for execution in (there, there.on_circuit(memory)):
        found, tape = execution.forward(*given)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        gradients = execution.backward(tape, np.ones_like(found))
        for one, other in zip(vars(gradients).values(), vars(wanted).values(), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_shots_of_a_mean_are_drawn_from_the_mean_distribution():
    memory, shots = load_template("ring", 2), 50
    readout = Readout(2, "z_strings", pooling="mean")
    given = arguments(memory, samples=1, registers=1, queries=1)
    expected, _ = exact(memory, readout).forward(*given)
    drawing = exact(memory, readout, shots=shots, rng=np.random.default_rng(5))
    drawn = np.stack([drawing.forward(*given)[0] for _ in range(2000)])
    np.testing.assert_allclose(drawn.var(0), (1 - expected**2) / shots, rtol=0.2)
    np.testing.assert_allclose(drawn.mean(0), expected, atol=5 * (1 / shots / 2000) ** 0.5)


def test_emissions_are_drawn_from_all_steps_of_a_span():
    memory, shots = load_template("damped_line", 2, {"damped": [0, 1]}), 50
    readout = Readout(2, "emissions", emissions=2)
    given = arguments(memory, samples=1, registers=1, queries=1)
    expected, _ = exact(memory, readout).forward(*given)
    drawing = exact(memory, readout, shots=shots, rng=np.random.default_rng(5))
    drawn = np.stack([drawing.forward(*given)[0] for _ in range(2000)])
    lengths = np.array(LENGTHS).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(drawn.var(0), expected * (1 - expected) / shots / lengths, rtol=0.2)


@pytest.mark.parametrize(
    "readout",
    [Readout(2, "z_strings"), Readout(2, pooling="mean"), Readout(2, "emissions", emissions=1)],
    ids=["last", "mean", "emissions"],
)
def test_a_memory_with_ancillas_is_read_alike_on_aer(readout):
    memory = load_template("damped_line", 2)
    given = arguments(memory, samples=1, registers=1, queries=1)
    values, tape = exact(memory, readout).forward(*given)
    cotangent = np.random.default_rng(1).normal(size=values.shape)
    wanted = exact(memory, readout).backward(tape, cotangent)
    counted = readout.kind == "emissions"
    for shots in (4000,) if counted else (None, 4000):
        with open_backend(make_spec("here", {"kind": "aer", "shots": shots}, "test"), seed=3) as backend:
            execution = PrimitiveExecution(memory, readout, backend, steps=STEPS, readout_steps=READ)
            found, call = execution.forward(*given)
            np.testing.assert_allclose(found, values, rtol=0, atol=0.2 if shots else 1e-10)
            for one, other in zip(
                vars(execution.backward(call, cotangent)).values(), vars(wanted).values(), strict=True
            ):
                np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_parameter_shifts_see_the_channels():
    memory, readout = load_template("damped_line", 2), Readout(2, "z_strings", pooling="mean")
    given = arguments(memory, samples=1, registers=1, queries=1)
    values, tape = exact(memory, readout).forward(*given)
    wanted = exact(memory, readout).backward(tape, np.ones_like(values))
    with open_backend(make_spec("here", {"kind": "aer"}, "test")) as backend:
        options = {"steps": STEPS, "readout_steps": READ, "gradient": "param_shift"}
        execution = PrimitiveExecution(memory, readout, backend, **options)
        _, call = execution.forward(*given)
        found = execution.backward(call, np.ones_like(values))
    for one, other in zip(vars(found).values(), vars(wanted).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-8)


def test_emission_bits_are_averaged_over_shots_and_spans():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, size=(3, 7, STEPS * 2)).astype(bool)  # rows, shots, bits from the first on
    packed = BitArray.from_bool_array(bits, order="little")
    expected = bits.mean(1).reshape(3, STEPS, 2)
    expected = np.stack([expected[:, :2].mean(1), expected[:, 2], expected[:, 3:].mean(1)], axis=1)
    np.testing.assert_allclose(emission_means(packed, 2, READ), expected)


def test_what_cannot_be_averaged_is_one_line():
    with pytest.raises(ConfigurationError, match=r"a circuit for each of 784 steps, more than 64: read emissions"):
        measured_steps(Readout(2, pooling="mean"), (391, 783))
    with pytest.raises(CircuitError, match="increasing steps"):
        Spans.of((3, 1))
    with pytest.raises(ConfigurationError, match="emits nothing"):
        Readout(2, "emissions")
    memory = load_template("damped_line", 2)
    with pytest.raises(CircuitError, match="emissions are not queried"):
        MemoryNetwork(memory, 3, readout=Readout(2, "emissions", emissions=1), queries=2)
    with (
        open_backend(make_spec("here", {"kind": "aer"}, "test")) as backend,
        pytest.raises(ConfigurationError, match="give the backend shots"),
    ):
        PrimitiveExecution(memory, Readout(2, "emissions", emissions=1), backend, steps=2)
