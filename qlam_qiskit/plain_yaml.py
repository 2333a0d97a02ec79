"""YAML of plain values, by the rules of YAML 1.2: the one place where the package reads and writes it.

ruamel.yaml scans and parses; values are built here from its events, so that a file from anywhere is bounded while it is
read, and every fault has a line. ``020`` is 20, ``yes`` and ``2024-01-01`` are text, a key may stand only once in its
mapping. Anchors, aliases and the merge key ``<<`` are understood; tags and directives are not.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, Event, MappingStartEvent, ScalarEvent, SequenceStartEvent
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.scanner import Scanner, ScannerError

MOST_CHARACTERS = 262_144
MOST_VALUES = 10_000  # keys and values, each counted wherever an alias repeats it
MOST_LEVELS = 40
_MOST_DIGITS = 3_000
_TOO_DEEP = f"nested more than {MOST_LEVELS} levels deep"

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOLEAN = re.compile(r"(?P<true>true|True|TRUE)|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"(?P<sign>[-+])?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


class YAMLFault(ValueError):
    """Text that is no YAML of plain values, or too much of it; the message is one line that names the line."""


class Section(dict[Any, Any]):
    """A mapping read from YAML, with the line (from 1) that each key stands in."""

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        self.lines: dict[Any, int] = {}

    def copy(self) -> Section:
        """Copy the mapping and its lines, not what it holds."""
        copied = Section(self)
        copied.lines = dict(self.lines)
        return copied


def parse_yaml(text: str) -> Any:
    """Read one YAML document: None, bool, int, float, str, list and :class:`Section`.

    Raises YAMLFault for anything else: a tag, a doubled key, a date that no calendar has, more than MOST_CHARACTERS,
    MOST_VALUES or MOST_LEVELS.
    """
    if len(text) > MOST_CHARACTERS:
        raise YAMLFault(f"longer than {MOST_CHARACTERS:,} characters")
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _Scanner
        return _Builder(yaml.parse(text)).document()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YAMLFault(f"line {line}: the character U+{error.character:04X} has no place in YAML") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        said = ", ".join(part for part in (error.problem, error.context) if part)
        raise YAMLFault(f"{where}{_cut(' '.join(said.split()), 200)}") from None
    except YAMLError as error:
        raise YAMLFault(_cut(" ".join(str(error).split()), 200)) from None
    except (ValueError, IndexError, OverflowError) as error:
        # The scanner turns escapes such as "\U99999999" into characters without looking.
        if isinstance(error, YAMLFault):
            raise
        raise YAMLFault(f"an escape or a directive that YAML does not know ({' '.join(str(error).split())})") from None


def dump_yaml(values: Mapping[str, Any]) -> str:
    """Write plain values as YAML in the order that they have; :func:`parse_yaml` reads the same ones back."""
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style, yaml.width, yaml.allow_unicode = False, 1000, True
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump(values, stream)
    return stream.getvalue()


class _Scanner(Scanner):
    """Stops at the first bracket that is too deep: looking ahead within many takes long."""

    def fetch_flow_collection_start(self, *arguments: Any, **named: Any) -> None:
        if self.flow_level >= MOST_LEVELS:
            raise ScannerError(None, None, _TOO_DEEP, self.reader.get_mark())
        super().fetch_flow_collection_start(*arguments, **named)


class _Representer(SafeRepresenter):
    """Quotes the words that the rules of this module would read as something else than text."""

    def represent_str(self, data: str) -> ScalarNode:
        plain = isinstance(_resolve(data), str) and not _DATE.fullmatch(data) and data not in ("<<", "=")
        # Characters beyond ASCII that look like line breaks are written as escapes.
        quoted = not plain or any(character in data for character in "\x85\u2028\u2029\ufeff")
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if quoted else None)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Representer.add_representer(str, _Representer.represent_str)
_Representer.add_multi_representer(dict, SafeRepresenter.represent_dict)


class _Builder:
    """Builds the values of one document from its events, counting as it goes."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._anchors: dict[str, tuple[Any, int] | None] = {}  # value and size; None while it is being built
        self._size = 0

    def document(self) -> Any:
        next(self._events)  # the stream's start
        start = next(self._events)
        if not isinstance(start, DocumentStartEvent):
            return None
        if start.version is not None or start.tags:
            raise _fault(start, "directives, such as %YAML and %TAG, are not understood")
        value = self._value(next(self._events), 1)
        next(self._events)  # the document's end
        after = next(self._events)
        if isinstance(after, DocumentStartEvent):
            raise _fault(after, "a second document; a file has one")
        return value

    def _value(self, event: Event, level: int) -> Any:
        before = self._size
        self._count(event, 1)
        if isinstance(event, AliasEvent):
            return self._repeated(event)
        if level > MOST_LEVELS:
            raise _fault(event, _TOO_DEEP)
        if event.tag is not None:
            raise _fault(event, f"the tag {_cut(str(event.tag))}; tags are not understood")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, MappingStartEvent):
            value: Any = self._mapping(level)
        elif isinstance(event, SequenceStartEvent):
            value = [self._value(inner, level + 1) for inner in self._inner()]
        else:
            value = self._scalar(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._size - before)
        return value

    def _inner(self) -> Iterator[Event]:
        """Yield the events that begin a value until the collection ends."""
        for event in self._events:
            if not isinstance(event, ScalarEvent | AliasEvent | MappingStartEvent | SequenceStartEvent):
                return
            yield event

    def _mapping(self, level: int) -> Section:
        section, merged = Section(), Section()
        for event in self._inner():
            key, is_merge = self._value(event, level + 1), _is_merge(event)
            if isinstance(key, dict | list):
                raise _fault(event, "a key is one word or number, not a collection")
            value = self._value(next(self._events), level + 1)
            line = event.start_mark.line + 1
            if key in section.lines:
                raise _fault(event, f"the key {_cut(repr(key))} once more; line {section.lines[key]} has it already")
            section.lines[key] = line
            if is_merge:
                for other in reversed(value if isinstance(value, list) else [value]):
                    if not isinstance(other, Section):
                        raise _fault(event, "<< takes a mapping, or a list of mappings")
                    merged.update(other)
                    merged.lines.update(other.lines)
            else:
                section[key] = value
        for key, value in merged.items():
            if key not in section:
                section[key] = value
                section.lines[key] = merged.lines[key]
        return section

    def _repeated(self, event: AliasEvent) -> Any:
        if event.anchor not in self._anchors:
            raise _fault(event, f"*{_cut(event.anchor)} stands for nothing before it")
        known = self._anchors[event.anchor]
        if known is None:
            raise _fault(event, f"*{_cut(event.anchor)} stands within what it stands for")
        value, size = known
        self._count(event, size - 1)
        return value

    def _count(self, event: Event, values: int) -> None:
        self._size += values
        if self._size > MOST_VALUES:
            raise _fault(event, f"more than {MOST_VALUES:,} keys and values")

    def _scalar(self, event: ScalarEvent) -> Any:
        text = event.value
        if event.style is not None:  # quoted, or a block of text
            return text
        if (found := _DATE.fullmatch(text)) and not _is_date(*map(int, found.groups())):
            raise _fault(event, f"{text} is no date; put it in quotes if it is text")
        if len(text) > _MOST_DIGITS and _INTEGER.fullmatch(text):
            raise _fault(event, f"a number of more than {_MOST_DIGITS:,} digits")
        return _resolve(text)


def _resolve(text: str) -> Any:
    """Read a plain scalar by the core schema of YAML 1.2."""
    if _NULL.fullmatch(text):
        return None
    if found := _BOOLEAN.fullmatch(text):
        return found["true"] is not None
    if _INTEGER.fullmatch(text) and len(text) <= _MOST_DIGITS:
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    if found := _NOT_FINITE.fullmatch(text):
        return math.nan if text.endswith(("n", "N")) else math.copysign(math.inf, -1 if found["sign"] == "-" else 1)
    return text


def _is_merge(event: Event) -> bool:
    return isinstance(event, ScalarEvent) and event.style is None and event.value == "<<"


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _cut(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _fault(event: Event, message: str) -> YAMLFault:
    return YAMLFault(f"line {event.start_mark.line + 1}: {message}")
