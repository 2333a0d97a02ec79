"""Figures of a run in a notebook: each drawn when it is asked for, and shown without a word to matplotlib."""

import struct
import sys

import pytest
from matplotlib.figure import Figure

from qlam_qiskit import QlamError, Run
from qlam_qiskit.errors import ConfigurationError


def test_a_figure_is_matplotlibs_and_a_notebook_shows_it(image_run):
    picture = Run.open(image_run).plot("training")
    assert isinstance(picture.figure, Figure)
    assert repr(picture) == "<Picture training>"
    png, said = picture._repr_png_()
    assert struct.unpack(">II", png[16:24])[0] == 2 * said["width"] == 2 * 96 * picture.figure.get_figwidth()


def test_a_sample_is_followed_by_its_number_and_only_what_is_needed_predicted(image_run):
    run, heard = Run.open(image_run), []
    picture = run.plot("memory", sample=7, progress=lambda *done: heard.append(done))
    assert picture.title == "memory-7"
    assert [done for done in heard if done[0] == "test samples"][-1] == ("test samples", 8, 8)
    assert [picture.title for picture in (run.plot("attention"), run.plot("readouts", sample=1))] == [
        "attention-0",
        "readouts-1",
    ]


def test_what_cannot_be_drawn_is_one_line(image_run, monkeypatch):
    run = Run.open(image_run)
    for asked, said in (
        (("memroy",), "unknown figure 'memroy'; available: training, .*; did you mean memory?"),
        (("memory", 80), r"no test sample 80: there are 80, numbered from 0"),
        (("memory", -1), r"sample: at least 0, not -1"),
        (("memory", "3"), r"sample: a whole number, not '3'"),
        (("rates",), r"rates: this memory is unitary: it has no rates of damping"),
    ):
        name, *sample = asked
        with pytest.raises(QlamError, match=said) as error:
            run.plot(name, sample=sample[0] if sample else 0)
        assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "pylatexenc", None)
    with pytest.raises(ConfigurationError, match=r"a figure needs pylatexenc.*'qlam-qiskit\[plot\]'"):
        run.plot("circuit")
