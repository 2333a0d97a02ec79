"""Names and descriptions are shown as they are: no markup, no formula, no HTML, nothing that a terminal obeys."""

import json
from pathlib import Path

import pytest
from qiskit import QuantumCircuit

from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.redaction import one_line, plain

HOSTILE = ["[/x]", "[bold]loud", "$\\bad$", "<b>bold</b>", ":smile:", "{{ 7 * 7 }}", "%s %(x)s {0}"]
ESCAPES = "\x1b[31mred\x1b[0m\x1b]8;;http://evil\x07link\x1b]8;;\x07\x9b2J\x1b[2J\x07\u202eback"
TEMPLATE = '''"""DOCSTRING"""
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, ParameterVector
from qlam_qiskit.memory_circuit import MemoryCircuit


def build(num_qubits):
    phi = ParameterVector(NAME, num_qubits)
    update = QuantumCircuit(num_qubits, name=NAME)
    inner = QuantumCircuit(1, name=NAME)
    inner.h(0)
    update.append(inner.to_gate(label=NAME), [0])
    for qubit in range(num_qubits):
        update.rx(phi[qubit], qubit)
    return MemoryCircuit(update, phi, [])
'''


def write_places(name):
    """Write an experiment, a template and a registry whose texts are all ``name``."""
    for folder in ("experiments", "circuits"):
        Path(folder).mkdir()
    file = "".join(character for character in name if character not in "/\0")
    Path("experiments", f"{file}.yaml").write_text(dump_yaml({"description": name}))
    source = TEMPLATE.replace("NAME", repr(name)).replace('"""DOCSTRING"""', repr(name))
    Path("circuits", f"{file}.py").write_text(source)
    entries = {"exact": {"kind": "exact"}, name: {"kind": "fake", "name": name}}
    Path("backends.yaml").write_text(dump_yaml({"default": "exact", "backends": entries}))
    return file


@pytest.mark.parametrize("name", HOSTILE)
def test_lists_and_drawings_show_text_as_it_is(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    file = write_places(name)
    for command in ("experiments", "circuits", "backends"):
        status, out, err = run(command, "list")
        assert status == 0, err
        assert " ".join(name.split()) in out
    status, out, err = run("circuits", "draw", file, "--qubits", 2)
    assert status == 0, err
    assert run("circuits", "draw", file, "--qubits", 2, "--out", "a.svg")[0] == 0
    assert "<b>" not in Path("a.svg").read_text()
    status, _, err = run("circuits", "plan", file, "--qubits", 2)
    assert status == 0, err
    status, _, err = run("train", f"{file}?")
    assert status == 2 and err.startswith("Error: ") and len(err.splitlines()) == 1
    assert run("backends", "check", name)[0] == 1


def test_a_terminal_gets_nothing_to_obey(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    file = write_places(f"a{ESCAPES}")
    for arguments in (
        ("experiments", "list"),
        ("circuits", "list"),
        ("backends", "list"),
        ("backends", "show", f"a{ESCAPES}"),
        ("backends", "check", f"a{ESCAPES}"),
        ("circuits", "draw", file, "--qubits", 1),
        ("circuits", "draw", f"no{ESCAPES}"),
        ("train", f"no{ESCAPES}"),
        ("evaluate", f"no{ESCAPES}"),
        (f"no{ESCAPES}",),
        ("train", "digits", f"--no{ESCAPES}"),
        ("train", "digits", "--set", f"model.x{ESCAPES}=1"),
        ("train", "digits", "--seed", ESCAPES),
    ):
        _, out, err = run(*arguments)
        for character in "\x1b\x9b\x07\u202e\r":
            assert character not in out + err, (arguments, out, err)
        assert "Traceback" not in err
    rows = json.loads(run("circuits", "list", "--json")[1])["circuits"]
    assert f"a{ESCAPES}" in {row["summary"] for row in rows}  # data is exact, and JSON has its own spelling


def test_plain_text_keeps_everything_but_what_is_obeyed():
    assert plain("a\tb\nc é 量子 δ_1") == "a\tb\nc é 量子 δ_1"
    assert plain(f"<{ESCAPES}>") == "<redlinkback>"
    assert one_line("a\r\n  b\x1b[K\n") == "a b"
    assert plain("\x1b]0;never closed") == ""


def test_a_circuits_formulas_stay_formulas(tmp_path):

    from qlam_qiskit.circuit_drawing import draw_with_matplotlib

    good, bad = QuantumCircuit(1, name="g"), QuantumCircuit(1, name="$\\bad$")
    for circuit in (good, bad):
        circuit.h(0)
    outer = QuantumCircuit(1)
    outer.append(good.to_gate(), [0])
    texts = draw_with_matplotlib(outer).findobj(lambda artist: hasattr(artist, "get_parse_math"))
    assert any(text.get_parse_math() for text in texts if text.get_text())
    outer.append(bad.to_gate(label="$\\bad$"), [0])
    texts = draw_with_matplotlib(outer).findobj(lambda artist: hasattr(artist, "get_parse_math"))
    assert not any(text.get_parse_math() for text in texts if text.get_text())
