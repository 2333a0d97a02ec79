"""Templates are found by name in three places, the later one winning, and faulty files are told by one line."""

from pathlib import Path

import pytest

from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.templates import find_templates, load_template

TEMPLATE = '''"""{summary}

More about it.
"""
from __future__ import annotations

from dataclasses import dataclass

from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.memory_circuit import MemoryCircuit


@dataclass
class Options:
    layers: int


def build(num_qubits: int, layers: int = 1, *, axis: str = "x") -> MemoryCircuit:
    phi = ParameterVector("phi", Options(layers).layers * num_qubits)
    update = QuantumCircuit(num_qubits, name="{name}")
    for k, angle in enumerate(phi):
        getattr(update, "r" + axis)(angle, k % num_qubits)
    return MemoryCircuit(update, phi, [])
'''


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Work in an empty folder; return a function that writes files there."""
    monkeypatch.chdir(tmp_path)

    def write(path, text=None, name="mine", summary="My circuit."):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEMPLATE.format(name=name, summary=summary) if text is None else text)
        return file

    return write


def _said(error):
    message = str(error.value)
    assert "\n" not in message
    return message


def test_installed_templates_are_found_from_anywhere(write):
    found = find_templates()
    assert {"brickwork", "ising", "line", "reuploading", "ring"} <= set(found)
    assert all(file.path.is_file() and file.summary.endswith(".") for file in found.values())
    assert not [name for name in found if name.startswith("_")]


def test_ones_own_folder_wins_over_the_installed_one_and_a_given_one_over_both(write):
    own = write("circuits/ring.py", name="own")
    write("circuits/_helper.py", "raise RuntimeError")
    given = write("elsewhere/ring.py", name="given", summary="Given.")
    assert find_templates()["ring"].path == own
    assert "_helper" not in find_templates()
    assert load_template("ring", 2).update.name == "own"
    found = find_templates(given.parent)["ring"]
    assert (found.path, found.summary) == (given, "Given.")
    assert load_template("ring", 2, extra=given.parent).update.name == "given"
    assert load_template("ring", 2, extra=given).update.name == "given"
    assert load_template("elsewhere/ring.py", 2).update.name == "given"
    assert load_template("line", 2, extra=given).update.name == "line"


def test_listing_runs_no_template(write):
    write("circuits/bomb.py", '"""Goes off."""\nraise RuntimeError("boom")\n')
    assert find_templates()["bomb"].summary == "Goes off."


@pytest.mark.parametrize("text", ["def build(:", "\0", ""])
def test_a_file_that_cannot_be_read_does_not_stop_the_list(write, text):
    write("circuits/broken.py", text)
    write("circuits/good.py")
    found = find_templates()
    assert found["good"].summary == "My circuit."
    assert found["broken"].summary == ("(cannot be read)" if text else "")


def test_options_reach_build(write):
    write("circuits/mine.py")
    memory = load_template("mine", 2, {"layers": 3, "axis": "y"})
    assert memory.num_inputs == 6
    assert memory.update.count_ops() == {"ry": 6}


def test_a_template_may_take_any_options(write):
    write(
        "circuits/free.py",
        TEMPLATE.format(name="free", summary="Free.").replace('*, axis: str = "x"', "axis='x', **rest"),
    )
    assert load_template("free", 1, {"whatever": 1}).num_inputs == 1


def test_an_unknown_template_lists_the_known_ones(write):
    write("circuits/mine.py")
    with pytest.raises(ConfigurationError) as error:
        load_template("rign", 2)
    message = _said(error)
    assert "'rign'" in message
    for name in ("mine", "ring", "line"):
        assert name in message


def test_an_unknown_option_lists_the_known_ones(write):
    write("circuits/mine.py")
    with pytest.raises(ConfigurationError) as error:
        load_template("mine", 2, {"layer": 2})
    assert "unknown option 'layer' of circuit template 'mine'; valid options: layers, axis" in _said(error)


@pytest.mark.parametrize("name", ["ring", "line", "brickwork", "ising", "reuploading"])
def test_options_of_a_wrong_kind_are_one_line(name):
    for layers in ("two", -1):
        with pytest.raises((CircuitError, ConfigurationError)) as error:
            load_template(name, 2, {"layers": layers})
        assert f"{name}.py" in _said(error) or "option layers" in _said(error)


def test_no_qubits_is_an_error():
    with pytest.raises(ConfigurationError, match="at least 1 qubit, not 0"):
        load_template("ring", 0)


def test_a_path_that_does_not_exist_is_an_error(write):
    for call in (
        lambda: load_template("nowhere/mine.py", 2),
        lambda: find_templates(Path("nowhere")),
    ):
        with pytest.raises(ConfigurationError, match="no such file or folder"):
            call()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:", "cannot be imported: SyntaxError"),
        ("import there_is_no_such_module", "cannot be imported: ModuleNotFoundError"),
        ("raise ValueError('first\\nsecond')", "cannot be imported: ValueError"),
        ("x = 1", r"defines no function build\(num_qubits, ...\)"),
        ("build = 3", "defines no function build"),
        ("def build(n): return n", "must return a MemoryCircuit, not int"),
        ("def build(n): return None", "must return a MemoryCircuit, not NoneType"),
        ("def build(): return 1", r"build\(2\) failed: TypeError"),
        ("def build(n): raise RuntimeError('a\\nb')", r"build\(2\) failed: RuntimeError: a b"),
    ],
)
def test_a_faulty_template_is_named_with_its_fault(write, text, message):
    file = write("circuits/faulty.py", text)
    with pytest.raises(CircuitError, match=message) as error:
        load_template("faulty", 2)
    assert str(file) in _said(error)


def test_a_templates_own_complaint_passes_through(write):
    write(
        "circuits/even.py",
        "from qlam_qiskit.errors import ConfigurationError\n"
        "def build(n):\n    raise ConfigurationError('even: an even number of qubits, please')\n",
    )
    with pytest.raises(ConfigurationError, match=r"^even: an even number of qubits, please$"):
        load_template("even", 3)


def test_a_template_with_a_measurement_is_refused_by_the_engine_with_its_place(write):
    from qlam_qiskit.engine import ExactEngine

    text = TEMPLATE.format(name="collapse", summary="Measures.").replace(
        "    return", "    update.reset(1)\n    return"
    )
    write("circuits/collapse.py", text)
    with pytest.raises(CircuitError) as error:
        ExactEngine(load_template("collapse", 2))
    assert r"'collapse', instruction 2: 'reset' on qubits [1]" in _said(error)


@pytest.mark.parametrize(
    "source",
    [
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "def build(n): raise SystemExit(0)",
        "def build(n): raise KeyboardInterrupt",
        "build = dict",
        "build = print",
        "build = 3",
        "def build(): pass",
        "def build(n): return 'no circuit'",
        "def build(n): return build(n)",
    ],
)
def test_a_template_cannot_end_the_program(write, source, capsys):
    write("circuits/bad.py", source)
    with pytest.raises(CircuitError, match=r"bad\.py: ") as raised:
        load_template("bad", 2)
    _said(raised)
    assert capsys.readouterr().out == ""


def test_what_a_template_prints_is_no_output(write, capsys):
    source = TEMPLATE.format(name="loud", summary="x")
    write("circuits/loud.py", source.replace("    phi = ", "    print('loud')\n    phi = "))
    load_template("loud", 2)
    captured = capsys.readouterr()
    assert captured.out == "" and "loud" in captured.err


def test_files_that_cannot_be_read_do_not_hide_the_others(write, tmp_path):
    import os

    write("circuits/mine.py")
    write("circuits/blank.py", '"""   """')
    write("circuits/deep.py", "(" * 5000)
    (tmp_path / "circuits/loop.py").symlink_to("loop.py")
    (tmp_path / "circuits/gone.py").symlink_to("nowhere.py")
    (tmp_path / "circuits/folder.py").mkdir()
    os.mkfifo(tmp_path / "circuits/pipe.py")
    found = find_templates()
    assert found["mine"].summary == "My circuit." and found["blank"].summary == ""
    for name in ("deep", "loop", "gone", "folder", "pipe"):
        assert found[name].summary == "(cannot be read)"
        with pytest.raises(CircuitError, match=f"{name if name != 'gone' else 'nowhere'}.py: "):
            load_template(name, 2)
    assert load_template("mine", 2).num_qubits == 2
