"""Figures show the numbers that they are given, and are written the same way every time."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from qlam_qiskit.report.figures import (
    draw_circuit,
    draw_confusion,
    draw_evaluations,
    draw_fit,
    draw_mistakes,
    draw_strip,
    draw_training,
)
from qlam_qiskit.report.findings import Attention, Sample
from qlam_qiskit.report.history import Accuracy, Evaluation, TrainingCurves
from qlam_qiskit.report.memory import MemoryTrace
from qlam_qiskit.report.memory_figures import draw_attention, draw_memory, draw_readouts
from qlam_qiskit.report.style import INK, MUTED, SERIES, as_file, as_inline_svg
from qlam_qiskit.report.tokens import Shown
from qlam_qiskit.templates import load_template


def sample(image=True, answers=("b",)):
    strip = np.linspace(0, 1, 16)[None]
    shown = Shown(strip, strip.reshape(4, 4), pixels=np.arange(16)[:, None]) if image else Shown(strip)
    return Sample(3, shown, ("a",) * len(answers), answers, 0.75)


def trace(name="", purities=None):
    return MemoryTrace(name, np.linspace(0, 1, 34).reshape(17, 2), np.linspace(0.1, 1, 17), purities or {})


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def titles(figure):
    return [axis.get_title(loc="left") for axis in figure.axes]


def test_curves_are_the_metrics():
    figure = draw_training(
        TrainingCurves(np.arange(1, 4), np.array([3.0, 2, 1]), np.array([0.1, 0.5, 0.9]), None, None, 2)
    )
    loss, accuracy = figure.axes
    assert loss.lines[0].get_ydata().tolist() == [3, 2, 1]
    assert accuracy.lines[0].get_ydata().tolist() == [0.1, 0.5, 0.9]
    assert loss.lines[-1].get_xdata() == [2, 2]  # the epoch that was kept
    assert loss.get_legend() is None


def test_numbers_at_every_step_are_drawn_as_courses_too():
    rng = np.random.default_rng(0)
    labels, predicted = rng.normal(size=(2, 4, 9, 2))
    labels[:, :3] = np.nan
    figure = draw_fit(labels, predicted, ("x", "y"), (2, 0))
    assert len(figure.axes) == 4
    assert titles(figure) == ["x", "y", "x, test sample 2", "x, test sample 0"]
    true, found = figure.axes[2].lines
    assert true.get_xdata().tolist() == list(range(1, 10))
    assert np.array_equal(true.get_ydata(), labels[2, :, 0], equal_nan=True)
    assert found.get_ydata()[3:].tolist() == predicted[2, 3:, 0].tolist()
    assert np.isnan(found.get_ydata()[:3]).all()
    assert len(draw_fit(labels, predicted, ("x", "y")).axes) == 2


def test_confusions_are_written_where_they_happened():
    figure = draw_confusion(np.array([[7, 0], [3, 5]]), ("cat", "dog"))
    (axis,) = figure.axes
    assert {text.get_position(): text.get_text() for text in axis.texts} == {(0, 0): "7", (0, 1): "3", (1, 1): "5"}
    diagonal = next(patch for patch in axis.patches if patch.get_xy() == (0.53, 0.53))
    assert diagonal.get_alpha() == pytest.approx(0.58 * 5 / 8)


def test_many_classes_have_no_numbers():
    assert texts(draw_confusion(np.eye(40, dtype=int), tuple(map(str, range(40))))) == []


def test_mistakes_name_truth_and_answer():
    assert titles(draw_mistakes([sample()] * 5))[:5] == ["a\nas b, 75%"] * 5
    assert titles(draw_mistakes([sample(image=False, answers=("b", "a"))])) == ["a a, answered b a, 75%"]


def test_backends_stand_at_their_accuracy_with_their_interval():
    found = Evaluation("noisy", 64, Accuracy(0.8, 50), mitigated=False)
    (axis,) = draw_evaluations([found]).axes
    interval, point = axis.lines
    assert point.get_xdata() == [0.8]
    assert tuple(interval.get_xdata()) == found.accuracy.interval


def test_the_exact_engine_on_the_same_samples_is_marked_beside_shots():
    here = Evaluation("exact", None, Accuracy(0.9, 50), mitigated=False, exact=0.9)
    there = Evaluation("noisy", 64, Accuracy(0.8, 50), mitigated=False, exact=0.9)
    (axis,) = draw_evaluations([here, there]).axes
    *_, mark = axis.lines
    assert len(axis.lines) == 5
    assert (list(mark.get_xdata()), list(mark.get_ydata()), mark.get_marker()) == ([0.9], [1], "|")


def test_tokens_of_several_pixels_stand_apart_beside_their_image():
    image = np.linspace(0, 1, 64).reshape(8, 8)
    rows = Shown(image.T, image, pixels=np.arange(64).reshape(8, 8))
    figure = Figure()
    axis = figure.subplots()
    draw_strip(axis, rows)
    drawn = np.ma.filled(axis.images[0].get_array(), np.nan).reshape(8, 8, 6)
    np.testing.assert_array_equal(drawn[..., 2], image.T)
    assert np.isnan(drawn[..., 5]).all()  # transparent
    (beside,) = axis.child_axes
    np.testing.assert_array_equal(beside.images[0].get_array(), image)
    assert beside.get_aspect() == 1
    pixels = figure.subplots()
    draw_strip(pixels, Shown(image.reshape(1, 64), image, pixels=np.arange(64).reshape(64, 1)))
    assert not pixels.child_axes
    assert pixels.images[0].get_array().shape == (1, 64)


def test_a_figure_says_which_of_many_registers_are_drawn():
    drawn = titles(draw_memory(sample(), [trace(f"register {k}") for k in range(1, 7)]))
    assert "overlap with the last state (of 6 registers the first 4)" in drawn
    assert sum("register" in title for title in drawn) == 5
    assert Attention(np.zeros((2, 16)), np.zeros((3, 6, 4, 16))).panels == 26


def test_a_memory_is_drawn_register_by_register():
    purity = np.linspace(1, 0.3, 17)
    figure = draw_memory(sample(), [trace("register 1", {"FakeTorino": purity}), trace("register 2")], (8, 16))
    drawn = dict(zip(titles(figure), figure.axes, strict=False))
    np.testing.assert_allclose(
        drawn["entanglement of each qubit (bits), register 2"].images[0].get_array(), trace().entropies.T
    )
    np.testing.assert_allclose(drawn["overlap with the last state"].lines[0].get_ydata(), trace().overlaps)
    curve, floor = drawn["purity under noise"].lines
    np.testing.assert_allclose(curve.get_ydata(), purity)
    assert floor.get_ydata() == [0.25, 0.25]
    assert "purity under noise" not in titles(draw_memory(sample(), [trace()]))


def test_attention_lies_over_the_image():
    attention = Attention(np.arange(16.0)[None], np.ones((2, 1, 2, 16)), (8, 16))
    figure = draw_attention(sample(), attention)
    assert [title for title in titles(figure) if title] == ["the image", "logit of b", "query 1", "query 2"]
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), np.arange(16.0).reshape(4, 4))
    np.testing.assert_allclose(figure.axes[2].images[0].get_array(), np.full((4, 4), np.sqrt(2)))
    assert [title for title in titles(draw_readouts(sample(), attention)) if title] == ["after 8", "after 16"]


def test_attention_without_an_image_has_a_row_for_each_answer_and_query():
    attention = Attention(np.vstack([np.arange(16.0), np.zeros(16)]), np.ones((1, 2, 1, 16)), (16,))
    _, rows = draw_attention(sample(image=False, answers=("b", "a")), attention).axes
    assert [label.get_text() for label in rows.get_yticklabels()] == [
        "logit of b",
        "logit of a",
        "register 1",
        "register 2",
    ]
    np.testing.assert_allclose(rows.images[0].get_array()[0], np.arange(16) / 15)
    np.testing.assert_allclose(rows.images[0].get_array()[1], 0)


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files_repeat_to_the_byte(kind, start):
    first, second = (as_file(draw_memory(sample(), [trace()]), kind) for _ in range(2))
    assert first.startswith(start)
    assert first == second


def test_the_circuit_is_drawn_without_leaving_figures_behind():
    from matplotlib import pyplot as plt

    before = plt.get_fignums()
    figure = draw_circuit(load_template("line", 3))
    assert any("theta" in text for text in texts(figure))
    assert plt.get_fignums() == before


def test_inline_figures_have_their_own_ids_and_the_pages_colours():
    svg = as_inline_svg(draw_memory(sample(), [trace()]), "memory-3", 'memory of "3" <&>')
    assert svg.startswith("<svg viewBox=")
    assert svg.endswith("</svg>")
    assert 'aria-label="memory of &quot;3&quot; &lt;&amp;>"' in svg
    assert "var(--series-1)" in svg
    assert "overlap with the last state</text>" in svg
    assert "font-family" not in svg
    assert all(name.startswith("memory-3-") for name in __import__("re").findall(r'id="([^"]*)"', svg))


def test_text_of_figures_stands_out_from_paper():
    from matplotlib.colors import to_rgb

    for colour in (INK, MUTED):
        assert 1.05 / (luminance(to_rgb(colour)) + 0.05) >= 4.5


def luminance(colour):
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot((0.2126, 0.7152, 0.0722), channels))


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_of_confusions_can_be_read(dark):
    """At least 4.5 to 1 on every shade, with the colours of the page in the light and in the dark."""
    from importlib.resources import files

    from matplotlib.colors import to_rgb

    sheet = (files("qlam_qiskit.report") / "report.css").read_text(encoding="utf-8").split("@media")[int(dark)]
    page = {name: np.array(to_rgb(value)) for name, value in re.findall(r"--([\w-]+): (#\w{6})", sheet)}
    figure = draw_confusion(np.array([[9, 1, 3], [9, 1, 0], [2, 0, 5]]), ("a", "b", "c"))
    (axis,) = figure.axes
    assert {to_rgb(text.get_color()) for text in axis.texts} == {to_rgb(INK)}
    for patch in axis.patches:
        series = page[f"series-{1 + SERIES.index(to_hex(patch.get_facecolor()))}"]
        shade = patch.get_alpha() * series + (1 - patch.get_alpha()) * page["paper"]
        low, high = sorted((luminance(shade), luminance(page["ink"])))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_a_training_of_one_epoch_has_whole_epochs_on_its_axis():
    curves = TrainingCurves(np.array([1]), np.array([2.0]), np.array([0.3]), None, None, 1)
    assert draw_training(curves).axes[1].get_xlim() == (0, 2)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_circuit_shows_what_comes_from_tokens_what_is_trained_and_where_a_step_ends(steps):
    memory = load_template("ring", 3)
    (axis,) = draw_circuit(memory, steps).axes
    shades = [to_hex(patch.get_edgecolor()) for patch in axis.patches]
    boxes = [to_hex(text.get_bbox_patch().get_edgecolor()) for text in axis.texts if text.get_bbox_patch()]
    assert shades.count(SERIES[0]) == memory.num_inputs * steps
    assert shades.count(SERIES[1]) + boxes.count(SERIES[1]) == memory.num_weights * steps
    assert sum("step" in text.get_text() for text in axis.texts) == steps
