"""Randomized schedules of faults and kills, and what must hold after each: ``python -m tests.jobs.schedules``.

Each schedule submits two jobs from a process that may be killed at any request, lets further processes resume and
fetch under more faults, and ends with a healthy service whose list has caught up. The service's own log says what was
lost or doubled. A schedule is its seed: the same seed draws the same faults.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from loopback import Fault, LoopbackServer, LoopbackState

ANSWERS = [("status", {"status": 500}), ("status", {"status": 401}), ("html", {}), ("reset", {})]
ECHOES = [("echo", {"status": status}) for status in (400, 401, 403, 404, 409, 429, 500)]
ACTIONS = {
    "POST /jobs": [
        *(("status", {"status": status}) for status in (500, 503, 429, 409, 401, 408)),
        ("accept_status", {"status": 504}),
        ("accept_status", {"status": 500}),
        ("reset", {}),
        ("accept_reset", {}),
        ("late_accept", {"seconds": 0.2}),
        ("html", {}),
        ("empty", {}),
        ("truncate", {}),
        ("merge", {"payload": {"id": None}}),
    ],
    "GET /jobs": [*ANSWERS, ("merge", {"payload": {"jobs": [], "count": 0}})],
    "GET /jobs/{id}": [("status", {"status": 502}), ("html", {}), ("reset", {}), ("truncate", {})],
    "GET /jobs/{id}/results": [("truncate", {}), ("status", {"status": 500}), ("html", {}), ("reset", {})],
    "GET /jobs/{id}/metrics": [("status", {"status": 500}), ("html", {})],
    "GET /instances/usage": [("status", {"status": 500}), ("reset", {}), ("html", {})],
    "GET /backends/{name}/status": [("status", {"status": 500})],
    "GET /backends": [("status", {"status": 500}), ("html", {})],
}
# While a backend is opened for submitting, the client itself waits a minute after this one.
LATER_ACTIONS = {**ACTIONS, "POST /identity/token": [("status", {"status": 503})]}
EXPECTED = ({"01": 16}, {"10": 16})  # counts of the second row of either job


class SharedTime:
    """A clock on which every pause is over at once, one and the same for the service and all forks of this process."""

    def __init__(self):
        self._skipped = multiprocessing.RawValue("d", 0.0)

    def now(self):
        return time.time() + self._skipped.value

    def sleep(self, seconds):
        self._skipped.value += seconds


@dataclass
class Schedules:
    """Runs schedules against one service; ``counts`` adds up what happened, ``complaints`` says what must not have."""

    state: LoopbackState
    open_service: object
    pubs: tuple
    wrong_results: bool
    counts: Counter = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def run(self, seed: int, folder: Path) -> None:
        """Run one schedule with its ledger in ``folder``."""
        from qlam_qiskit import jobs
        from qlam_qiskit.jobs import Clock, Ledger, Policy

        rng, time_ = random.Random(seed), SharedTime()
        state, home = self.state, folder / "runs"
        folder.mkdir(parents=True)
        state.forget()
        state.polls, state.now = rng.choice([0, 0, 1]), time_.now
        state.usage_consumed = 0
        state.list_lag, state.repeat_list = rng.choice([0, 0, 20, 60, rng.uniform(0, 600)]), rng.random() < 0.3
        settings = {"generation": rng.choice(["v2", "executor"]), "mode": rng.choice(["job", "job", "batch"])}
        lookup = rng.choice([0.0, 30.0, 600.0, 600.0])
        clock = Clock(time_.now, time_.sleep)
        patience = {
            "policy": Policy(posts_per_minute=1000, attempts=4, lookup_seconds=lookup),
            "clock": clock,
            "report": lambda line: print(line, flush=True),
        }
        choice, words = rng.random(), rng.random() < 0.25  # a person says "send again", too early perhaps

        def submit():
            with Ledger(home, now=clock.now) as ledger:
                jobs.submit_pubs([[self.pubs[0]], [self.pubs[1]]], self.open_service(**settings), ledger, **patience)

        def follow():
            with Ledger(home, now=clock.now) as ledger:
                known = jobs.show(ledger)
                if words and known:
                    found = jobs.resume(ledger, known[0].id, send_again=True, **patience)
                else:
                    found = (jobs.resume if choice < 0.5 else jobs.fetch)(ledger, **patience)
                print(json.dumps([submission.to_json() for submission in found]))

        for step in [submit, follow, follow][: rng.randint(1, 3)]:
            victim: list[int] = []
            planned = self._draw(rng, victim, ACTIONS if step is submit else LATER_ACTIONS)
            for fault in planned:
                state.faults.add(fault)
            try:
                self.counts["kills"] += self._in_child(step, victim, folder / "output")
            finally:
                state.faults.clear()
            self.counts["faults"] += len(planned)
        time.sleep(0.25 if any("late" in fault.action for fault in planned) else 0)
        time_.sleep(max(state.list_lag, 600))
        with (
            (folder / "output").open("a") as output,
            contextlib.redirect_stdout(output),
            Ledger(home, now=clock.now) as ledger,
        ):
            self._finish(ledger, patience, seed, words)
        self._look_for_keys(folder, seed)
        self.counts["schedules"] += 1

    def _draw(self, rng, victim, actions):
        """Draw one to five faults, and perhaps a kill at any request."""
        faults = []
        for _ in range(rng.randint(1, 5)):
            route = rng.choice(list(actions))
            choices = [*actions[route], rng.choice(ECHOES)]
            if route == "GET /jobs/{id}/results" and self.wrong_results:
                choices += [("another", {})] * 2
            action, settings = rng.choice(choices)
            times, skip = rng.choice([1, 1, 2, 3, 7]), rng.choice([0, 0, 1, 2])
            faults.append(Fault(route, action, times=times, skip=skip, **settings))
        if rng.random() < 0.6:
            when = rng.choice(["before", "after"])
            kill = Fault("*", when, skip=rng.randint(0, 25), callback=lambda: os.kill(victim[0], signal.SIGKILL))
            faults.insert(0, kill)
        return faults

    def _in_child(self, work, victim, output):
        """Run ``work`` in a fork, whose process id is in ``victim`` before it starts; any error of ours is allowed."""
        from qlam_qiskit.errors import QlamError

        read, write = os.pipe()
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            status = 1
            try:
                os.read(read, 1)
                into = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                for stream in (1, 2):  # the client's log handlers hold the streams themselves
                    os.dup2(into, stream)
                sys.stdout = sys.stderr = os.fdopen(into, "w", buffering=1)
                try:
                    work()
                except QlamError as error:
                    print(f"Error: {error}")
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        victim[:] = [process]
        os.write(write, b"go")
        os.close(read)
        os.close(write)
        _, status = os.waitpid(process, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not killed and status != 0:
            self.complaints.append(f"a process ended with status {status}: {output.read_text()[-2000:]}")
            self.counts["tracebacks"] += 1
        return killed

    def _finish(self, ledger, patience, seed, words):
        """Do what a person does in the end, and compare the ledger with the service's own log."""
        from qlam_qiskit import jobs
        from qlam_qiskit.jobs import JobState

        state = self.state
        for _ in range(5):
            for submission in jobs.show(ledger):
                jobs.resume(ledger, submission.id, **patience)
        for submission in jobs.show(ledger):
            by_tag = {}
            for identifier in state.accepted:
                for tag in state.jobs[identifier].tags:
                    by_tag.setdefault(tag, []).append(identifier)
            unknown = [job for job in submission.jobs if job.state is JobState.UNKNOWN]
            for job in unknown:
                if job.tag in by_tag:
                    self._count("lost", seed, f"{job.id} was accepted and is not found")
            self.counts["unknown"] += len(unknown)
            if unknown:  # never accepted: a person has it sent again
                jobs.resume(ledger, submission.id, send_again=True, **patience)
        # Failed jobs are sent again on a person's word too.
        for submission in jobs.show(ledger):
            if any(job.state is JobState.FAILED for job in submission.jobs):
                jobs.resume(ledger, submission.id, failed=True, **patience)
                self.counts["failed, sent again"] += 1
            jobs.fetch(ledger, submission.id, **patience)
        self._compare(ledger, seed, words)

    def _compare(self, ledger, seed, words):
        from qlam_qiskit import jobs
        from qlam_qiskit.jobs import JobState

        state, recorded = self.state, set()
        for submission in jobs.show(ledger):
            self.counts["submissions"] += 1
            recorded |= {job.remote_id for job in submission.jobs}
            recorded |= {duplicate.remote_id for duplicate in submission.duplicates}
            if [job.state for job in submission.jobs] != [JobState.SAVED] * 2:
                self._count("lost", seed, f"not saved: {[(job.state, job.message) for job in submission.jobs]}")
                continue
            for job, answer, expected in zip(
                submission.jobs, jobs.results(ledger, submission.id), EXPECTED, strict=True
            ):
                if answer[0].data.meas.get_counts(1) != expected:
                    self._count("wrong", seed, f"{job.id}: {answer[0].data.meas.get_counts(1)}")
                same = [identifier for identifier in state.accepted if job.tag in state.jobs[identifier].tags]
                if len(same) > 1 and not words:
                    self._count("twice", seed, f"{job.id} was accepted {len(same)} times")
                self.counts["doubles on a person's word"] += words and len(same) > 1
        for identifier in set(state.accepted) - recorded:
            self._count("lost", seed, f"{identifier} is at the service and not on record")

    def _look_for_keys(self, folder, seed):
        secrets = [self.state.api_key, *self.state.tokens]
        for path in (path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            if any(secret.encode() in content for secret in secrets):
                self._count("keys", seed, f"in {path.relative_to(folder)}")

    def _count(self, what, seed, words):
        self.counts[what] += 1
        self.complaints.append(f"schedule {seed}: {what}: {words}")

    def summary(self) -> str:
        """Return the counts in one line; what must be 0 comes last."""
        counts = self.counts
        names = ("schedules", "submissions", "faults", "kills", "unknown", "doubles on a person's word")
        bad = ("lost", "twice", "wrong", "keys", "tracebacks")
        return ", ".join(f"{counts[name]} {name}" for name in (*names, *bad))


def make_pubs(backend, make):
    """Make one pub for either job, with results that cannot be taken for each other's."""
    return (make(backend, shots=16), make(backend, shots=16, rows=((0.0, 0.0), (0.0, 3.14159265))))


def checks_identity() -> bool:
    """Whether results are checked for belonging to their job, so that another job's result may be thrown in."""
    return importlib.util.find_spec("qlam_qiskit.jobs.job_identity") is not None


def main() -> int:
    """Run schedules from the command line; exit status 1 when anything was lost, doubled, wrong or leaked."""
    parser = argparse.ArgumentParser(prog="python -m tests.jobs.schedules", description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="the first schedule's seed")
    arguments = parser.parse_args()
    from tests.jobs.conftest import make_tiny_pub

    with (
        LoopbackServer(LoopbackState(devices=("ibm_manila",))) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        os.environ.update(server.environment(), HOME=folder, USAGE_DATA_OPT_OUT="True")
        from urllib3.util.retry import Retry

        from qlam_qiskit.backends import make_spec, open_backend

        Retry._sleep_backoff = lambda self: None

        def open_service(**settings):
            values = {"kind": "ibm", "name": "ibm_manila", "generation": "v2", **settings}
            return open_backend(make_spec("loopback", values, "schedules"))

        pubs = make_pubs(open_service(), make_tiny_pub)
        schedules = Schedules(server.state, open_service, pubs, checks_identity())
        started = time.monotonic()
        for number in range(arguments.count):
            schedules.run(arguments.seed + number, Path(folder) / str(number))
            if (number + 1) % 25 == 0:
                print(f"{time.monotonic() - started:6.0f} s: {schedules.summary()}", flush=True)
        schedules.complaints += server.state.defects
    for complaint in schedules.complaints:
        print(complaint)
    print(f"seeds {arguments.seed} to {arguments.seed + arguments.count - 1}: {schedules.summary()}")
    return 1 if schedules.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
