"""Names and descriptions are text: brackets are no markup, dollars no formulas."""

import json
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qlam_qiskit.report.figures import draw_circuit, draw_confusion, draw_evaluations
from qlam_qiskit.report.history import Accuracy, Evaluation
from qlam_qiskit.report.style import as_file, as_inline_svg

ODD = ["[/x]", "[bold]", "[red", ":smile:", r"$\bad$", "$x^$", "<b>&amp;"]


@pytest.mark.parametrize("text", ODD)
def test_tables_show_what_files_say(run, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("experiments").mkdir()
    Path("experiments/odd.yaml").write_text(f"description: {json.dumps(text)}\ndata: {{dataset: digits}}\n")
    Path("circuits").mkdir()
    Path("circuits/odd.py").write_text(f'r"""{text} is its summary."""\n')
    Path("backends.yaml").write_text(
        f"default: {json.dumps(text)}\nbackends: {{{json.dumps(text)}: {{kind: exact}}}}\n"
    )
    for command in ("experiments", "circuits", "backends"):
        status, out, err = run(command, "list")
        assert status == 0, err
        assert text in out


@pytest.mark.parametrize("text", ODD)
def test_figures_show_names_as_they_are(text):
    confusion = draw_confusion(np.eye(2, dtype=int), (text, "b"))
    evaluations = draw_evaluations([Evaluation(text, None, Accuracy(0.5, 10), False)])
    for figure in (confusion, evaluations):
        as_file(figure, "png")
        as_inline_svg(figure, "name", text)


def test_a_circuit_whose_names_are_no_formulas_is_drawn_all_the_same(run, tmp_path, monkeypatch):
    update = QuantumCircuit(1)
    update.rx(Parameter(r"$\bad$"), 0)
    as_file(draw_circuit(update), "png")
    monkeypatch.chdir(tmp_path)
    Path("circuits").mkdir()
    Path("circuits/odd.py").write_text(
        "from qiskit import QuantumCircuit\nfrom qiskit.circuit import Parameter\n"
        "from qlam_qiskit.memory_circuit import MemoryCircuit\n"
        "def build(num_qubits):\n    x = Parameter(r'$\\bad$')\n    c = QuantumCircuit(1)\n    c.rx(x, 0)\n"
        "    return MemoryCircuit(c, [x], [])\n"
    )
    status, _, err = run("circuits", "draw", "odd", "--out", "odd.png")
    assert status == 0, err
