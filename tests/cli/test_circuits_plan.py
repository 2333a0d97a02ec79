"""``qlam circuits plan`` as a user meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from qlam_qiskit.cli import qlam
from qlam_qiskit.errors import CircuitError

CIRCUITS = Path(__file__).parent.parent.parent / "circuits"


def _plan(*arguments, **options):
    return CliRunner(env={"COLUMNS": "100"}).invoke(qlam, ["circuits", "plan", *arguments], **options)


def test_people_see_the_fused_operations_and_what_they_cost():
    result = _plan("ring", "--qubits", "6")
    assert result.exit_code == 0
    out = " ".join(result.output.split())
    assert "ring on 6 qubits" in out
    assert "One step: 24 gates (6 ry, 6 rz, 6 rzz, 6 rx) become 13 operations" in out
    assert "rotate Y qubits 0-5 per sample 6 ry 1,536 3,858" in out
    assert "phase 6 Z strings, table of 64 shared 6 rzz 256 704" in out
    assert "total 4,032 9,684" in out
    assert "One query: 12 gates (6 rz, 6 ry)" in out
    assert "16 samples side by side, in single precision, take 8 KiB forward" in out


def test_json_is_one_object():
    plan = json.loads(_plan("brickwork", "--qubits", "3", "--option", "layers=2", "--json").output)
    assert (plan["circuit"], plan["qubits"], plan["lanes"], plan["state_kib"]) == ("brickwork", 3, 16, 1)
    for part in ("update", "query"):
        lines = plan[part]["lines"]
        assert plan[part]["forward"] == sum(line["forward"] for line in lines) > 0
        assert plan[part]["backward"] == sum(line["backward"] for line in lines)
        assert {"kind", "what", "angles", "gates"} < lines[0].keys()
    assert plan["update"]["gates"]["ry"] == 3


def test_gates_that_leave_no_operation_are_named(tmp_path):
    own = tmp_path / "own.py"
    source = (CIRCUITS / "line.py").read_text()
    own.write_text(
        source.replace("    return MemoryCircuit", "    update.cx(0, 1)\n    update.cx(0, 1)\n    return MemoryCircuit")
    )
    result = _plan("own", "--path", str(own))
    assert "Of 2 gates (2 cx) no operation is left." in result.output


@pytest.mark.parametrize(
    ("arguments", "message"), [(["star"], "unknown circuit template"), (["ring", "--qubits", "17"], "17")]
)
def test_a_mistake_is_named(arguments, message):
    result = _plan(*arguments)
    assert result.exit_code != 0
    assert message in f"{result.output}{result.exception}"


def test_a_gate_that_the_engine_lacks_is_named(tmp_path):
    own = tmp_path / "own.py"
    source = (CIRCUITS / "line.py").read_text()
    opaque = "    from qiskit.circuit import Gate\n\n    update.append(Gate('magic', 1, []), [0])\n"
    own.write_text(source.replace("    return MemoryCircuit", f"{opaque}    return MemoryCircuit"))
    result = _plan("own", "--path", str(own))
    assert isinstance(result.exception, CircuitError)
    assert "'magic' on qubits [0] is not supported" in str(result.exception)


def test_a_memory_with_channels_is_the_open_engines():
    result = _plan("damped_ring", "--qubits", "3")
    assert result.exit_code == 0
    out = " ".join(result.output.split())
    assert "damped_ring on 3 qubits, as the open engine runs it" in out
    assert "3 xx_plus_yy, 3 measure, 3 reset) become 15 operations" in out
    assert "turn Y qubits 0-2 per sample 3 ry 192 672" in out
    assert "turn ZZ qubits 0-1, 1-2, 0-2 shared 3 rzz" in out
    assert "damp qubits 0-2 shared 3 xx_plus_yy, 3 measure, 3 reset 204 600" in out
    assert "takes 4 KiB" in out
    plan = json.loads(_plan("damped_line", "--qubits", "4", "--json").output)
    assert (plan["lanes"], plan["state_kib"]) == (8, 8)
    assert plan["update"]["forward"] == sum(line["forward"] for line in plan["update"]["lines"]) > 0
