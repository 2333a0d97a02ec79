"""The connection to a backend of this machine, or of a provider without a job store: a job runs while it is sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from qiskit.primitives import PrimitiveResult

from qlam_qiskit.backends import OpenBackend
from qlam_qiskit.jobs.connections.base import RemoteJob, RemoteState, RemoteStatus
from qlam_qiskit.jobs.faults import GoneError
from qlam_qiskit.jobs.records import JobRecord
from qlam_qiskit.planning import Pub


class LocalConnection:
    """Runs each job at once with a seed of its own, so that a job which is run again gives the same counts.

    Nothing outlives this process: a job that was under way when it died is run again.
    """

    remembers = False
    posts_once = True

    def __init__(self, open_backend: Callable[[], OpenBackend], seed: int) -> None:
        self._open_backend = open_backend
        self._seed = seed
        self._results: dict[str, PrimitiveResult] = {}

    def open_session(self, known: str | None) -> None:
        """Do nothing: there are no sessions here."""

    def close_session(self) -> None:
        """Do nothing: there are no sessions here."""

    def make_ready(self, pubs: Sequence[Pub]) -> None:
        """Do nothing: what cannot run fails when it runs, and costs nothing."""

    def post(self, job: JobRecord, pubs: Sequence[Pub]) -> str:
        """Run the job now."""
        seeded = dataclasses.replace(self._backend, rng=np.random.default_rng([self._seed, job.number]))
        primitive = seeded.sampler() if hasattr(pubs[0], "shots") else seeded.estimator()
        remote_id = f"local-{job.tag}"
        self._results[remote_id] = primitive.run(pubs).result()
        return remote_id

    def find(self, submission: str) -> list[RemoteJob]:
        """Return nothing: a job exists only while it runs."""
        return []

    def status(self, remote_id: str) -> RemoteStatus:
        """Return done for what was run by this process; raises GoneError for anything else."""
        if remote_id in self._results:
            return RemoteStatus(RemoteState.DONE, "done")
        raise GoneError("the process that ran it has ended")

    def result(self, remote_id: str) -> PrimitiveResult:
        """Return the result of a job that this process ran; raises GoneError for any other."""
        if remote_id not in self._results:
            raise GoneError("the process that ran it has ended")
        return self._results[remote_id]

    def qpu_seconds(self, remote_id: str) -> None:
        """Return None: no QPU is charged."""

    def cancel(self, remote_id: str) -> bool:
        """Return False: whatever was sent has ended."""
        return False

    def log_in_again(self) -> None:
        """Do nothing: there are no credentials."""

    @cached_property
    def _backend(self) -> OpenBackend:
        return self._open_backend()
