"""Submitting, resuming, fetching, cancelling and waiting: what can be done with jobs, from any process at any time.

A submission belongs to the ledger from the moment it is made; everything after works on what the ledger says.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.backends import IBMSpec, OpenBackend
from qlam_qiskit.jobs import files
from qlam_qiskit.jobs.backend_record import describe, reach, usual_policy
from qlam_qiskit.jobs.courier import Courier
from qlam_qiskit.jobs.errors import DamagedRowError, JobError, LedgerError
from qlam_qiskit.jobs.job_state import CLOSED, JobState
from qlam_qiskit.jobs.ledger import Ledger
from qlam_qiskit.jobs.policy import Clock, Policy
from qlam_qiskit.jobs.records import SubmissionRecord
from qlam_qiskit.jobs.submission import Submission, recorded
from qlam_qiskit.planning import quick_seconds

if TYPE_CHECKING:
    from qlam_qiskit.planning import Plan

_ROUNDS_WITHOUT_PROGRESS = 3
_DOUBT_SECONDS = 86_400.0
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
    details = {"placement": plan.placement.to_json(), "plan": plan.to_json(), "metadata": metadata or {}}
    jobs, seconds = [job.pubs for job in plan.jobs], [job.qpu_seconds for job in plan.jobs]
    return _submit(jobs, seconds, backend, ledger, details, policy, clock, report)


def submit_pubs(
    jobs: Sequence[Sequence[files.Pub]],
    backend: OpenBackend,
    ledger: Ledger,
    *,
    metadata: dict[str, Any] | None = None,
    qpu_seconds: Sequence[float | None] | None = None,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Submission:
    """Record jobs and send them; backends of this machine run them at once.

    ``jobs`` are lists of SamplerPub or EstimatorPub with ISA circuits; ``metadata`` is anything JSON-able that is
    wanted back later; ``qpu_seconds`` is what each job is expected to cost, by default the service's quick estimate.
    The inputs and the intent are on disk before anything is sent. Raises JobError when a job could not be sent or run,
    or nobody knows whether it was accepted; what was recorded stays, and ``qlam jobs resume`` goes on from there.
    """
    if qpu_seconds is None:
        qpu_seconds = [quick_seconds(pubs) if isinstance(backend.spec, IBMSpec) else 0.0 for pubs in jobs]
    return _submit(jobs, qpu_seconds, backend, ledger, {"metadata": metadata or {}}, policy, clock, report)


def resume(
    ledger: Ledger,
    submission: str | None = None,
    *,
    failed: bool = False,
    send_again: bool = False,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Submission]:
    """Go on with one submission, or with all that are open: find what was sent, send what is missing, fetch.

    A submission that is named has its refused jobs sent again too, and its failed ones with ``failed``. A job of which
    nobody knows whether it was accepted is only looked for, unless ``send_again`` says that a person takes the risk of
    paying for it twice. What could not be done is in each Submission's ``problems``. Raises JobError for ``failed`` or
    ``send_again`` without a submission, LedgerError when the ledger itself fails.
    """
    if submission is None and (failed or send_again):
        raise JobError("failed and send_again need a submission: they may cost QPU time")
    files.sweep(ledger.home, ledger.submission_names())

    def go_on(courier: Courier) -> None:
        if submission is not None:
            courier.plan_again((JobState.REFUSED, JobState.FAILED) if failed else (JobState.REFUSED,))
        if send_again:
            courier.send_unknown_again()
        courier.send_missing()
        courier.collect()
        if courier.search():
            courier.collect()
        courier.name_unknown()
        if submission is not None:
            courier.mention_ended()

    return _each(_chosen(ledger, submission, report), go_on, ledger, policy, clock, report)


def fetch(
    ledger: Ledger,
    submission: str | None = None,
    *,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Submission]:
    """Look once at one submission, or at all that are open, and save every result that has arrived.

    Also looks for jobs of unknown fate, and for a day for second ones of jobs that may have been accepted twice.
    Harmless to repeat, and to run in several processes at once. Sends nothing. ``problems`` as for :func:`resume`.
    """

    def look(courier: Courier) -> None:
        courier.collect()
        courier.name_unknown()
        if submission is not None:
            courier.mention_ended()

    return _each(_chosen(ledger, submission, report), look, ledger, policy, clock, report)


def cancel(
    ledger: Ledger,
    submission: str,
    *,
    policy: Policy | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Submission:
    """Cancel what has not ended of one submission; results that exist already are saved.

    A job of unknown fate is cancelled where it turns up, and given up when it had the time to.
    """
    courier = _courier(ledger, ledger.submission(submission), policy, clock, report)
    courier.cancel()
    courier.name_unknown()
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
    backend: OpenBackend | None = None,
) -> Submission:
    """Send, follow and fetch one submission until all its jobs have ended; looks less and less often.

    A ``backend`` that is open already is not opened again. ``progress`` gets the Submission after every look. Raises
    JobError after ``timeout`` seconds, when nothing moves because of a problem, or when all that is left are jobs of
    which nobody knows whether they were accepted; the jobs live on and ``qlam jobs fetch`` gets them later.
    """
    record = ledger.submission(submission)
    courier = _courier(ledger, record, policy, clock, report, backend)
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
        left = {job.state for job in state.jobs} - CLOSED
        if left == {JobState.UNKNOWN} and courier.patience() <= 0:
            courier.name_unknown()
            raise JobError(courier.problems[-1])
        pause = courier.policy.pause(look)
        if timeout is not None and courier.clock.now() + pause - started > timeout:
            raise JobError(
                f"submission {record.id} has not ended after {timeout:.0f} s; `qlam jobs fetch` gets it later"
            )
        courier.clock.sleep(pause)


def _submit(
    jobs: Sequence[Sequence[files.Pub]],
    seconds: Sequence[float | None],
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
        ledger.add_submission(identifier, backend.name, details, len(jobs), seconds)
    except LedgerError:
        files.remove_inputs(ledger.home, identifier)
        raise
    courier = _courier(ledger, ledger.submission(identifier), policy, clock, report, backend)
    courier.send_missing()
    if not courier.connection.remembers:
        courier.collect()
    courier.search()
    courier.name_unknown()
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
    return Courier(ledger, record, reach(record, backend), policy or usual_policy(record), clock or Clock(), report)


def _chosen(ledger: Ledger, submission: str | None, report: Callable[[str], None]) -> list[SubmissionRecord]:
    """Return the submission that is named, else those that are open or may have second jobs that turn up yet."""
    if submission is not None:
        return [ledger.submission(submission)]
    damaged: list[DamagedRowError] = []
    records = ledger.submissions(damaged)
    for error in damaged:
        report(str(error))
    recent = ledger.now() - _DOUBT_SECONDS

    def chosen(state: Submission) -> bool:
        return state.open or any(job.doubtful is not None and job.doubtful > recent for job in state.jobs)

    return [record for record in records if chosen(recorded(ledger, record))]


def _each(
    records: Sequence[SubmissionRecord],
    step: Callable[[Courier], None],
    ledger: Ledger,
    policy: Policy | None,
    clock: Clock | None,
    report: Callable[[str], None],
) -> list[Submission]:
    """Do the same with several submissions; a damaged one does not keep the others from it."""
    done = []
    for record in records:
        try:
            courier = _courier(ledger, record, policy, clock, report)
            step(courier)
            done.append(_summary(courier))
        except DamagedRowError as error:
            done.append(recorded(ledger, record, (str(error),)))
    return done


def _summary(courier: Courier) -> Submission:
    return recorded(courier.ledger, courier.submission, tuple(courier.problems))
