"""The HTTP server on 127.0.0.1: reads requests, strikes with the scripted faults, writes answers."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from loopback import routes, wrong_results
from loopback.faults import Fault
from loopback.state import LoopbackState

_PAGE = "<!DOCTYPE html><html><body><h1>We will be back soon</h1></body></html>"


class LoopbackServer:
    """Serves a :class:`LoopbackState` from threads of this process; use it as a context manager."""

    def __init__(self, state: LoopbackState | None = None, port: int = 0):
        self.state = state or LoopbackState()
        handler = type("Handler", (_Handler,), {"state": self.state})
        self._server = _QuietServer(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> LoopbackServer:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point the unchanged client at this server."""
        return {
            "IAM_URL": self.url,
            "QISKIT_FUNCTIONS_EXPERIMENTAL": "1",
            "QISKIT_IBM_TOKEN": self.state.api_key,
            "QISKIT_IBM_INSTANCE": self.state.crn,
            "QISKIT_IBM_URL": f"{self.url}/experimental/api/v1",
        }


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address) -> None:
        """Clients are killed on purpose; their broken connections are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: LoopbackState

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if parts.path.startswith("/_loopback/"):
            self._administer(parts.path, body)
            return
        request = routes.parse(self.command, parts.path, parts.query, headers, body)
        with self.state.lock:
            self.state.requests[request.route] += 1
        fault = self.state.faults.strike(request.route)
        if fault is None:
            self._write(self._answer(request))
        else:
            self._strike(fault, request)

    def _answer(self, request: routes.Request) -> routes.Answer:
        """Carry the request out; a defect of this stand-in is remembered, for the fixture to report."""
        try:
            return routes.answer(self.state, request)
        except Exception:
            self.state.defects.append(traceback.format_exc())
            return routes.Answer(500, {"errors": [{"code": 500, "message": "defect of the loopback service"}]})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _strike(self, fault: Fault, request: routes.Request) -> None:
        action = fault.action
        if action == "status":
            self._write(_scripted_error(fault))
            return
        if action == "reset":
            self._reset()
            return
        if action == "late_accept":
            threading.Thread(target=self._accept_late, args=(fault.seconds, request), daemon=True).start()
            self._reset()
            return
        if action == "slow":
            time.sleep(fault.seconds)
        if action == "before" and fault.callback:
            fault.callback()
        answer = self._answer(request)
        if action == "accept_status":
            answer = _scripted_error(fault)
        elif action == "accept_reset":
            self._reset()
            return
        elif action == "empty":
            answer = routes.Answer(200, {})
        elif action == "html":
            answer = routes.Answer(200, _PAGE)
        elif action == "truncate":
            text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            answer = routes.Answer(answer.status, text[: len(text) // 2])
        elif action == "merge":
            answer = routes.Answer(answer.status, answer.body | fault.payload)
        elif action in ("wrong", "another"):
            answer = routes.Answer(answer.status, self._wrong(fault, request, answer.body))
        elif action == "after" and fault.callback:
            fault.callback()
        self._write(answer)

    def _wrong(self, fault: Fault, request: routes.Request, text: str) -> str:
        job = self.state.jobs[request.arguments[0]]
        if fault.action == "another":
            return next(other.result for other in self.state.jobs.values() if other.result and other.id != job.id)
        how = fault.payload["how"]
        if how in wrong_results.VALUES:
            return wrong_results.make_wrong_values(text, how)
        return wrong_results.make_wrong(text, job.program, how)

    def _accept_late(self, seconds: float, request: routes.Request) -> None:
        time.sleep(seconds)
        self._answer(request)

    def _reset(self) -> None:
        """Close with a TCP reset, as a load balancer that dies does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile.flush()
        self.connection.close()

    def _write(self, answer: routes.Answer) -> None:
        body = answer.body
        data = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        with contextlib.suppress(ConnectionError):
            self.send_response(answer.status)
            kind = "text/html" if body == _PAGE else "application/json"
            self.send_header("Content-Type", kind)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if answer.status != 204:
                self.wfile.write(data)

    def _administer(self, path: str, body: bytes) -> None:
        """Let the parent of a server that runs as a process of its own script faults and read the log."""
        if path == "/_loopback/faults":
            self.state.faults.add(Fault(**json.loads(body)))
            self._write(routes.Answer(204, None))
        elif path == "/_loopback/log":
            self._write(routes.Answer(200, self.state.log()))
        else:
            self._write(routes.Answer(404, {}))

    def log_message(self, *_) -> None:
        """Keep the test output clean; requests are counted in the state."""


def _scripted_error(fault: Fault) -> routes.Answer:
    return routes.Answer(fault.status, fault.payload or {"errors": [{"code": fault.status, "message": "scripted"}]})
