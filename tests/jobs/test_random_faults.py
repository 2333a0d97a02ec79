"""Randomized schedules of faults and kills: whatever happens in whatever order, lost = 0 and duplicates = 0.

Each schedule submits two jobs from a process that may be killed at any request, lets further processes resume and
fetch under more faults, and ends with a healthy service. The service's own log says what was lost or doubled.
"""

import os
import random
import signal

import pytest
from loopback import Fault

from qlam_qiskit import jobs
from qlam_qiskit.errors import QlamError
from qlam_qiskit.jobs import Clock, JobState, Ledger, Policy

SCHEDULES = 208
CHUNK = 26
ACTIONS = {
    "POST /jobs": [
        ("status", {"status": 500}),
        ("status", {"status": 503}),
        ("status", {"status": 429}),
        ("status", {"status": 409}),
        ("status", {"status": 401}),
        ("accept_status", {"status": 504}),
        ("accept_status", {"status": 500}),
        ("reset", {}),
        ("accept_reset", {}),
        ("html", {}),
        ("empty", {}),
        ("truncate", {}),
    ],
    "GET /jobs": [("status", {"status": 500}), ("html", {}), ("reset", {}), ("status", {"status": 401})],
    "GET /jobs/{id}": [("status", {"status": 502}), ("html", {}), ("reset", {}), ("truncate", {})],
    "GET /jobs/{id}/results": [("truncate", {}), ("status", {"status": 500}), ("html", {}), ("reset", {})],
    "GET /jobs/{id}/metrics": [("status", {"status": 500}), ("html", {})],
    "GET /instances/usage": [("status", {"status": 500}), ("reset", {}), ("html", {})],
    "GET /backends/{name}/status": [("status", {"status": 500})],
    "GET /backends": [("status", {"status": 500}), ("html", {})],
}

# While a backend is opened for submitting, the client itself waits a minute after this one.
LATER_ACTIONS = {**ACTIONS, "POST /identity/token": [("status", {"status": 503})]}


def _schedule(rng, victim, actions):
    """Draw one to five faults, and perhaps a kill at any request."""
    faults = []
    for _ in range(rng.randint(1, 5)):
        route = rng.choice(list(actions))
        action, settings = rng.choice(actions[route])
        faults.append(
            Fault(route, action, times=rng.choice([1, 1, 2, 3, 7]), skip=rng.choice([0, 0, 1, 2]), **settings)
        )
    if rng.random() < 0.6:
        when = rng.choice(["before", "after"])
        kill = Fault("*", when, skip=rng.randint(0, 25), callback=lambda: os.kill(victim[0], signal.SIGKILL))
        faults.insert(0, kill)
    return faults


def _in_child(work, victim):
    """Run ``work`` in a fork, whose process id is in ``victim`` before it starts; any error of ours is allowed."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        os.read(read, 1)
        try:
            work()
            os._exit(0)
        except QlamError:
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(1)
    victim[:] = [process]
    os.write(write, b"go")
    os.close(read)
    os.close(write)
    _, status = os.waitpid(process, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or status == 0, f"a schedule ended with status {status}"
    return killed


@pytest.fixture
def pubs(open_service, tiny_pub):
    """Transpiled in advance, because the transpiler's threads do not survive a fork."""
    return [tiny_pub(open_service(), shots=16)]


@pytest.mark.parametrize("chunk", range(SCHEDULES // CHUNK))
def test_nothing_is_lost_or_doubled(chunk, server, open_service, pubs, tmp_path, skipping_time):
    state, outcomes = server.state, {"lost": 0, "duplicates": 0, "kills": 0, "faults": 0, "submitted": 0}
    clock = Clock(skipping_time.now, skipping_time.sleep)
    patience = {"policy": Policy(posts_per_minute=1000, attempts=4), "clock": clock}
    for number in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        rng = random.Random(number)
        home = tmp_path / str(number)
        state.forget()
        state.polls = rng.choice([0, 0, 1])
        settings = {"generation": rng.choice(["v2", "executor"]), "mode": rng.choice(["job", "job", "batch"])}

        def submit(home=home, settings=settings):
            with Ledger(home, now=clock.now) as ledger:
                jobs.submit_pubs([pubs, pubs], open_service(**settings), ledger, **patience)

        def follow(rng=rng, home=home):
            with Ledger(home, now=clock.now) as ledger:
                rng.choice([jobs.resume, jobs.fetch])(ledger, **patience)

        victim = []
        for step in [submit, follow, follow][: rng.randint(1, 3)]:
            planned = _schedule(rng, victim, ACTIONS if step is submit else LATER_ACTIONS)
            for fault in planned:
                state.faults.add(fault)
            try:
                outcomes["kills"] += _in_child(step, victim)
            finally:
                state.faults.clear()
            outcomes["faults"] += len(planned)

        with Ledger(home, now=clock.now) as ledger:
            for _ in range(5):
                for submission in jobs.show(ledger):
                    if submission.open or not submission.complete:
                        jobs.resume(ledger, submission.id, **patience)
            for submission in jobs.show(ledger):
                assert [job.state for job in submission.jobs] == [JobState.SAVED] * 2, number
                for answer in jobs.results(ledger, submission.id):
                    assert answer[0].data.meas.get_counts(1) == {"01": 16}
            tags = [job.tag for submission in jobs.show(ledger) for job in submission.jobs]
        accepted = [tag for identifier in state.accepted for tag in state.jobs[identifier].tags if tag in tags]
        outcomes["submitted"] += bool(tags)
        outcomes["lost"] += len(set(tags) - set(accepted)) + (len(state.accepted) != len(accepted))
        outcomes["duplicates"] += len(accepted) - len(set(accepted))
    assert (outcomes["lost"], outcomes["duplicates"]) == (0, 0), outcomes
    # The schedules were worth something: most got as far as the ledger, and many processes were killed.
    assert outcomes["submitted"] > CHUNK // 2 and outcomes["kills"] >= 5 and outcomes["faults"] > CHUNK, outcomes
