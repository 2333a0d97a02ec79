"""Answers that repeat the credentials of the request, in every spelling that a careless service could choose."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, quote

from loopback.routes import Answer, Request
from loopback.state import LoopbackState


def echo(state: LoopbackState, request: Request, status: int) -> Answer:
    """Answer with the API key and the tokens: as HTML for status 200, else as the service's errors look."""
    form = parse_qs(request.body.decode("utf-8", errors="replace")) if request.route == "POST /identity/token" else {}
    said = [
        state.api_key,
        quote(state.api_key, safe=""),
        base64.b64encode(f"apikey:{state.api_key}".encode()).decode(),
        json.dumps({"key": state.api_key}),
        *state.tokens,
        *form.get("apikey", []),
        f"Authorization: {request.headers.get('authorization', '')}",
    ]
    text = " and ".join(said)
    if status == 200:
        half = len(state.api_key) // 2
        broken = f"{state.api_key[:half]}\n    {state.api_key[half:]}"
        return Answer(200, f"<!DOCTYPE html><html><body><p>{text}</p>\n<pre>{broken}</pre></body></html>")
    return Answer(status, {"errors": [{"code": status, "message": text}], "errorMessage": text})
