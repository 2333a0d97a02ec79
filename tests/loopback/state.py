"""What the loopback service remembers: devices, jobs, sessions, usage, credentials, and the log of accepted jobs."""

from __future__ import annotations

import datetime
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from loopback import devices
from loopback.execution import JobFailed, execute
from loopback.faults import FaultScript

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef0123456789abcdef:12345678-90ab-cdef-1234::"
API_KEY = "loopback-api-key-6f1d2c"
FINAL = ("Completed", "Failed", "Cancelled")


@dataclass
class Job:
    """A job that the service accepted."""

    id: str
    program: str
    device: str
    params: dict
    tags: list[str]
    session: str | None
    cost: int | None
    created: str
    seed: int
    polls_left: int
    status: str = "Queued"
    reason: str | None = None
    code: int | None = None
    result: str | None = None
    private: bool = False
    accepted: float = 0.0

    def summary(self) -> dict:
        state = {"status": self.status}
        if self.reason:
            state |= {"reason": self.reason, "reason_code": self.code}
        return {
            "id": self.id,
            "backend": self.device,
            "program": {"id": self.program},
            "created": self.created,
            "tags": self.tags,
            "session_id": self.session,
            "state": state,
            "status": self.status,
            "private": self.private,
            "estimated_running_time_seconds": 2.0,
        }


@dataclass
class LoopbackState:
    """The service behind the HTTP server; tests read and change it directly.

    ``polls``: how many times a job is seen waiting before it completes. ``noisy``: execute with the device's
    calibration instead of ideally. ``list_lag``: for how many seconds of the service's clock the list leaves out a job
    that was accepted; ``now`` is that clock, and :meth:`turn` turns it. ``repeat_list``: the list names every job
    twice, and counts each once. ``miscount``: what the list adds to its count.
    """

    devices: tuple[str, ...] = ("ibm_torino", "ibm_manila")
    noisy: bool = False
    polls: int = 0
    seed: int = 7
    usage_limit: int = 600
    usage_consumed: int = 12
    posts_per_minute: int | None = None
    max_body: int = 50_000_000
    list_lag: float = 0.0
    repeat_list: bool = False
    miscount: int = 0
    now: Callable[[], float] = time.time
    turned: float = 0.0
    session_mode_allowed: bool = True
    api_key: str = API_KEY
    crn: str = CRN
    token_seconds: int = 3600
    jobs: dict[str, Job] = field(default_factory=dict)
    sessions: dict[str, dict] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    requests: Counter = field(default_factory=Counter)
    tokens: set[str] = field(default_factory=set)
    faults: FaultScript = field(default_factory=FaultScript)
    defects: list[str] = field(default_factory=list)
    post_times: list[float] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def forget(self) -> None:
        """Drop jobs, sessions, faults and counts, keeping the tokens that clients hold."""
        with self.lock:
            self.jobs.clear()
            self.sessions.clear()
            self.accepted.clear()
            self.requests.clear()
            self.post_times.clear()
            self.faults.clear()
            self.list_lag, self.repeat_list, self.turned, self.now = 0.0, False, 0.0, time.time
            self.miscount = 0

    def turn(self, seconds: float) -> None:
        """Let this much time pass on the service's clock."""
        with self.lock:
            self.turned += seconds

    def listed(self) -> list[Job]:
        """Return what the list of jobs is made of, oldest first."""
        with self.lock:
            now = self.now() + self.turned
            known = [self.jobs[identifier] for identifier in self.accepted]
            known = [job for job in known if now - job.accepted >= self.list_lag]
            return [job for job in known for _ in range(1 + self.repeat_list)]

    def another_result(self, identifier: str) -> str | None:
        """Return the result of another job that has one, the most recent one."""
        with self.lock:
            others = [self.jobs[other].result for other in self.accepted if other != identifier]
            return next((result for result in reversed(others) if result is not None), None)

    def usage(self) -> dict:
        return {
            "instance_id": self.crn,
            "plan_id": "plan",
            "usage_consumed_seconds": self.usage_consumed,
            "usage_limit_seconds": self.usage_limit,
            "usage_limit_reached": self.usage_consumed >= self.usage_limit,
        }

    def device_list(self) -> list[dict]:
        rows = []
        for queue, name in enumerate(self.devices):
            qubits = devices.configuration(name)["n_qubits"]
            rows.append(
                {
                    "name": name,
                    "qubits": qubits,
                    "physical_qubits": qubits,
                    "queue_length": queue,
                    "status": {"name": "online"},
                    "is_simulator": False,
                }
            )
        return rows

    def accept(self, body: dict) -> Job:
        """Take a job in; this is the ground truth for what was submitted."""
        with self.lock:
            job = Job(
                id=f"d{uuid.uuid4().hex[:19]}",
                program=body["program_id"],
                device=body["backend"],
                params=body["params"],
                tags=list(body.get("tags") or []),
                session=body.get("session_id"),
                cost=body.get("cost"),
                created=datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z"),
                seed=self.seed + len(self.accepted),
                polls_left=self.polls,
                private=bool(body.get("private")),
                accepted=self.now() + self.turned,
            )
            self.jobs[job.id] = job
            self.accepted.append(job.id)
            return job

    def advance(self, job: Job) -> None:
        """Move a job on as seen by one poll: queued, then running, then executed at once."""
        with self.lock:
            if job.status in FINAL:
                return
            if job.polls_left > 0:
                job.polls_left -= 1
                job.status = "Running"
                return
            try:
                job.result = execute(job.program, job.params, job.device, self.noisy, job.seed)
                job.status = "Completed"
                self.usage_consumed += 2
            except JobFailed as error:
                job.status, job.reason, job.code = "Failed", str(error), error.code

    def live_jobs(self) -> dict[tuple[str, ...], list[Job]]:
        """Group the accepted jobs that were not cancelled by their tags."""
        grouped: dict[tuple[str, ...], list[Job]] = {}
        with self.lock:
            for identifier in self.accepted:
                job = self.jobs[identifier]
                if job.status != "Cancelled":
                    grouped.setdefault(tuple(sorted(job.tags)), []).append(job)
        return grouped

    def log(self) -> dict:
        """Return the ground truth in JSON-able form."""
        with self.lock:
            return {
                "accepted": [self.jobs[identifier].summary() for identifier in self.accepted],
                "requests": dict(self.requests),
                "defects": list(self.defects),
            }
