"""The packages meet at their ``__init__``, need each other in one direction, and are drawn as they are."""

import ast
import importlib.util
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def architecture():
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["architecture"] = module  # where dataclasses looks for annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["architecture"]


def test_no_module_goes_past_the_init_of_another_package(architecture):
    found = [
        f"{each.module}:{each.line}: import {each.name} from qlam_qiskit.{architecture.room(each.source)}"
        for each in architecture.imports()
        if architecture.passes_by(each)
    ]
    assert not found, "\n".join(found)


def test_the_packages_need_each_other_in_one_direction(architecture):
    needs = architecture.graph()
    rows = architecture.floors(needs)  # raises where there is a circle
    assert sum(map(len, rows)) == len(needs) >= 15
    level = {name: floor for floor, names in enumerate(rows) for name in names}
    assert all(level[need] < level[name] for name, found in needs.items() for need in found)
    order = ["backends", "planning", "network", "model", "runs", "evaluation", "run", "by_name", ""]
    assert sorted(order, key=level.get) == order
    assert not {need for name in architecture.packages() - {"cli"} for need in needs[name]} & {"cli", "run", "by_name"}


def test_a_circle_and_a_step_past_an_init_are_found(architecture):
    with pytest.raises(ValueError, match=r"in a circle: \['a', 'b'\]"):
        architecture.floors({"a": {"b"}, "b": {"a"}, "ground": set()})
    step = architecture.Import("qlam_qiskit.cli.train", 1, "qlam_qiskit.runs.run_folder", "RunFolder")
    assert architecture.passes_by(step)
    assert not architecture.passes_by(architecture.Import("qlam_qiskit.cli.train", 1, "qlam_qiskit.runs", "RunFolder"))
    assert architecture.passes_by(architecture.Import("qlam_qiskit.cli.train", 1, "qlam_qiskit.runs", "run_folder"))


def test_the_drawing_is_of_the_packages_as_they_are(architecture):
    assert architecture.DRAWING.read_text(encoding="utf-8") == architecture.draw(), "run python docs/architecture.py"


def test_the_page_names_every_package(architecture):
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [name for name in sorted(architecture.packages()) if f"| `{name}` |" not in page] == []
    assert "images/architecture.svg" in page


def test_what_a_package_gives_is_there_and_seen_by_type_checkers(architecture):
    for name in sorted(architecture.packages() - {"cli"}):
        package = import_module(f"qlam_qiskit.{name}")
        assert {given for given in package.__all__ if not hasattr(package, given)} == set()
        tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
        blocks = [node for node in tree.body if isinstance(node, ast.If)]
        if blocks:
            seen = {alias.asname for block in blocks for node in block.body for alias in node.names}
            assert seen == set(package.__all__), name
            files = {path.stem for path in Path(package.__file__).parent.iterdir()}
            assert not seen & files, f"{name}: a module would take the place of a name"
            with pytest.raises(AttributeError, match=f"module 'qlam_qiskit.{name}' has no attribute 'nothing'"):
                _ = package.nothing


def test_every_package_can_be_imported_first_and_names_are_listed_without_what_is_heavy():
    listing = (
        "import sys; from qlam_qiskit.runs import find_experiments, find_runs; from qlam_qiskit.jobs import Ledger;"
        "from qlam_qiskit.compare import find_comparisons; from qlam_qiskit.backends import load_registry;"
        "assert find_experiments() and find_comparisons() and load_registry();"
        "heavy = {'torch', 'qiskit', 'numba'} & sys.modules.keys(); assert not heavy, heavy"
    )
    codes = [f"import qlam_qiskit.{name}" for name in ("planning", "runs", "evaluation")]
    running = [subprocess.Popen([sys.executable, "-c", code]) for code in (listing, *codes)]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
