"""Finds out whether a backend would work, step by step, before anything is sent to it.

The steps run in a worker with a deadline, because a service that accepts a connection and never answers would
hold the client for ever. What a step finds is said without any credential in it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qlam_qiskit.backends.opening import open_backend
from qlam_qiskit.backends.specs import BackendSpec, ExactSpec, IBMSpec
from qlam_qiskit.errors import BackendError, QlamError
from qlam_qiskit.redaction import redact

_DEADLINE_S = 14.0


@dataclass(frozen=True)
class Step:
    """One thing that a backend needs: whether it is there, and what was found or what is missing."""

    what: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class BackendCheck:
    """What checking one backend found; ``ok`` when every step is."""

    name: str
    kind: str
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is missing."""
        return all(step.ok for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return the check as plain values."""
        steps = [{"what": step.what, "ok": step.ok, "detail": step.detail} for step in self.steps]
        return {"name": self.name, "kind": self.kind, "ok": self.ok, "steps": steps}


def check_backend(
    spec: BackendSpec,
    *,
    deadline_s: float = _DEADLINE_S,
    run_engine: Callable[[ExactSpec], str] | None = None,
) -> BackendCheck:
    """Check one backend within ``deadline_s`` seconds; what is wrong is in the result, nothing is raised.

    ``run_engine`` runs something on the exact engine, which this package does not know, and says what came out.
    """
    # Loaded here: its compiled part, when a thread that has ended loaded it, may crash in the next one that uses it.
    import qiskit  # noqa: F401

    found: queue.Queue[Step | None] = queue.Queue()
    ends = time.monotonic() + deadline_s
    # A daemon, so that a client stuck in a read does not keep the process alive.
    threading.Thread(target=_work, args=(spec, found, run_engine), daemon=True).start()
    steps: list[Step] = []
    while True:
        try:
            step = found.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            after = f" after {steps[-1].what}" if steps else ""
            why = "; its first start compiles the engine, so check again" if isinstance(spec, ExactSpec) else ""
            steps.append(Step("answer", False, f"no answer{after} within {deadline_s:.0f} s{why}"))
            break
        if step is None:
            break
        steps.append(step)
    return BackendCheck(spec.name, spec.kind, tuple(steps))


def _work(spec: BackendSpec, found: queue.Queue[Step | None], run_engine: Callable[[ExactSpec], str] | None) -> None:
    match spec:
        case ExactSpec():
            steps = _exact_steps(spec, run_engine)
        case IBMSpec():
            steps = _ibm_steps(spec)
        case _:
            steps = _running_steps(spec)
    try:
        for step in steps:
            found.put(step)
    except QlamError as error:
        found.put(Step("backend", False, str(error)))
    except Exception as error:
        found.put(Step("backend", False, f"{type(error).__name__}: {redact(error)}"))
    finally:
        found.put(None)


def _exact_steps(spec: ExactSpec, run_engine: Callable[[ExactSpec], str] | None) -> Iterator[Step]:
    yield _library("torch" if spec.device == "cuda" else "numba")
    if run_engine is not None:
        yield Step("run", True, run_engine(spec))


def _running_steps(spec: BackendSpec) -> Iterator[Step]:
    """Open a backend that runs here, or whose provider we know nothing about, and run one gate on it."""
    from qiskit import QuantumCircuit

    yield _library("qiskit")
    if spec.kind in ("aer", "fake"):
        yield _library("qiskit-aer")
    with open_backend(spec) as opened:
        target = opened.backend.target
        qubits = "" if target is None or target.num_qubits is None else f", {target.num_qubits} qubits"
        yield Step("device", True, f"{opened.backend.name}{qubits}")
        if spec.kind == "provider":
            # Running a circuit there may cost money; only the user decides on that.
            return
        circuit = QuantumCircuit(1)
        circuit.x(0)
        circuit.measure_all()
        shots = opened.shots or 100
        result = opened.sampler().run([opened.isa(circuit)], shots=shots).result()
        ones = result[0].data.meas.get_counts().get("1", 0)
        yield Step("run", ones > shots / 2, f"X then measure: 1 in {ones} of {shots} shots")


def _ibm_steps(spec: IBMSpec) -> Iterator[Step]:
    from qlam_qiskit.backends import ibm

    yield _library("qiskit-ibm-runtime")
    credentials = Step("credentials", *ibm.credentials())
    yield credentials
    if not credentials.ok:
        return
    try:
        service = ibm.connect(spec)
    except BackendError as error:
        # The client takes an identity service that does not answer for a wrong token.
        outage = "" if str(error).startswith("instance: ") else " (an outage of the service can look like this too)"
        yield Step("instance", False, f"{str(error).removeprefix('instance: ')}{outage}")
        return
    crn = ibm.ask("asking for the instance", service.active_instance)
    known = ibm.ask("listing the instances", service.instances)
    instance = next((entry for entry in known if entry["crn"] == crn), {})
    plan = str(instance.get("plan", "unknown"))
    yield instance_step(spec, str(instance.get("name", "unnamed")), plan)
    try:
        device = ibm.find_device(spec.device, service=service, fractional_gates=spec.fractional_gates)
        status = ibm.ask(f"asking for the status of {device.name}", device.status)
    except BackendError as error:
        # The client takes a failed discovery for an account without devices.
        yield Step("device", False, f"{error} (an outage of the service can look like this too)")
        return
    yield Step(
        "device",
        bool(status.operational),
        f"{device.name}: {device.num_qubits} qubits, {status.status_msg}, {status.pending_jobs} jobs pending",
    )
    yield _usage(ibm.ask("asking for the usage", service.usage))


def instance_step(spec: IBMSpec, name: str, plan: str) -> Step:
    """Judge whether an instance's plan allows what the entry asks for."""
    if spec.plan is not None and plan not in (spec.plan, "unknown"):
        return Step("instance", False, f"{name} is on plan {plan}, and {spec.name} says plan: {spec.plan}")
    if spec.mode == "session" and plan == "open":
        return Step("instance", False, f"{name} is on the open plan, which has no sessions; use mode: batch")
    return Step("instance", True, f"{name}, plan {plan}")


def _usage(usage: dict[str, Any]) -> Step:
    remaining = usage.get("usage_remaining_seconds")
    if usage.get("usage_limit_reached") or remaining == 0:
        return Step("usage", False, f"the allowance is spent ({usage.get('usage_consumed_seconds', '?')} s used)")
    if remaining is None:
        return Step("usage", True, "no limit set")
    return Step("usage", True, f"{remaining:,.0f} s of QPU time left")


def _library(name: str) -> Step:
    try:
        return Step("library", True, f"{name} {version(name)}")
    except PackageNotFoundError:
        return Step("library", False, f"{name} is not installed")
