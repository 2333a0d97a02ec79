"""How batches are cut: wide blocks for throughput, narrow ones for few samples and large registers."""

import numpy as np
import pytest

from qlam_qiskit.engine import ExactEngine, OpenEngine
from qlam_qiskit.engine.blocks import NARROW, WIDE, cut_batch, map_blocks, map_runs
from qlam_qiskit.templates import load_template


@pytest.mark.parametrize(
    ("samples", "registers", "qubits", "threads", "lanes"),
    [
        (64, 1, 8, 2, WIDE),
        (1, 1, 8, 2, NARROW),  # half of a wide block's work
        (16, 1, 8, 2, NARROW),  # two blocks, one for each processor
        (16, 2, 8, 2, WIDE),  # the registers keep both busy
        (32, 1, 8, 2, WIDE),
        (64, 1, 12, 2, NARROW),  # 16 samples would leave the cache
    ],
)
def test_the_width_that_finishes_sooner_is_chosen(samples, registers, qubits, threads, lanes):
    assert cut_batch(samples, registers, qubits, threads).lanes == lanes


@pytest.mark.parametrize("samples", [1, 7, 8, 9, 16, 17, 40])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_sample_of_every_head_is_in_one_block(samples, threads):
    cut = cut_batch(samples, 3, 4, threads)
    found = map_blocks(lambda register, index: cut.block(register, index), cut, threads)
    for register, blocks in enumerate(found):
        assert [block.register for block in blocks] == [register] * cut.blocks
        covered = [block.first + lane for block in blocks for lane in range(block.lanes)]
        assert covered == list(range(samples))
    runs = []
    map_runs(lambda *run: runs.append(run), cut, threads)
    assert len(runs) == 3 * (1 if threads == 1 else cut.blocks)
    every = [(register, index) for register, first, end in runs for index in range(first, end)]
    assert sorted(every) == [(register, index) for register in range(3) for index in range(cut.blocks)]


@pytest.mark.parametrize(("kind", "template"), [(ExactEngine, "line"), (OpenEngine, "damped_ring")])
def test_idle_lanes_do_not_pass_on_what_is_not_a_number(kind, template):
    engine = kind(load_template(template, 2), threads=1)
    memory = engine.memory
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(16, 3, 1, memory.num_inputs))
    weights, queries = np.ones((1, memory.num_weights)), np.zeros((1, 1, 1, 1, memory.num_query_angles))
    values, tape = engine.forward(inputs[:12], weights, queries)
    expected = engine.backward(tape, np.ones_like(values) * np.arange(4)).weights
    engine.forward(np.full_like(inputs, np.nan), weights, queries)
    values, tape = engine.forward(inputs[:12], weights, queries)
    found = engine.backward(tape, np.ones_like(values) * np.arange(4)).weights
    np.testing.assert_array_equal(found, expected)
