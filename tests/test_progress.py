"""Bars: totals that are true, and lines that stand for themselves."""

import io

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
