"""The tutorial's blocks run as they stand, in order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", TUTORIAL.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_every_block_runs(tmp_path):
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for name in ("QLAM_HOME", "QLAM_BACKENDS", "QLAM_DATA"):
        environment.pop(name, None)
    assert {kind for kind, _ in BLOCKS} == {"sh", "python"}
    for kind, block in BLOCKS:
        command = ["bash", "-euc", block] if kind == "sh" else [sys.executable, "-W", "error", "-c", block]
        finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert finished.returncode == 0, f"{block}\n{finished.stderr}"
    assert "</html>" in (tmp_path / "runs/rows/report.html").read_text(encoding="utf-8")
    assert list((tmp_path / "runs/rows/figures").glob("confusion*.svg"))
    assert len((tmp_path / "runs/rows/evaluations.jsonl").read_text(encoding="utf-8").splitlines()) == 3
