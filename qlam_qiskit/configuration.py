"""YAML files checked once, at the edge: strict pydantic models whose errors name the key and what is allowed.

Experiments and the backend registry are both read through :func:`read_yaml` and :func:`check`; past this point the
package passes plain typed objects around.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from qlam_qiskit.errors import ConfigurationError


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number: PyYAML follows YAML 1.1, where that takes a dot and a sign."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse_yaml(text: str) -> Any:
    """Read YAML of plain values; raises yaml.YAMLError."""
    return yaml.load(text, _Loader)


class Settings(BaseModel):
    """Base of every checked configuration: unknown keys and silent conversions are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


SettingsT = TypeVar("SettingsT", bound=Settings)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raises ConfigurationError when the file is missing, not YAML, or not a mapping."""
    try:
        loaded = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, dict):
        raise ConfigurationError(f"{path}: expected a mapping of keys to values at the top level")
    return loaded


def check(kind: type[SettingsT], values: Mapping[str, Any], source: str) -> SettingsT:
    """Turn raw values into ``kind``; raises ConfigurationError with one line naming the first faulty key."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {_one_line(kind, error)}") from None


def override(values: dict[str, Any], assignments: tuple[str, ...], option: str = "--set") -> dict[str, Any]:
    """Return a copy of ``values`` with each ``dotted.key=value`` applied, the value read as YAML.

    ``option`` is the command line's name for such assignments, for messages.

    Raises ConfigurationError when an assignment has no ``=`` or walks through something that is not a mapping.
    """
    result = _deep_copy(values)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ConfigurationError(f"{option} {assignment}: expected key=value")
        try:
            value = parse_yaml(text)
        except yaml.YAMLError:
            raise ConfigurationError(f"{option} {assignment}: the value is not valid YAML") from None
        *parents, last = key.split(".")
        target = result
        for name in parents:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                raise ConfigurationError(f"{option} {assignment}: {name} is not a section")
        target[last] = value
    return result


def _deep_copy(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _deep_copy(value) for key, value in values.items()}
    return values


# Keys that earlier versions wrote, and what they are called now in the sections that have them.
_RENAMED = {"heads": "registers"}


def _one_line(kind: type[BaseModel], error: ValidationError) -> str:
    """Say the first problem in one line, with the valid keys when the key is the problem."""
    problem = error.errors()[0]
    location, section = _find(kind, [str(part) for part in problem["loc"]])
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
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = "" if isinstance(given, dict | list) else f" (got {given!r})"
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
