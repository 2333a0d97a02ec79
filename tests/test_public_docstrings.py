"""Docstrings of all that ``import qlam_qiskit`` gives: every parameter, what is returned, and what is raised."""

import ast
import dataclasses
import inspect
import re
import textwrap

import pydantic
import pytest

import qlam_qiskit as qq

SECTIONS = ("Parameters", "Attributes", "Returns", "Yields", "Raises")


def sections(thing):
    """Return the sections of a docstring by title, with the names that stand at their margin."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    found, title = {}, None
    for index, line in enumerate(lines):
        if line in SECTIONS and lines[index + 1 : index + 2] == ["-" * len(line)]:
            title = line
            found[title] = set()
        elif title and line and line[0] not in " -":
            found[title].update(name.strip(" *") for name in line.split(","))
    return found


def methods(kind):
    """Yield the public methods of a class that are this package's own, with their names."""
    for owner in kind.__mro__:
        if owner.__module__.startswith("qlam_qiskit"):
            for name, value in vars(owner).items():
                function = getattr(value, "__func__", value)
                if not name.startswith("_") and inspect.isfunction(function):
                    yield f"{kind.__name__}.{name}", function


def functions():
    for name in qq.__all__:
        thing = getattr(qq, name)
        if inspect.isclass(thing):
            yield from methods(thing)
        else:
            yield name, thing


def raises(function):
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Raise) for node in ast.walk(tree))


@pytest.mark.parametrize("function", [pytest.param(found, id=name) for name, found in functions()])
def test_a_function_says_all_that_it_takes_returns_and_raises(function):
    found = sections(function)
    signature = inspect.signature(function)
    assert signature.parameters.keys() - {"self", "cls"} <= found.get("Parameters", set())
    assert found.get("Parameters", set()) <= signature.parameters.keys()
    if signature.return_annotation not in ("None", None):
        assert "Returns" in found
    if raises(function):
        assert "Raises" in found


@pytest.mark.parametrize("name", [name for name in qq.__all__ if inspect.isclass(getattr(qq, name))])
def test_a_class_says_what_it_is_made_of(name):
    kind = getattr(qq, name)
    if issubclass(kind, Exception):
        return
    if issubclass(kind, pydantic.BaseModel):
        made_of = set(kind.model_fields) - {"kind"}
    elif dataclasses.is_dataclass(kind):
        made_of = {field.name for field in dataclasses.fields(kind) if field.init}
    else:
        made_of = set(inspect.signature(kind.__init__).parameters) - {"self"}
    found = sections(kind)
    assert made_of <= found.get("Parameters", set()) | found.get("Attributes", set())


def test_angles_shots_and_seconds_have_their_units():
    for name in ("MemoryCircuit", "MemoryNetwork", "ModelSettings"):
        assert "radians" in inspect.getdoc(getattr(qq, name))
    assert "nats" in inspect.getdoc(qq.Run.evaluate)
    assert re.search(r"Seconds", inspect.getdoc(qq.Submission.wait))
    for name in ("AdjointEstimatorGradient", "QLAM"):
        assert "arXiv" in inspect.getdoc(getattr(qq, name))
