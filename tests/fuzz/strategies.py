"""Draws cases: sound files in which something was changed, and files that nobody would write by accident."""

from __future__ import annotations

import gzip
import json
import struct
from typing import Any

from hypothesis import strategies as st

from qlam_qiskit.configuration import Settings
from qlam_qiskit.plain_yaml import dump_yaml, parse_yaml
from qlam_qiskit.runs.experiment import Experiment
from tests.fuzz import material
from tests.fuzz.case import Case

_WORDS = st.sampled_from(
    ["", "[/x]", "[bold", r"$\bad$", "ring", "qlam", "../../etc/passwd", "a\0b", "\x1b[31m", "é", "\udc80", "nan",
     "2024-13-45", "{}", "%s", "x" * 5000, "heron", "exact", "a: b", "null", "line\nbreak", "\u2028", "/dev/zero",
     "run", "FakeTorino"]
)  # fmt: skip
_NUMBERS = st.sampled_from(
    [0, -1, 1, 2, 3, 16, 17, 10**8, 10**18, 2**63, 10**400, 0.5, -0.5, 1.5, 1e308, 1e-320, float("inf"), float("nan")]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _NUMBERS | st.integers() | st.floats() | _WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=5,
)
_YAML_VALUES = st.sampled_from(
    ["020", "1e-3", "!!int abc", "2024-13-45", "2024-01-01", "*a", "&a [*a]", "[[[[", "{a: 1, a: 2}", "<<", "{<<: 3}",
     "!!python/object/apply:os.getcwd []", "'", '"\\U99999999"', "|", ">-", "? ", "- - -", "0x" + "f" * 5000,
     "9" * 5000, "[" * 3000, "yes", ".inf", ".nan", "10000000000000000000", "1e999", "\t", "# x", "%YAML 1.1", "---",
     "...", "@", "`"]
)  # fmt: skip
_BYTES = st.sampled_from(
    [b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"PK\x03\x04", b"\x1f\x8b", b"\x93NUMPY", b"{", b"[" * 5000, b"[]",
     b"null", b"{}", b"1" * 5000, b"\0" * 100, b'{"a": NaN}', b"- " * 5000, b"a: &a [*a, *a]\n",
     b"%YAML 1.1\n---\na: 1\n"]
) | st.binary(max_size=60)  # fmt: skip


def cases() -> st.SearchStrategy[Case]:
    """Draw a case; kinds whose commands take milliseconds come oftener than those that take seconds."""
    return st.integers(0, 99).flatmap(lambda number: next(kind for share, kind in _SHARES if number < share)())


@st.composite
def mutated_tree(draw: st.DrawFn, value: Any) -> Any:
    """Change up to three places of nested plain values: another value, no key, another key."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        place = value
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
                place = place[key]
                continue
            change = draw(st.integers(0, 5))
            if change == 0:
                del place[key]
            elif change == 1 and isinstance(place, dict):
                place[draw(_WORDS)] = draw(_VALUES)
            else:
                place[key] = draw(_VALUES)
            break
    return value


@st.composite
def mutated_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut, overwrite, insert, double, or replace altogether."""
    change = draw(st.integers(0, 5))
    place = draw(st.integers(0, max(len(content) - 1, 0)))
    piece = draw(_BYTES)
    if change == 0:
        return content[:place]
    if change == 1:
        return content[:place] + piece + content[place + len(piece) :]
    if change == 2:
        return content[:place] + piece + content[place:]
    if change == 3:
        return content + content[place:]
    if change == 4:
        number = draw(st.sampled_from([0, 1, 2**31, 2**32 - 1]))
        size = struct.pack(draw(st.sampled_from(["<I", ">I", "<Q", ">Q"])), number)
        return content[:place] + size + content[place + len(size) :]
    return piece


@st.composite
def mutated_yaml(draw: st.DrawFn, content: bytes) -> bytes:
    """Change the values, or the text: a line twice, another value behind a key, bytes."""
    change = draw(st.integers(0, 5))
    if change <= 2:
        values = draw(mutated_tree(_plain(parse_yaml(content.decode()))))
        try:
            return dump_yaml(values).encode("utf-8", "surrogatepass")
        except (UnicodeError, ValueError):
            return content
    lines = content.decode().split("\n")
    place = draw(st.integers(0, len(lines) - 1))
    if change == 3:
        lines.insert(draw(st.integers(0, len(lines))), lines[place])
    elif change == 4:
        key, colon, _ = lines[place].partition(":")
        lines[place] = f"{key}{colon or ':'} {draw(_YAML_VALUES)}"
    else:
        return draw(mutated_bytes(content))
    return "\n".join(lines).encode()


@st.composite
def mutated_json(draw: st.DrawFn, content: bytes) -> bytes:
    """Change the values or the bytes of JSON, or of one of its lines."""
    if draw(st.integers(0, 3)) == 0:
        return draw(mutated_bytes(content))
    try:
        return json.dumps(draw(mutated_tree(json.loads(content)))).encode()
    except ValueError:
        lines = content.decode().splitlines()
        place = draw(st.integers(0, len(lines) - 1))
        lines[place] = json.dumps(draw(mutated_tree(json.loads(lines[place]))))
        return ("\n".join(lines) + "\n").encode()


@st.composite
def _experiments(draw: st.DrawFn) -> Case:
    content = draw(mutated_yaml(draw(st.sampled_from(material.EXPERIMENTS))))
    if draw(st.booleans()):
        return Case("experiment", ("experiments", "list"), {"experiments/x.yaml": content})
    assignments = draw(st.lists(_assignments(), max_size=2))
    sets = [part for assignment in assignments for part in ("--set", assignment)]
    return Case("experiment", ("@experiment", "x.yaml", *sets), {"x.yaml": content})


@st.composite
def _settings(draw: st.DrawFn) -> Case:
    """Draw --set on a sound experiment: the way on which every key can be reached."""
    assignments = draw(st.lists(_assignments(), min_size=1, max_size=3))
    return Case("settings", ("@experiment", "digits", *(part for one in assignments for part in ("--set", one))))


@st.composite
def _models(draw: st.DrawFn) -> Case:
    """Draw settings on a small data set, and build the model as training does."""
    experiment = draw(mutated_yaml(dump_yaml(draw(st.sampled_from([material.SMALL, material.FORGETFUL]))).encode()))
    assignments = draw(st.lists(_assignments(), max_size=2))
    sets = [part for assignment in assignments for part in ("--set", assignment)]
    files = {"x.yaml": experiment, "small.npz": material.small_data()}
    return Case("model", ("train", "x.yaml", "--resume", "--out", "none", *sets), files)


def _assignments() -> st.SearchStrategy[str]:
    values = st.one_of(_YAML_VALUES, _WORDS, _NUMBERS.map(str), st.integers(1, 100).map(str))
    keys = st.sampled_from(sorted(_keys(Experiment))) | _WORDS
    return st.tuples(keys, values).map(lambda pair: f"{pair[0]}={pair[1]}".replace("\0", ""))


def _keys(kind: type[Settings], prefix: str = "") -> set[str]:
    """List the dotted keys of an experiment, of baselines too."""
    found = {"model.width", "model.state", "model.heads", "model.feedforward", "model.kind", "model.layers"}
    for name, field in kind.model_fields.items():
        found.add(prefix + name)
        for inner in getattr(field.annotation, "__args__", (field.annotation,)):
            if isinstance(inner, type) and issubclass(inner, Settings):
                found |= _keys(inner, f"{prefix}{name}.")
    if not prefix:
        from qlam_qiskit.model import ModelSettings

        found |= _keys(ModelSettings, "model.")
    return found


@st.composite
def _backends(draw: st.DrawFn) -> Case:
    content = draw(mutated_yaml(material.BACKENDS))
    command = draw(st.sampled_from([("list",), ("list", "--json"), ("show",), ("show", "aer"), ("show", "--json")]))
    return Case("backends", ("backends", *command, "--backends", "b.yaml"), {"b.yaml": content})


@st.composite
def _runs(draw: st.DrawFn) -> Case:
    files = dict(material.run_files(forgetful=draw(st.booleans())))
    name = draw(st.sampled_from(sorted(files)))
    change = mutated_yaml if name.endswith(".yaml") else mutated_json if "json" in name else mutated_bytes
    files[name] = draw(change(files[name]))
    if not draw(st.integers(0, 5)):
        del files[name]
    quick = [
        ("plot", "run", "training", "backends"),
        ("refit", "run", "--samples", "5"),
        ("@run", "run"),
        ("runs", "show", "run"),
        ("evaluate", "run", "--limit", "2"),
        ("estimate", "run", "--backend", "exact"),
    ]
    return Case("run", draw(st.sampled_from(quick)), files)


@st.composite
def _reports(draw: st.DrawFn) -> Case:
    case = draw(_runs())
    return Case("report", ("report", "run", "--limit", "3", "--samples", "1"), case.files)


@st.composite
def _ledgers(draw: st.DrawFn) -> Case:
    columns = {
        "submissions": ["id", "created", "backend", "session", "details"],
        "jobs": ["id", "submission", "number", "tag", "state", "remote_id", "message", "qpu_seconds", "updated",
                 "estimated_seconds", "doubtful"],
        "events": ["at", "job", "source", "target", "note"],
        "posts": ["at"],
        "duplicates": ["remote_id", "job", "state", "qpu_seconds", "found"],
    }  # fmt: skip
    whole = st.integers(-(2**63), 2**63 - 1)
    json_text = mutated_tree({"device": "heron", "shots": 5, "metadata": {"samples": 3}}).map(json.dumps)
    values = st.one_of(
        st.none(), whole, st.floats(allow_nan=False), _WORDS.map(_encodable), st.binary(max_size=9), json_text,
        st.sampled_from(["planned", "sent", "saved", "[]", "null", "{", "9" * 5000, "lost"]),
    )  # fmt: skip
    cell = st.sampled_from(sorted(columns)).flatmap(
        lambda table: st.tuples(st.just(table), st.sampled_from(columns[table]), values)
    )
    cells = draw(st.lists(cell, max_size=3))
    command = draw(st.sampled_from([("list",), ("list", "--json"), ("show", "s"), ("show", "s", "--json")]))
    files = {}
    if not draw(st.integers(0, 9)):
        files["runs/ledger.sqlite"] = draw(_BYTES)
    return Case("ledger", ("jobs", *command), files, tuple(cells))


@st.composite
def _results(draw: st.DrawFn) -> Case:
    files = dict(material.result_files())
    name = draw(st.sampled_from(sorted(files)))
    files[name] = draw(mutated_yaml(files[name]) if name.endswith(".yaml") else mutated_json(files[name]))
    return Case("results", ("@pages", "results"), files)


@st.composite
def _comparisons(draw: st.DrawFn) -> Case:
    content = draw(mutated_yaml(draw(st.sampled_from(material.COMPARISONS))))
    return Case("comparison", ("compare", "c.yaml", "--check", "--models", "none"), {"c.yaml": content})


@st.composite
def _spaces(draw: st.DrawFn) -> Case:
    content = draw(mutated_yaml(dump_yaml(material.SPACE).encode()))
    return Case("space", ("@space", "space.yaml"), {"space.yaml": content})


@st.composite
def _jobs(draw: st.DrawFn) -> Case:
    files = dict(material.job_files())
    name = draw(st.sampled_from(sorted(files)))
    files[name] = draw(mutated_bytes(files[name]))
    return Case("job files", ("@job", "runs"), files)


@st.composite
def _data(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(["arrays", "own", "images"]))
    if kind == "arrays":
        content = draw(mutated_bytes(material.small_data()))
        return Case("data", ("@data", dump_yaml(material.SMALL["data"])), {"data/small.npz": content})
    if kind == "own":
        name, (content, settings) = draw(st.sampled_from(sorted(material.own_files().items())))
        files = {f"data/{name}": draw(mutated_bytes(content))}
        return Case("data", ("@data", dump_yaml({"dataset": "file", "path": name, **settings})), files)
    files = dict(material.image_files())
    name = draw(st.sampled_from(sorted(files)))
    content = files[name]
    if name.endswith(".gz") and draw(st.booleans()):
        content = gzip.compress(draw(mutated_bytes(gzip.decompress(content))), mtime=0)
    else:
        content = draw(mutated_bytes(content))
    files[name] = content
    commands = [("data", "list", "--data-dir", "data"), ("@data", "{dataset: mnist}"), ("@data", "{dataset: cifar10}")]
    return Case("data", draw(st.sampled_from(commands)), files)


@st.composite
def _tasks(draw: st.DrawFn) -> Case:
    """Draw the sizes of synthetic tasks, and make them."""
    names = ["symbols", "alphabet", "delay", "pairs", "keys", "values", "train_samples", "test_samples", "seed"]
    sizes = st.sampled_from([0, 1, 2, 3, 100, 4096, 10**6, 10**8, 10**18]) | st.integers(1, 50)
    values = {"dataset": draw(st.sampled_from(["copying", "recall", "digits"]))}
    values |= draw(st.dictionaries(st.sampled_from(names), sizes, max_size=4))
    return Case("task", ("@data", dump_yaml(values)))


@st.composite
def _circuits(draw: st.DrawFn) -> Case:
    name = draw(st.sampled_from(["ring", "ising", "reuploading", "damped_ring", "damped_line", "odd.py"]) | _WORDS)
    number = st.sampled_from(["-1", "0", "1", "2", "3", "9" * 30, "x", "1.5"])
    command = draw(st.sampled_from(["plan", "export", "draw"]))
    options = draw(st.lists(st.tuples(st.sampled_from(["layers", "x", ""]), number | _YAML_VALUES), max_size=1))
    arguments = ["circuits", command, name.replace("\0", ""), "--qubits", draw(number)]
    for key, value in options:
        arguments += ["--option", f"{key}={value}"]
    template = draw(st.sampled_from([b"", b"def build(n): return n", b"build = dict", b"\0", b"raise ValueError"]))
    return Case("circuit", tuple(arguments), {"odd.py": template})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


_SHARES = [
    (14, _experiments), (28, _settings), (31, _models), (43, _backends), (57, _runs), (58, _reports), (70, _ledgers),
    (76, _results), (80, _comparisons), (82, _spaces), (86, _jobs), (93, _data), (97, _tasks), (100, _circuits),
]  # fmt: skip
