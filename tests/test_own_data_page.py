"""The page on one's own data: its blocks run as they stand, in order, in an empty folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "own-data.md"
BLOCKS = re.findall(r"^```(sh|python|yaml)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_every_block_runs(tmp_path):
    programs = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QLAM_")}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    first = next(block for kind, block in BLOCKS if kind == "yaml")
    (tmp_path / "vibrations.yaml").write_text(first, encoding="utf-8")
    for kind, block in BLOCKS:
        if kind == "yaml":
            continue
        command = ["bash", "-euc", block] if kind == "sh" else [sys.executable, "-W", "error", "-c", block]
        finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert finished.returncode == 0, f"{block}\n{finished.stderr}"
    result = json.loads((tmp_path / "runs/vibrations/result.json").read_text(encoding="utf-8"))
    assert result["test_accuracy"] > 0.8
    assert "</html>" in (tmp_path / "runs/vibrations/report.html").read_text(encoding="utf-8")
    evaluations = (tmp_path / "runs/vibrations/evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["backend"] for line in evaluations] == ["aer_shots", "fake_torino"]
    result = json.loads((tmp_path / "runs/wear/result.json").read_text(encoding="utf-8"))
    assert result["test_nrmse"] < 1 and result["test_r2"] > 0
