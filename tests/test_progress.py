"""Bars: totals that are true, and lines that stand for themselves."""

import io
import os
import re
import sys

import pytest
from rich.console import Console

from qlam_qiskit import progress
from qlam_qiskit.progress import SampleBar


def test_a_bar_has_its_total_and_time_left_and_lines_beside_it(monkeypatch):
    stream = io.StringIO()

    def terminal(**options):
        return Console(file=stream, force_terminal=True, width=80, color_system=None, highlight=False)

    monkeypatch.setattr(progress, "Console", terminal)
    with SampleBar("evaluating") as bar:
        bar.say("12 samples on device: 3 jobs [1/2]")
        bar.progress(0, 3)
        bar.progress(2, 3)
        bar._bar.refresh()
        shown = stream.getvalue()
    lines = [line.split("\x1b[2K")[-1].strip() for line in shown.replace("\r", "\n").splitlines()]
    assert "12 samples on device: 3 jobs [1/2]" in lines
    assert "/?" not in shown
    (last,) = [line for line in lines if "2/3" in line][-1:]
    assert last.startswith("evaluating ")
    assert last.index("gone,") < last.index("left")


def test_without_a_terminal_only_lines_are_printed(capsys):
    with SampleBar("evaluating") as bar:
        bar.progress(1, 2)
        bar.say("a line that is longer than eighty characters and is not to be broken into two of them")
    assert capsys.readouterr().err == (
        "a line that is longer than eighty characters and is not to be broken into two of them\n"
    )


_THROUGH_THE_DOOR = """
from qlam_qiskit.cli.door import open_door
open_door()
from qlam_qiskit.progress import SampleBar, TrainingBar
with TrainingBar(1) as bar:
    bar.compiling(1, 4, 9)
    for step in range(3):
        bar.step(step + 1, 3, 1, 0.5, 0.75)
        bar._progress.refresh()
    bar.epoch({"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.75, "seconds": 1.0})
with SampleBar("evaluating") as bar:
    for done in range(3):
        bar.progress(done, 2)
        bar._bar.refresh()
"""


def test_bars_of_the_command_line_are_redrawn_in_place():
    """On a terminal, behind the door that lets no control sequence of others pass."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    process, terminal = pty.fork()
    if process == 0:
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
        os.execve(sys.executable, [sys.executable, "-c", _THROUGH_THE_DOOR], environment)
    written = b""
    try:
        while part := os.read(terminal, 1 << 16):
            written += part
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(terminal)
    assert os.waitpid(process, 0)[1] == 0, written.decode()
    frames = re.split(r"\r\x1b\[2K|\r\n", written.decode())
    frames = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame).strip() for frame in frames]
    assert max(map(len, frames)) <= 80
    assert all(len(re.findall("starting|compiling the|loops done|accuracy|evaluating", frame)) <= 1 for frame in frames)
    lines = [frame for frame in frames if frame and "\u2501" not in frame]
    assert lines == [
        "compiling the exact engine for this machine: once, about 9 s",
        "epoch   1/1  loss 0.5000  accuracy 75.00%  1.0 s",
    ]
