"""Keeps credentials out of the ledger, the logs and the errors: every text from outside passes through here."""

from __future__ import annotations

import os
import re

_SECRET_NAME = re.compile(r"TOKEN|API_?KEY|SECRET|PASSWORD", re.IGNORECASE)
_CREDENTIAL = re.compile(
    r"(?i)\b(bearer|apikey|api_key|access_token|refresh_token|token)(\W{1,4})(?!https?:)([\w.~+/-]{12,}=*)"
)
_JSON_WEB_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_SHORTEST_SECRET = 8
_LONGEST_MESSAGE = 400
_known: set[str] = set()


def remember_secret(value: str | None) -> None:
    """Have ``value`` removed from every text from now on."""
    if value and len(value) >= _SHORTEST_SECRET:
        _known.add(value)


def redact(text: object) -> str:
    """Turn anything into one line of at most 400 characters with every known or likely credential replaced."""
    line = " ".join(str(text).split())
    environment = {
        value for name, value in os.environ.items() if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name)
    }
    for secret in sorted(_known | environment, key=len, reverse=True):
        line = line.replace(secret, "[redacted]")
    line = _JSON_WEB_TOKEN.sub("[redacted]", line)
    line = _CREDENTIAL.sub(r"\1\2[redacted]", line)
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[: _LONGEST_MESSAGE - 3]}..."
