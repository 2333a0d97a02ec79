"""Submitting, resuming, fetching, cancelling and waiting: what can be done with jobs, from any process at any time.

A submission belongs to the ledger from the moment it is made; everything after works on what the ledger says.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.backends import OpenBackend
from qlam_qiskit.jobs import files
from qlam_qiskit.jobs.backend_record import describe, reach
from qlam_qiskit.jobs.courier import Courier
from qlam_qiskit.jobs.errors import JobError, LedgerError
from qlam_qiskit.jobs.job_state import JobState
from qlam_qiskit.jobs.ledger import Ledger
from qlam_qiskit.jobs.policy import Clock, Policy
from qlam_qiskit.jobs.records import SubmissionRecord
from qlam_qiskit.jobs.submission import Submission, recorded

if TYPE_CHECKING:
    from qlam_qiskit.planning.plan import Plan

_ROUNDS_WITHOUT_PROGRESS = 3
_DEFAULT_SHOTS = 1024


def submit(
    plan: Plan,
    backend: OpenBackend,
    ledger: Ledger,
    *,
    metadata: dict[str, Any] | None = None,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Submission:
    """Record the jobs of a plan and send them, as :func:`submit_pubs`; the plan's placement is kept with them."""
    extra = {"placement": plan.placement.to_json(), "plan": plan.to_json()}
    jobs = [job.pubs for job in plan.jobs]
    return _submit(jobs, backend, ledger, {**extra, "metadata": metadata or {}}, policy, clock, report)


def submit_pubs(
    jobs: Sequence[Sequence[files.Pub]],
    backend: OpenBackend,
    ledger: Ledger,
    *,
    metadata: dict[str, Any] | None = None,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Submission:
    """Record jobs and send them; backends of this machine run them at once.

    ``jobs`` are lists of SamplerPub or EstimatorPub with ISA circuits; ``metadata`` is anything JSON-able that is
    wanted back later. The inputs and the intent are on disk before anything is sent. Raises JobError when a job could
    not be sent or run; what was recorded stays, and ``qlam jobs resume`` goes on from there.
    """
    return _submit(jobs, backend, ledger, {"metadata": metadata or {}}, policy, clock, report)


def resume(
    ledger: Ledger,
    submission: str | None = None,
    *,
    failed: bool = False,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Submission]:
    """Go on with one submission, or with all that are open: find what was sent, send what is missing, fetch.

    A submission that is named has its refused jobs sent again too, and its failed ones with ``failed``. What could not
    be done is in each Submission's ``problems``; LedgerError when the ledger itself fails.
    """
    files.sweep(ledger.home, {record.id for record in ledger.submissions()})
    done = []
    for record in _chosen(ledger, submission):
        courier = _courier(ledger, record, policy, clock, report)
        if submission is not None:
            courier.plan_again((JobState.REFUSED, JobState.FAILED) if failed else (JobState.REFUSED,))
        courier.send_missing()
        courier.collect()
        if submission is not None:
            courier.mention_ended()
        done.append(_summary(courier))
    return done


def fetch(
    ledger: Ledger,
    submission: str | None = None,
    *,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Submission]:
    """Look once at one submission, or at all that are open, and save every result that has arrived.

    Harmless to repeat, and to run in several processes at once. Sends nothing. ``problems`` as for :func:`resume`.
    """
    done = []
    for record in _chosen(ledger, submission):
        courier = _courier(ledger, record, policy, clock, report)
        courier.collect()
        if submission is not None:
            courier.mention_ended()
        done.append(_summary(courier))
    return done


def cancel(
    ledger: Ledger,
    submission: str,
    *,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Submission:
    """Cancel what has not ended of one submission; results that exist already are saved."""
    record = ledger.submission(submission)
    courier = _courier(ledger, record, policy, clock, report)
    courier.cancel()
    return _summary(courier)


def wait(
    ledger: Ledger,
    submission: str,
    *,
    timeout: float | None = None,
    progress: Callable[[Submission], None] = lambda state: None,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Submission:
    """Send, follow and fetch one submission until all its jobs have ended; looks less and less often.

    ``progress`` gets the Submission after every look. Raises JobError after ``timeout`` seconds, or when nothing moves
    because of a problem; the jobs live on and ``qlam jobs fetch`` gets them later.
    """
    record = ledger.submission(submission)
    courier = _courier(ledger, record, policy, clock, report)
    started, stuck, look = courier.clock.now(), 0, 0
    while True:
        before = [(job.state, job.message) for job in courier.jobs()]
        courier.problems.clear()
        courier.send_missing()
        courier.collect()
        state = _summary(courier)
        progress(state)
        if not state.open:
            return state
        moved = before != [(job.state, job.message) for job in state.jobs]
        stuck = 0 if moved or not state.problems else stuck + 1
        look = 0 if moved else look + 1
        if stuck >= _ROUNDS_WITHOUT_PROGRESS:
            raise JobError(f"{state.problems[0]} (submission {record.id} is kept)")
        pause = courier.policy.pause(look)
        if timeout is not None and courier.clock.now() + pause - started > timeout:
            raise JobError(
                f"submission {record.id} has not ended after {timeout:.0f} s; `qlam jobs fetch` gets it later"
            )
        courier.clock.sleep(pause)


def _submit(
    jobs: Sequence[Sequence[files.Pub]],
    backend: OpenBackend,
    ledger: Ledger,
    extra: dict[str, Any],
    policy: Policy | None,
    clock: Clock | None,
    report: Callable[[str], None],
) -> Submission:
    if not jobs or not all(jobs):
        raise JobError("there is nothing to submit: no job, or a job without circuits")
    jobs = [[_with_shots(pub, backend) for pub in pubs] for pubs in jobs]
    identifier = f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    details = {**describe(backend, [pub.circuit for pubs in jobs for pub in pubs]), **extra}
    files.write_inputs(ledger.home, identifier, jobs)
    try:
        ledger.add_submission(identifier, backend.name, details, len(jobs))
    except LedgerError:
        files.remove_inputs(ledger.home, identifier)
        raise
    courier = _courier(ledger, ledger.submission(identifier), policy, clock, report, backend)
    courier.send_missing()
    if not courier.connection.remembers:
        courier.collect()
    if courier.problems:
        for problem in courier.problems[1:]:
            report(problem)
        raise JobError(f"{courier.problems[0]} (recorded as submission {identifier})")
    return _summary(courier)


def _with_shots(pub: files.Pub, backend: OpenBackend) -> files.Pub:
    """Write down the shots that the backend would choose, so that the result can be compared with them."""
    if not isinstance(pub, SamplerPub) or pub.shots is not None:
        return pub
    return SamplerPub(pub.circuit, pub.parameter_values, backend.shots or _DEFAULT_SHOTS, validate=False)


def _courier(
    ledger: Ledger,
    record: SubmissionRecord,
    policy: Policy | None,
    clock: Clock | None,
    report: Callable[[str], None],
    backend: OpenBackend | None = None,
) -> Courier:
    return Courier(ledger, record, reach(record, backend), policy or Policy(), clock or Clock(), report)


def _chosen(ledger: Ledger, submission: str | None) -> list[SubmissionRecord]:
    if submission is not None:
        return [ledger.submission(submission)]
    return [record for record in ledger.submissions() if recorded(ledger, record).open]


def _summary(courier: Courier) -> Submission:
    return recorded(courier.ledger, courier.submission, tuple(courier.problems))
