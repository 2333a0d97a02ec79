"""What a step costs a GPU: operations launched, and states held."""

from collections import Counter

import numpy as np
import pytest
import torch
from references import random_arguments
from torch.overrides import TorchFunctionMode

from qlam_qiskit.engine import compile_plan
from qlam_qiskit.engine.plan import PhaseRun
from qlam_qiskit.engine.torch.grouping import LocalRotations, group, join, split_tail
from qlam_qiskit.engine.torch.torch_engine import TorchEngine
from qlam_qiskit.engine.torch.torch_open_engine import TorchOpenEngine
from qlam_qiskit.templates import load_template

# These write nothing: they look at what is there in another shape.
VIEWS = {"__get__", "view", "__getitem__", "split", "unbind", "flatten", "unflatten", "unsqueeze", "expand_as"}


class _Launches(TorchFunctionMode):
    """Counts operations on tensors."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.counts[function.__name__] += function.__name__ not in VIEWS
        return function(*args, **(kwargs or {}))


def _groups(template, qubits):
    memory = load_template(template, qubits)
    return group(compile_plan(memory.update, memory.inputs, memory.weights))


@pytest.mark.parametrize(
    ("template", "kinds"),
    [
        ("ring", [LocalRotations, PhaseRun]),
        ("line", [LocalRotations, PhaseRun]),
        ("ising", [LocalRotations, PhaseRun]),
        ("brickwork", [LocalRotations, PhaseRun] * 2),
        ("reuploading", [LocalRotations, PhaseRun] * 2),
    ],
)
def test_a_step_is_rotations_and_phases_in_turn_and_its_last_rotations_join_the_next_ones(template, kinds):
    body, tail = split_tail(_groups(template, 5))
    assert [type(part) for part in join(tail, body)] == kinds
    assert len(tail) == 1


@pytest.mark.parametrize(("qubits", "launches"), [(4, 2), (6, 3), (8, 3), (9, 4)])
def test_a_step_of_the_ring_launches_one_product_for_four_qubits_and_one_for_the_phases(qubits, launches):
    engine = TorchEngine(load_template("ring", qubits), device="cpu")
    rng = np.random.default_rng(0)
    counts = []
    for steps in (10, 30):
        arguments = random_arguments(engine, rng, samples=2, steps=steps, registers=2)
        with _Launches() as forward:
            values, tape = engine.forward(*arguments)
        with _Launches() as backward:
            engine.backward(tape, values)
        counts.append([mode.counts.total() for mode in (forward, backward)])
    assert np.array_equal(np.subtract(*counts[::-1]), [20 * launches, 20 * launches])


@pytest.mark.parametrize(("qubits", "launches"), [(2, 2), (3, 3), (4, 3), (5, 4)])
def test_a_step_with_channels_launches_a_product_for_its_weights_and_one_for_each_two_qubits(qubits, launches):
    engine = TorchOpenEngine(load_template("damped_ring", qubits), device="cpu")
    rng = np.random.default_rng(0)
    counts = []
    for steps in (10, 30):
        arguments = random_arguments(engine, rng, samples=2, steps=steps, registers=2)
        with _Launches() as forward:
            engine.forward(*arguments)
        counts.append(sum(forward.counts[name] for name in ("bmm", "matmul", "__matmul__")))
    assert counts[1] - counts[0] == 20 * launches


def test_states_are_held_for_one_chunk_whatever_the_number_of_steps(monkeypatch):
    engine = TorchEngine(load_template("ring", 6), device="cpu", chunk_bytes=1 << 20)
    most = (1 << 20) // engine._step.bytes_of(8, torch.float32)
    assert 1 < most < 50
    held = []
    backward = engine._step.backward
    monkeypatch.setattr(engine._step, "backward", lambda *a: held.append(len(a[1])) or backward(*a))
    values, tape = engine.forward(*random_arguments(engine, np.random.default_rng(0), samples=8, steps=200))
    engine.backward(tape, values)
    assert sum(held) == 200 and max(held) == most
