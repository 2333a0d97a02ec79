"""Keeps credentials out of everything that is shown or kept: every text from outside passes through here.

Known secrets are what the environment calls a token, key, secret or password, the tokens and passwords of Qiskit's
saved accounts, and whatever was remembered, such as the tokens that the identity service gave out. An instance's CRN
is not among them: it names an instance and opens nothing, and messages about instances are useless without it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "[redacted]"

_SECRET_NAME = re.compile(r"TOKEN|API_?KEY|SECRET|PASSWORD|PASSWD", re.IGNORECASE)
# What looks like a credential, known or not.
_LIKELY = (
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?"), HIDDEN),
    (re.compile(r"(?i)\b((?:bearer|apikey|authorization:\s*\w+)\s+)(?!https?:)[\w.~+/-]{12,}=*"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(?i)\b((?:apikey|api_key|access_token|refresh_token|token)\\?[\"']?\s{0,2}[=:]\s{0,2}\\?[\"']?)"
            r"(?!https?:)[\w.~+/%-]{12,}=*"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"), HIDDEN),
)
_SHORTEST_SECRET = 8
_SHORTEST_PART = 12
_LONGEST_MESSAGE = 400
_SPACE = re.compile(r"\s+")
# Control sequences of terminals; then single control characters but tab and line feed, marks that turn text around, and
# halves of surrogate pairs, which cannot be written at all.
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_remembered: set[str] = set()
_account_file: tuple[float, str] | None = None


def remember_secret(value: object) -> None:
    """Have ``value`` removed from every text from now on."""
    if isinstance(value, str) and len(value.strip()) >= _SHORTEST_SECRET:
        _remembered.add(value.strip())


def hide(text: str) -> str:
    """Replace every known or likely credential in ``text``, and change nothing else.

    Known ones are found also where they are encoded (in a URL, in JSON, in Base64), cut short, or broken over lines.
    """
    secrets = sorted(_secrets(), key=len, reverse=True)
    forms = [form for secret in secrets for form in _forms(secret)]
    for form in forms:
        text = text.replace(form, HIDDEN)
    for form in forms:
        text = _without_head(text, form)
    if "\n" in text:
        for secret in secrets:
            text = _without_broken(text, secret)
    for pattern, replacement in _LIKELY:
        text = pattern.sub(replacement, text)
    return text


def hide_within(value: Any) -> Any:
    """Do what :func:`hide` does to every text in nested lists, tuples and dictionaries."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, bytes):
        return hide(value.decode(errors="replace")).encode()
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(hide_within(inner) for inner in value)
    if isinstance(value, dict):
        return {hide_within(key): hide_within(inner) for key, inner in value.items()}
    return value


def redact(text: object) -> str:
    """Turn anything into one line of at most 400 characters with every known or likely credential replaced."""
    line = one_line(hide(str(text)))
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[: _LONGEST_MESSAGE - 3]}..."


def plain(text: str) -> str:
    """Take out what a terminal would obey instead of show: escape sequences and control characters."""
    return _ESCAPES.sub("", text)


def one_line(text: object) -> str:
    """Turn anything into one line that a terminal shows as it is."""
    return plain(" ".join(str(text).split()))


def scrub(error: BaseException) -> None:
    """Hide credentials in what an exception, its causes and its contexts say of themselves, in place."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.args = tuple(hide_within(value) for value in current.args)
        for name, value in list(vars(current).items()):
            if name in ("request", "response", "http_response"):  # of requests: their headers hold the token
                setattr(current, name, None)
            elif isinstance(value, (str, bytes)):
                setattr(current, name, hide_within(value))
        waiting += [current.__cause__, current.__context__]
        waiting += [value for value in current.args if isinstance(value, BaseException)]
        waiting += getattr(current, "exceptions", ())


def _secrets() -> set[str]:
    found = set(_remembered)
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value.strip()) >= _SHORTEST_SECRET:
            found.add(value.strip())
    _read_accounts()
    return found | _remembered


def _read_accounts() -> None:
    """Remember what is secret in Qiskit's file of saved accounts, when it has changed."""
    global _account_file
    path = Path("~/.qiskit/qiskit-ibm.json").expanduser()
    try:
        version = (path.stat().st_mtime, str(path))
        if version == _account_file:
            return
        _account_file = version
        accounts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # none, or a damaged one, in which nothing can be recognized; the patterns still apply
    for secret in _secret_values(accounts):
        remember_secret(secret)


def _secret_values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and _SECRET_NAME.search(str(key)):
                yield inner
            yield from _secret_values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_values(inner)


@cache
def _forms(secret: str) -> list[str]:
    """Spell a secret as it is, and as URLs, JSON, repr and Base64 would."""
    urls = [quote(secret, safe=""), quote(secret), quote_plus(secret)]
    lower = [re.sub("%..", lambda match: match[0].lower(), url) for url in urls]
    forms = [secret, *urls, *lower, json.dumps(secret)[1:-1], repr(secret)[1:-1]]
    data = secret.encode()
    for offset in range(3):  # Base64 depends on where in its text the secret begins
        encoded = base64.b64encode(b"\0" * offset + data)[(0, 2, 3)[offset] :].rstrip(b"=")
        # The last characters may hold bits of what follows.
        kept = encoded[: len(encoded) - (1 if (offset + len(data)) % 3 else 0)].decode()
        forms += [kept, kept.replace("+", "-").replace("/", "_")]
    return list(dict.fromkeys(form for form in forms if len(form) >= _SHORTEST_SECRET))


def _without_head(text: str, secret: str) -> str:
    """Take out the beginning of a secret that is cut off after at least 12 characters and half of it."""
    head = secret[: max(_SHORTEST_PART, len(secret) // 2)]
    place = text.find(head)
    while place >= 0:
        end = place + len(head)
        length = len(head)
        while length < len(secret) and end < len(text) and text[end] == secret[length]:
            end, length = end + 1, length + 1
        text = f"{text[:place]}{HIDDEN}{text[end:]}"
        place = text.find(head, place + len(HIDDEN))
    return text


def _without_broken(text: str, secret: str) -> str:
    """Take out a secret that is broken over lines, with or without an indentation."""
    places = [place for place, character in enumerate(text) if not character.isspace()]
    dense = "".join(text[place] for place in places)
    secret = _SPACE.sub("", secret)
    start = dense.rfind(secret)
    while start >= 0:
        first, last = places[start], places[start + len(secret) - 1]
        if "\n" in text[first:last]:
            text = f"{text[:first]}{HIDDEN}{text[last + 1 :]}"
        start = dense.rfind(secret, 0, start + len(secret) - 1)
    return text
