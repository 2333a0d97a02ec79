"""A process that runs jobs on this machine is killed in the middle; the jobs run again, or their results are kept."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qlam_qiskit import jobs
from qlam_qiskit.jobs import JobState

# The child stops at the named call and tells its parent, who kills it there.
PROGRAM = """
import sys, time
from qiskit import QuantumCircuit
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qlam_qiskit import jobs
from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.jobs import files
from qlam_qiskit.jobs.ledger import Ledger

def stop(*arguments, **settings):
    print("here", flush=True)
    time.sleep(60)

where = sys.argv[1]
if where == "before the result is saved":
    files.write_result = stop
elif where == "after the result is saved":
    write = files.write_result
    files.write_result = lambda *arguments: (write(*arguments), stop())
elif where == "before the job is recorded":
    Ledger.add_submission = stop
circuit = QuantumCircuit(2)
circuit.h(0)
circuit.measure_all()
backend = open_backend(make_spec("here", {"kind": "aer", "seed": 11}, "test"))
pub = SamplerPub.coerce((backend.isa(circuit), None, 500))
with Ledger() as ledger:
    jobs.submit_pubs([[pub], [pub]], backend, ledger)
print("done", flush=True)
"""


def _run(where, home, expected="here"):
    environment = {**os.environ, "QLAM_HOME": str(home), "PYTHONPATH": str(Path(jobs.__file__).parents[2])}
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, where], stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout.readline().strip() == expected
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


@pytest.mark.parametrize("where", ["before the result is saved", "after the result is saved"])
def test_jobs_of_a_killed_process_are_finished_with_the_same_counts(where, ledger, home, tmp_path):
    _run(where, home)
    [before] = jobs.show(ledger)
    assert [job.state for job in before.jobs] == [JobState.SENDING, JobState.PLANNED]
    [after] = jobs.resume(ledger)
    assert after.complete
    first, second = (answer[0].data.meas.get_counts() for answer in jobs.results(ledger, after.id))
    assert sum(first.values()) == 500 and first != second  # a seed of its own for every job
    _run("", tmp_path / "undisturbed", expected="done")
    with jobs.Ledger(tmp_path / "undisturbed") as other:
        again = jobs.results(other, jobs.show(other)[0].id)
    assert [answer[0].data.meas.get_counts() for answer in again] == [first, second]


def test_what_was_never_recorded_leaves_nothing_behind(ledger, home):
    _run("before the job is recorded", home)
    assert ledger.submissions() == []
    [folder] = (home / "submissions").iterdir()
    os.utime(folder, (time.time() - 100_000,) * 2)
    assert jobs.resume(ledger) == []
    assert list((home / "submissions").iterdir()) == []
