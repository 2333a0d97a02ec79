"""Writes the pages that follow from code and notebooks: a hook of ``mkdocs build``.

``reference/settings.md`` comes from the pydantic models, ``reference/commands.md`` from click, and
``reference/python.md`` lists the public names, whose docstrings mkdocstrings then puts in. Each notebook of
``notebooks/`` becomes a page, with the outputs that are kept in it.
"""

from __future__ import annotations

import base64
import inspect
import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic_core import PydanticUndefined


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, make in (("settings", settings_page), ("commands", commands_page), ("python", python_page)):
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        page, pictures = notebook_page(Path(notebook.abs_src_path))
        for uri, content in {f"{Path(notebook.src_uri).stem}.md": page, **pictures}.items():
            files.append(File.generated(config, f"notebooks/{uri}", content=content))
    return files


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Write a notebook as Markdown; returns the page, and its pictures by name."""
    parts, pictures = [], {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"\]\(([\w-]+)\.ipynb\)", r"](\1.md)", source))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            said = "".join(data.get("text/plain", output.get("text", "")))
            if "image/png" in data:
                name = f"{path.stem}-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                width = output["metadata"].get("image/png", {}).get("width")
                shown = f'{{ width="{width}" }}' if width else ""
                parts.append(f"![{said.strip('<> ')}]({name}){shown}")
            elif "text/html" in data:
                parts.append("".join(data["text/html"]))
            else:
                parts.append(f"``` {{ .text .output }}\n{said.rstrip()}\n```")
    parts.append(f"[Download this notebook]({path.name})")
    return "\n\n".join(parts) + "\n", pictures


def python_page() -> str:
    """Say how the public names are called, in groups."""
    import qlam_qiskit

    groups = {
        "Models": ["QLAM", "ModelSettings", "MemoryCircuit", "find_templates", "load_template"],
        "Experiments": [
            "train",
            "search",
            "Run",
            "Plan",
            "Submission",
            "Experiment",
            "find_experiments",
            "load_experiment",
            "find_pretrained",
        ],
        "Data and backends": ["load_data", "SequenceData", "load_registry"],
        "With stock Qiskit": ["AdjointEstimator", "AdjointEstimatorGradient", "MemoryNetwork", "MemoryConnector"],
        "Errors": ["QlamError"],
    }
    listed = {name for names in groups.values() for name in names}
    groups["More"] = [name for name in qlam_qiskit.__all__ if name not in listed]
    parts = [
        "# Python\n\n`import qlam_qiskit` gives these names; each is loaded when it is used first. What is wrong with a"
        " circuit, a file or a request is said by a `QlamError`, whose message is one line.\n"
    ]
    for title, names in groups.items():
        if names:
            parts.append(f"## {title}\n")
        for name in names:
            value = getattr(qlam_qiskit, name)
            parts.append(f"::: {value.__module__}.{value.__qualname__}\n")
    return "\n".join(parts)


def settings_page() -> str:
    """Write a table for every section of an experiment and every kind of backend."""
    from qlam_qiskit.backends import specs
    from qlam_qiskit.runs.experiment import Experiment

    parts = [
        "# Settings\n\nAn experiment is a YAML file of these keys; `--set key=value` changes one for a run. An unknown"
        " key or a value of another type is an error that names what is allowed.\n",
        "## Experiment\n",
        *_section(Experiment, ""),
        "## Backends\n\nAn entry of `backends.yaml`, by its `kind`.\n",
    ]
    for kind, model in specs._KINDS.items():
        parts += [f"### kind: {kind}\n", *_section(model, "", nested=False)]
    return "\n".join(parts)


def _section(model: type[BaseModel], prefix: str, *, nested: bool = True) -> Iterator[str]:
    yield (
        f"{inspect.cleandoc(model.__doc__ or '')}\n".replace("----------", "")
        .replace("Attributes\n\n", "\n")
        .replace(":class:`~qlam_qiskit.model.normalization.ReadoutNormalization`", "`ReadoutNormalization`")
    )
    yield "| key | values | default |\n|---|---|---|"
    inner = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key.startswith("("):
            continue
        models = [found for found in _models(field.annotation) if found is not model]
        if models:
            inner.append((key, models))
            if nested:
                continue
        given = field.get_default(call_default_factory=True)
        default = "needed" if given is PydanticUndefined else _shown(given)
        yield f"| `{prefix}{key}` | {_values(field)} | {default} |"
    yield ""
    if nested:
        for key, models in inner:
            for found in models:
                kinds = typing.get_args(found.model_fields["kind"].annotation) if "kind" in found.model_fields else ()
                said = f", kind: {' or '.join(kinds)}" if len(models) > 1 else ""
                yield f"### {prefix}{key}{said}\n"
                yield from _section(found, f"{prefix}{key}.")


def _models(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in typing.get_args(annotation) for found in _models(argument)]


def _values(field: Any) -> str:
    limits = [
        f"{sign} {getattr(entry, name)}"
        for entry in field.metadata
        for name, sign in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
        if getattr(entry, name, None) is not None
    ]
    return ", ".join([_type(field.annotation), *limits])


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if annotation is type(None):
        return "nothing"
    if origin in (list, dict) or inspect.isclass(annotation):
        named = {int: "whole number", float: "number", str: "text", bool: "yes or no", dict: "keys and values"}
        return named.get(annotation) or named.get(origin) or getattr(annotation, "__name__", str(annotation))
    if origin is typing.Annotated:
        return _type(arguments[0])
    return " or ".join(_type(argument) for argument in arguments) or str(annotation)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return ""
    return f"`{value.model_dump() if isinstance(value, BaseModel) else value}`"


def commands_page() -> str:
    """Write every command with its help, arguments and options."""
    from qlam_qiskit.cli import qlam

    parts = [
        "# Commands\n\nWith `--json` a command prints one JSON object on stdout, everything else on stderr. The exit"
        " status is 0, 1 when the work failed (one line says why), or 2 when the request was not valid.\n",
        '`eval "$(_QLAM_COMPLETE=bash_source qlam)"` (or `zsh_source`, or in fish '
        "`_QLAM_COMPLETE=fish_source qlam | source`)"
        " in your shell's start file completes commands, options, and the names of experiments, circuits, backends,"
        " runs and submissions.\n",
    ]
    return "\n".join([*parts, *_commands(qlam, "qlam", 2)])


def _commands(group: click.Group, path: str, level: int) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        usage = " ".join(command.collect_usage_pieces(click.Context(command)))
        yield f"{'#' * level} {path} {name}\n\n```text\n{path} {name} {usage}\n```\n"
        text = inspect.cleandoc(command.help or "").replace("\b\n", "")
        said, _, example = text.partition("Example:")
        yield said.strip().replace("<", "&lt;") + "\n"
        if example:
            yield f"```sh\n{' '.join(example.split())}\n```\n"
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        if options:
            yield "| option | |\n|---|---|"
            for option in options:
                record = option.get_help_record(click.Context(command))
                if record:
                    yield f"| `{record[0]}` | {record[1].replace('|', '/')} |".replace("\n", " ")
            yield ""
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}", level + 1)
