"""YAML files checked once, at the edge: strict pydantic models whose errors name the key and what is allowed.

Experiments and the backend registry are both read through :func:`read_yaml` and :func:`check`; past this point the
package passes plain typed objects around.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.plain_yaml import MOST_CHARACTERS, Section, YAMLFault, parse_yaml


class Settings(BaseModel):
    """Base of every checked configuration: unknown keys and silent conversions are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


SettingsT = TypeVar("SettingsT", bound=Settings)


def read_yaml(path: Path) -> Section:
    """Read a YAML mapping; raises ConfigurationError when the file is missing, not YAML, or not a mapping."""
    try:
        with path.open("rb") as file:
            content = file.read(4 * MOST_CHARACTERS + 1)
        loaded = parse_yaml(content.decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        kind = "UTF-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else f"no UTF-8 ({error.reason})"
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}: cannot be read: line {line} is {kind}; save the file as UTF-8") from None
    except (OSError, ValueError) as error:
        if isinstance(error, YAMLFault):
            raise ConfigurationError(f"{path}: not valid YAML: {error}") from None
        raise ConfigurationError(f"{str(path)!r}: cannot be read: {error}") from None
    if not isinstance(loaded, Section):
        raise ConfigurationError(f"{path}: expected a mapping of keys to values at the top level")
    return loaded


def check(kind: type[SettingsT], values: Mapping[str, Any], source: str) -> SettingsT:
    """Turn raw values into ``kind``; raises ConfigurationError with one line naming the first faulty key.

    Where the values were read from YAML, the key's line is said too.
    """
    try:
        return kind.model_validate(values if isinstance(values, dict) else dict(values))
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {one_line(kind, error)}{_line_of(values, error)}") from None


def whole(name: str, value: Any, least: int = 1) -> int:
    """Return a number that a caller gives; raises ConfigurationError unless it is whole, and at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ConfigurationError(f"{name}: a whole number, not {value!r}")
    if value < least:
        raise ConfigurationError(f"{name}: at least {least}, not {value}")
    return int(value)


def override(values: dict[str, Any], assignments: tuple[str, ...], option: str = "--set") -> dict[str, Any]:
    """Return a copy of ``values`` with each ``dotted.key=value`` applied, the value read as YAML.

    ``option`` is the command line's name for such assignments, for messages.

    Raises ConfigurationError when an assignment has no ``=`` or walks through something that is not a mapping.
    """
    result = _deep_copy(values)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ConfigurationError(f"{option} {_shown(assignment)}: expected key=value")
        try:
            value = parse_yaml(text)
        except YAMLFault as fault:
            said = str(fault).removeprefix("line 1: ")
            raise ConfigurationError(f"{option} {_shown(assignment)}: the value is not valid YAML: {said}") from None
        value = _plain(value)
        *parents, last = key.split(".")
        target = result
        for name in parents:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                raise ConfigurationError(f"{option} {_shown(assignment)}: {name} is not a section")
        target[last] = value
        if isinstance(target, Section):
            target.lines.pop(last, None)
    return result


def dotted_keys(kind: type[BaseModel]) -> Iterator[str]:
    """Yield every key that a configuration may have, with those of its sections as ``section.key``."""
    for name, field in kind.model_fields.items():
        yield name
        for inner in _models_in(field.annotation):
            yield from (f"{name}.{key}" for key in dotted_keys(inner))


def _deep_copy(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    copied = values.copy()
    for key, value in values.items():
        copied[key] = _deep_copy(value)
    return copied


def _plain(value: Any) -> Any:
    """Forget the lines: a value of the command line stands in no file."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def at_line(values: Mapping[str, Any], key: Any) -> str:
    """Say in which line of its file a key stands, as the end of a message; empty where no file says."""
    line = values.lines.get(key) if isinstance(values, Section) else None
    return f" (line {line})" if line else ""


def _line_of(values: Any, error: ValidationError) -> str:
    """Say in which line of its file the first problem stands; empty of values that no file gave."""
    found = ""
    for part in error.errors(include_url=False)[0]["loc"]:
        inside = part in values if isinstance(values, dict) else isinstance(values, list) and part in range(len(values))
        if inside:
            found = at_line(values, part) if isinstance(values, Section) else found
            values = values[part]
        # Any other part is not of the file: the kind by which pydantic chose a section's model.
    return found


def _shown(text: str, length: int = 100) -> str:
    """Cut a value that is quoted in a message."""
    return text if len(text) <= length else f"{text[:length]}..."


# Keys that earlier versions wrote, and what they are called now in the sections that have them.
_RENAMED = {"heads": "registers"}


def one_line(kind: type[BaseModel], error: ValidationError) -> str:
    """Say the first problem in one line, with the valid keys when the key is the problem."""
    problem = error.errors(include_url=False)[0]
    location, section = _find(kind, [_shown(str(part)) for part in problem["loc"]])
    where = ".".join(location) or "file"
    if problem["type"] == "extra_forbidden":
        renamed = _RENAMED.get(location[-1])
        if section is not None and renamed in section.model_fields:
            return f"unknown key {where}: it is called {'.'.join([*location[:-1], renamed])} now"
        valid = f"; valid keys: {', '.join(sorted(section.model_fields))}" if section else ""
        return f"unknown key {where}{valid}"
    if problem["type"] == "missing":
        return f"missing key {where}"
    if problem["type"] == "union_tag_invalid":
        context = problem["ctx"]
        return f"{where}.kind: {context['tag']!r} is none of {context['expected_tags']}"
    if problem["type"] in ("model_type", "dict_type"):
        return f"{where}: expected a mapping of keys to values (got {_shown(repr(problem.get('input')))})"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = "" if isinstance(given, dict | list) else f" (got {_shown(repr(given))})"
    return f"{where}: {message}{shown}"


def _find(kind: type[BaseModel], path: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    """Return the keys of a file that lead to ``path``, and the model that the last of them belongs to.

    Where a section's ``kind`` selects its model, pydantic's path has that kind as a part of its own; a file has not.
    """
    candidates: list[type[BaseModel]] = [kind]
    keys: list[str] = []
    owner: type[BaseModel] | None = kind
    for name in path:
        chosen = [model for model in candidates if name in _kinds(model)]
        if chosen and not any(name in model.model_fields for model in candidates):
            candidates = chosen
            continue
        owner = candidates[0] if candidates else None
        keys.append(name)
        fields = (model.model_fields[name] for model in candidates if name in model.model_fields)
        candidates = [found for field in fields for found in _models_in(field.annotation)] or candidates
    return keys, owner


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
