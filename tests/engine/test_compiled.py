"""Compiled code is kept on disk, and thrown away when any source file of the engine changes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from qlam_qiskit.engine import compiled, sweep

HELPER = "from copied.compiled import compiled\n\n\n@compiled\ndef twice(x):\n    return {factor} * x\n"
CALLER = """from copied.compiled import EntryPoint
from copied.helper import twice


@EntryPoint
def write(out):
    out[0] = twice(out[0])
"""
PROGRAM = """
import numpy as np
from copied.caller import write
out = np.ones(1)
write.resolve(out)(out)
stats = write.dispatcher.stats
print(int(out[0]), sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def _run(folder):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder)}
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    return [int(word) for word in finished.stdout.split()]


def test_a_changed_file_that_the_loop_only_calls_is_compiled_anew(tmp_path):
    package = tmp_path / "copied"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(Path(compiled.__file__), package)
    (package / "caller.py").write_text(CALLER)
    (package / "helper.py").write_text(HELPER.format(factor=2))
    assert _run(tmp_path) == [2, 0, 1]
    assert _run(tmp_path) == [2, 1, 0]
    (package / "helper.py").write_text(HELPER.format(factor=3))
    assert _run(tmp_path) == [3, 0, 1]


def test_one_compilation_serves_every_batch(tmp_path):
    """Types are part of what is compiled, and an array's layout of its type: they must not follow the batch's shape."""
    import numpy as np

    from qlam_qiskit.engine import ExactEngine
    from qlam_qiskit.templates import load_template

    engine = ExactEngine(load_template("line", 2))
    memory = engine.memory

    def run(samples, steps, registers, queries, lead):
        _, tape = engine.forward(
            np.zeros((samples, steps, registers, memory.num_inputs), np.float32),
            np.zeros((registers, memory.num_weights)),
            np.zeros((*lead, registers, queries, memory.num_query_angles), np.float32),
            readout_steps=range(min(steps, 2)),
        )
        shape = (samples, min(steps, 2), registers, queries, 4)
        engine.backward(tape, np.zeros(shape, np.float32))

    run(3, 2, 1, 1, (3, 2))
    compilations = [len(loop.dispatcher.signatures) for loop in (sweep.forward_block, sweep.backward_block)]
    for shape in [(1, 1, 1, 1, (1, 1)), (4, 3, 2, 2, (1, 1)), (4, 3, 1, 3, (4, 1)), (1, 3, 2, 1, (1, 2))]:
        run(*shape)
    assert [len(loop.dispatcher.signatures) for loop in (sweep.forward_block, sweep.backward_block)] == compilations


def test_read_only_arrays_need_no_code_of_their_own():
    import numpy as np

    from qlam_qiskit.engine import ExactEngine
    from qlam_qiskit.templates import load_template

    engine = ExactEngine(load_template("line", 2))
    memory = engine.memory
    inputs = np.ones((3, 2, 1, memory.num_inputs), np.float32)
    weights, queries = np.ones((1, memory.num_weights)), np.ones((1, 1, 1, 1, memory.num_query_angles), np.float32)
    values, tape = engine.forward(inputs, weights, queries)
    gradients = engine.backward(tape, np.ones_like(values))
    compilations = [len(loop.dispatcher.signatures) for loop in (sweep.forward_block, sweep.backward_block)]
    for array in (inputs, weights, queries, values):
        array.flags.writeable = False
    again, tape = engine.forward(inputs, weights, queries)
    np.testing.assert_array_equal(again, values)
    np.testing.assert_array_equal(engine.backward(tape, np.ones_like(values)).inputs, gradients.inputs)
    assert [len(loop.dispatcher.signatures) for loop in (sweep.forward_block, sweep.backward_block)] == compilations
