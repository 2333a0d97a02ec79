"""The REST API of the service: which request does what to the state, without any HTTP."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from loopback import devices
from loopback.state import FINAL, Job, LoopbackState

PLAN = "open-plan-id"


@dataclass
class Request:
    """A request after parsing: ``route`` is the method and the path with ids replaced."""

    route: str
    arguments: tuple[str, ...]
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    """A status, and a body that is JSON unless it is already text."""

    status: int = 200
    body: dict | str | None = field(default_factory=dict)


class Refused(Exception):
    """The service answers with this error."""

    def __init__(self, status: int, message: str, code: int):
        super().__init__(message)
        self.answer = Answer(status, {"errors": [{"code": code, "message": message}]})


_PATTERNS = [
    ("POST", r"/identity/token", "POST /identity/token"),
    ("POST", r"/v3/resources/search", "POST /v3/resources/search"),
    ("GET", r"/backends", "GET /backends"),
    ("GET", r"/backends/([^/]+)/configuration", "GET /backends/{name}/configuration"),
    ("GET", r"/backends/([^/]+)/properties", "GET /backends/{name}/properties"),
    ("GET", r"/backends/([^/]+)/status", "GET /backends/{name}/status"),
    ("GET", r"/instances/usage", "GET /instances/usage"),
    ("POST", r"/sessions", "POST /sessions"),
    ("GET", r"/sessions/([^/]+)", "GET /sessions/{id}"),
    ("PATCH", r"/sessions/([^/]+)", "PATCH /sessions/{id}"),
    ("DELETE", r"/sessions/([^/]+)/close", "DELETE /sessions/{id}/close"),
    ("POST", r"/jobs", "POST /jobs"),
    ("GET", r"/jobs", "GET /jobs"),
    ("GET", r"/jobs/([^/]+)", "GET /jobs/{id}"),
    ("DELETE", r"/jobs/([^/]+)", "DELETE /jobs/{id}"),
    ("GET", r"/jobs/([^/]+)/results", "GET /jobs/{id}/results"),
    ("POST", r"/jobs/([^/]+)/cancel", "POST /jobs/{id}/cancel"),
    ("GET", r"/jobs/([^/]+)/logs", "GET /jobs/{id}/logs"),
    ("GET", r"/jobs/([^/]+)/metrics", "GET /jobs/{id}/metrics"),
    ("PUT", r"/jobs/([^/]+)/tags", "PUT /jobs/{id}/tags"),
    ("GET", r"/([^/]+)", "GET /{plan}"),
]


def parse(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Request:
    """Name the route of a request; anything unknown is ``METHOD path`` and ends as 404."""
    path = re.sub(r"^(/experimental)?/api/v1", "", path)
    for wanted, pattern, route in _PATTERNS:
        if method == wanted and (match := re.fullmatch(pattern, path)):
            return Request(route, match.groups(), parse_qs(query), headers, body)
    return Request(f"{method} {path}", (), parse_qs(query), headers, body)


def answer(state: LoopbackState, request: Request) -> Answer:
    """Carry one request out."""
    try:
        if request.route not in ("POST /identity/token", "POST /v3/resources/search", "GET /{plan}"):
            _authenticate(state, request)
        handler = _HANDLERS.get(request.route)
        if handler is None:
            raise Refused(404, f"no such endpoint: {request.route}", 1200)
        return handler(state, request)
    except Refused as refused:
        return refused.answer


def _authenticate(state: LoopbackState, request: Request) -> None:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token not in state.tokens:
        raise Refused(401, "Invalid or expired access token", 1701)
    if request.headers.get("service-crn") != state.crn:
        raise Refused(403, "The token has no access to this instance", 1702)


def _identity(state: LoopbackState, request: Request) -> Answer:
    form = parse_qs(request.body.decode())
    if form.get("apikey") != [state.api_key]:
        return Answer(400, {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."})
    now = int(time.time())
    claims = {"iat": now, "exp": now + state.token_seconds, "jti": uuid.uuid4().hex}
    parts = [json.dumps({"alg": "HS256", "typ": "JWT"}), json.dumps(claims), "loopback-signature"]
    token = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
    with state.lock:
        state.tokens.add(token)
    lifetime = {"expires_in": state.token_seconds, "expiration": claims["exp"], "token_type": "Bearer"}
    return Answer(200, {"access_token": token, "refresh_token": "not-used", **lifetime})


def _search(state: LoopbackState, _: Request) -> Answer:
    item = {
        "crn": state.crn,
        "name": "loopback",
        "tags": [],
        "service_plan_unique_id": PLAN,
        "doc": {"extensions": {"backend": "any"}},
    }
    return Answer(200, {"items": [item]})


def _plan(_: LoopbackState, request: Request) -> Answer:
    if request.arguments[0] != PLAN:
        raise Refused(404, "no such plan", 1200)
    return Answer(200, {"overview_ui": {"en": {"display_name": "Open"}}, "metadata": {"pricing": {"type": "free"}}})


def _device(state: LoopbackState, request: Request) -> str:
    name = request.arguments[0]
    if name not in state.devices:
        raise Refused(404, f"Backend {name} not found: it may have been retired", 1211)
    return name


def _device_status(state: LoopbackState, request: Request) -> Answer:
    _device(state, request)
    return Answer(200, {"state": True, "status": "active", "length_queue": 3, "backend_version": "1.0.0"})


def _submit(state: LoopbackState, request: Request) -> Answer:
    now = time.monotonic()
    with state.lock:
        state.post_times = [at for at in state.post_times if now - at < 60] + [now]
        if state.posts_per_minute is not None and len(state.post_times) > state.posts_per_minute:
            raise Refused(429, "Too many requests: at most 5 jobs a minute", 1429)
    if len(request.body) > state.max_body:
        raise Refused(413, "Payload too large", 1413)
    body = request.json()
    if body.get("backend") not in state.devices:
        raise Refused(404, f"Backend {body.get('backend')} not found: it may have been retired", 1211)
    session = body.get("session_id")
    if session and not state.sessions.get(session, {}).get("accepting_jobs"):
        raise Refused(400, f"Session {session} is closed and accepts no jobs", 1217)
    job = state.accept(body)
    return Answer(200, {"id": job.id, "backend": job.device})


def _find_job(state: LoopbackState, request: Request) -> Job:
    job = state.jobs.get(request.arguments[0])
    if job is None:
        raise Refused(404, f"Job {request.arguments[0]} not found", 1291)
    return job


def _list_jobs(state: LoopbackState, request: Request) -> Answer:
    query = request.query
    with state.lock:
        jobs = state.listed()
        wanted = set(query.get("tags", []))
        jobs = [job for job in jobs if wanted <= set(job.tags)]
        if "pending" in query:
            pending = query["pending"] == ["true"]
            jobs = [job for job in jobs if (job.status not in FINAL) == pending]
        for key, attribute in (("session_id", "session"), ("program", "program"), ("backend", "device")):
            if key in query:
                jobs = [job for job in jobs if getattr(job, attribute) == query[key][0]]
        if "created_after" in query:
            jobs = [job for job in jobs if job.created >= query["created_after"][0]]
        if query.get("sort") != ["ASC"]:
            jobs.reverse()
        offset, limit = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["20"])[0])
        page = [job.summary() for job in jobs[offset : offset + limit]]
        count = len({job.id for job in jobs}) + state.miscount
    return Answer(200, {"jobs": page, "count": count, "limit": limit, "offset": offset})


def _poll(state: LoopbackState, request: Request) -> Answer:
    job = _find_job(state, request)
    state.advance(job)
    body = job.summary()
    if request.query.get("exclude_params") != ["true"]:
        body["params"] = job.params
    return Answer(200, body)


def _results(state: LoopbackState, request: Request) -> Answer:
    job = _find_job(state, request)
    if job.status == "Failed":
        return Answer(200, job.reason or "failed")
    if job.result is None:
        raise Refused(404, f"The result of job {job.id} does not exist or is no longer kept", 1292)
    return Answer(200, job.result)


def _cancel(state: LoopbackState, request: Request) -> Answer:
    job = _find_job(state, request)
    with state.lock:
        if job.status in FINAL:
            raise Refused(409, f"Job {job.id} is already in a final state", 1293)
        job.status = "Cancelled"
    return Answer(204, None)


def _delete_job(state: LoopbackState, request: Request) -> Answer:
    job = _find_job(state, request)
    with state.lock:
        job.result = None
    return Answer(204, None)


def _metrics(state: LoopbackState, request: Request) -> Answer:
    job = _find_job(state, request)
    done = job.status == "Completed"
    stamps = {"created": job.created, "running": job.created, "finished": job.created if done else None}
    usage = {"status": "complete" if job.status in FINAL else "pending", "qpu_charge_time_seconds": 2 if done else 0}
    return Answer(200, {"timestamps": stamps, "usage": usage})


def _retag(state: LoopbackState, request: Request) -> Answer:
    _find_job(state, request).tags = list(request.json()["tags"])
    return Answer(204, None)


def _open_session(state: LoopbackState, request: Request) -> Answer:
    body = request.json()
    if body.get("mode") == "dedicated" and not state.session_mode_allowed:
        raise Refused(400, "Sessions are not available on the open plan", 1352)
    session = {
        "id": uuid.uuid4().hex,
        "backend_name": body.get("backend"),
        "mode": body.get("mode"),
        "state": "open",
        "accepting_jobs": True,
        "max_ttl": body.get("max_ttl", 600),
        "interactive_ttl": 60,
        "active_ttl": 600,
        "elapsed_time": 0,
    }
    with state.lock:
        state.sessions[session["id"]] = session
    return Answer(200, session)


def _session(state: LoopbackState, request: Request) -> dict:
    session = state.sessions.get(request.arguments[0])
    if session is None:
        raise Refused(404, f"Session {request.arguments[0]} not found", 1216)
    return session


def _close_session(state: LoopbackState, request: Request) -> Answer:
    session = _session(state, request)
    with state.lock:
        session |= {"accepting_jobs": False, "state": "closed"}
        if request.route.startswith("DELETE"):
            for job in state.jobs.values():
                if job.session == session["id"] and job.status not in FINAL:
                    job.status = "Cancelled"
    return Answer(204, None)


_HANDLERS = {
    "POST /identity/token": _identity,
    "POST /v3/resources/search": _search,
    "GET /{plan}": _plan,
    "GET /backends": lambda state, _: Answer(200, {"devices": state.device_list()}),
    "GET /backends/{name}/configuration": lambda s, r: Answer(200, devices.configuration(_device(s, r))),
    "GET /backends/{name}/properties": lambda s, r: Answer(200, devices.properties(_device(s, r))),
    "GET /backends/{name}/status": _device_status,
    "GET /instances/usage": lambda state, _: Answer(200, state.usage()),
    "POST /sessions": _open_session,
    "GET /sessions/{id}": lambda state, request: Answer(200, _session(state, request)),
    "PATCH /sessions/{id}": _close_session,
    "DELETE /sessions/{id}/close": _close_session,
    "POST /jobs": _submit,
    "GET /jobs": _list_jobs,
    "GET /jobs/{id}": _poll,
    "DELETE /jobs/{id}": _delete_job,
    "GET /jobs/{id}/results": _results,
    "POST /jobs/{id}/cancel": _cancel,
    "GET /jobs/{id}/logs": lambda state, request: Answer(200, f"log of {_find_job(state, request).id}"),
    "GET /jobs/{id}/metrics": _metrics,
    "PUT /jobs/{id}/tags": _retag,
}
