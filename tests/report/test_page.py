"""Reports as readers meet them: in a browser, without a network, on a laptop and on a phone."""

import html
import json
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser

import pytest

from qlam_qiskit.errors import ConfigurationError, QlamError, RunError
from qlam_qiskit.report import FIGURES, Findings, build_report, write_figures
from qlam_qiskit.runs import SavedRun

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to open the report with")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


# Of every text: its colour, made paler by all opacities, against the background painted behind it. Numbers in cells of
# the confusion matrix are tested with the figure.
MEASURE_CONTRAST = """addEventListener("load", () => {
  const parse = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const over = (top, alpha, under) => top.slice(0, 3).map((c, k) => alpha * c + (1 - alpha) * under[k]);
  const behind = element => {
    if (!element) return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
    const colour = parse(getComputedStyle(element).backgroundColor), alpha = colour.length > 3 ? colour[3] : 1;
    return alpha === 1 ? colour : over(colour, alpha, behind(element.parentElement));
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), faint = [];
  let texts = 0;
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    if (!text || element.closest("style, script") || !element.getClientRects().length) continue;
    texts += 1;
    const style = getComputedStyle(element), colour = parse(element.closest("svg") ? style.fill : style.color);
    let alpha = (colour.length > 3 ? colour[3] : 1) * (element.closest("svg") ? style.fillOpacity : 1);
    for (let each = element; each; each = each.parentElement) alpha *= getComputedStyle(each).opacity;
    const under = behind(element), both = [light(over(colour, alpha, under)), light(under)];
    const [low, high] = both.sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (!(contrast >= 4.5)) faint.push([text, contrast, style.fill, style.color]);
  }
  const scheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.title = JSON.stringify({ scheme, texts, faint });
})"""


class _Read(HTMLParser):
    """Collects the ids and addresses of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.addresses, self.text = Counter(), [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids[value] += 1
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.addresses.append((tag, value))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def images(image_run, tmp_path_factory):
    return build_report(image_run, out=tmp_path_factory.mktemp("page") / "images.html", samples=3)


@pytest.fixture(scope="module")
def symbols(symbol_run, tmp_path_factory):
    return build_report(symbol_run, out=tmp_path_factory.mktemp("page") / "symbols.html", samples=2, noise=["torino"])


@pytest.fixture(scope="module")
def baseline(baseline_run, tmp_path_factory):
    return build_report(baseline_run, out=tmp_path_factory.mktemp("page") / "baseline.html", samples=2)


@pytest.fixture(scope="module")
def forgetful(open_run, tmp_path_factory):
    return build_report(open_run, out=tmp_path_factory.mktemp("page") / "open.html", samples=2)


@pytest.fixture(params=["images", "symbols", "baseline", "forgetful"])
def report(request):
    return request.getfixturevalue(request.param)


def read(report):
    return _Read(report.files[0].read_text(encoding="utf-8"))


def test_every_figure_that_was_drawn_is_there_once(report):
    page = read(report)
    assert [name for name, count in page.ids.items() if count > 1] == []
    assert set(report.figures) <= set(page.ids)
    drawn = {re.sub(r"-\d+$", "", title) for title in report.figures}
    assert drawn | set(report.left_out) == set(FIGURES)
    assert report.files[0].stat().st_size < 4e6


def test_nothing_is_asked_of_the_network(report):
    page = report.files[0].read_text(encoding="utf-8")
    for tag, address in read(report).addresses:
        assert address.startswith(("#", "data:image/png;base64,")) or (tag, address) == (
            "a",
            "https://arxiv.org/abs/2605.13833",
        )
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page
    assert "<script" not in page


def test_what_applies_to_a_run_is_in_its_report(images, symbols, baseline):
    assert set(images.left_out) <= {"mistakes", "rates", "forgetting"}
    assert images.left_out["forgetting"] == "this memory is unitary: without errors it forgets nothing"
    assert {title.split("-")[0] for title in images.figures} >= {"training", "backends", "memory", "readouts"}
    assert symbols.left_out["readouts"] == "the memory is read once, at the end"
    assert baseline.left_out["memory"] == "this model has no quantum memory"
    assert {title.split("-")[0] for title in baseline.figures} >= {"training", "confusion", "attention"}


def test_the_page_says_what_was_measured(images, image_run):
    text = " ".join(" ".join(read(images).text).split())
    from qlam_qiskit.training import RunFolder

    result = RunFolder(image_run).result()
    assert f"{100 * result['test_accuracy']:.2f}" in text
    assert f"{result['parameters']:,}" in text
    assert "3 qubits" in text
    assert "Digits <by> patches" in text  # escaped in the page
    assert "Purity under noise" in text
    assert "FakeTorino" in text
    assert "purity under noise" in text  # in the figure too
    assert "64 shots, 20 samples" in text
    assert "arXiv 2605.13833" in text


def test_a_device_stands_beside_the_exact_engine_on_the_same_samples(images, image_run):
    found = {row.backend: row for row in Findings.of(SavedRun.open(image_run)).evaluations}
    expected = SavedRun.open(image_run).predict(limit=20).accuracy
    assert found["noisy"].exact == expected
    assert found["exact"].exact == pytest.approx(found["exact"].accuracy.value)
    text = " ".join(" ".join(read(images).text).split())
    assert "exact, on the same" in text
    assert f"noisy 64 20 {100 * found['noisy'].accuracy.value:.2f} % {100 * expected:.2f} %" in text.replace(
        "\u202f", " "
    )


def test_what_was_not_looked_at_has_no_exact_accuracy(image_run):
    found = {row.backend: row for row in Findings.of(SavedRun.open(image_run), limit=19).evaluations}
    assert found["noisy"].exact is None


def test_a_purity_that_was_asked_for_is_drawn(symbols):
    text = " ".join(read(symbols).text)
    assert "torino, register 2" in text
    assert "register 1: at the end" in text.lower()


def test_a_memory_that_forgets_is_shown_beside_itself_under_the_errors_it_was_trained_for(forgetful):
    text = " ".join(" ".join(read(forgetful).text).split())
    assert {"rates", "forgetting"} <= set(forgetful.figures)
    assert "half-life of each damped qubit" in text
    for shown in ("without errors", "FakeTorino (rows with *)", "r1 bit 1", "q1*", "fidelity with the last state"):
        assert shown in text
    assert "1 register reads the last token first" in text
    assert "steps taken; backwards: from right to left" in text
    assert "a mean over those since the reading before" in text
    assert "Purity under noise" not in text


def test_channels_without_trained_rates_are_shown_too(kraus_run, tmp_path):
    written = build_report(kraus_run, out=tmp_path / "page.html", samples=1, limit=5)
    text = " ".join(" ".join(read(written).text).split())
    assert written.left_out["rates"] == "no weight of this circuit is a rate of damping"
    assert "left out, as the memory has one qubit" in text
    assert "forgetting" in written.figures
    with pytest.raises(ConfigurationError, match=r"--noise FakeTorino: .* holds a channel of its own"):
        build_report(kraus_run, out=tmp_path / "again.html", noise=["FakeTorino"])


def test_the_same_run_gives_the_same_page(baseline, baseline_run, tmp_path):
    again = build_report(baseline_run, out=tmp_path / "again.html", samples=2)
    assert again.files[0].read_bytes() == baseline.files[0].read_bytes()


def open_page(page, folder, *flags):
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, page.as_uri()],
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@needs_chromium
@pytest.mark.parametrize("width", [390, 1440])
def test_a_browser_shows_it_without_overflow(report, width, tmp_path):
    page = report.files[0].read_text(encoding="utf-8")
    policy = re.search(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", page)[0]
    measure = """<script>addEventListener("load", () => {
      const root = document.documentElement, drawn = [...document.querySelectorAll("figure svg")];
      const figures = drawn.filter(svg => svg.getBoundingClientRect().height > 40).length;
      parent.postMessage([innerWidth, root.scrollWidth, figures].join(), "*");
    })</script>"""
    (tmp_path / "measured.html").write_text(page.replace(policy, measure), encoding="utf-8")
    # Windows have a least width, frames have none.
    frame = tmp_path / "frame.html"
    frame.write_text(f"""<!DOCTYPE html>
      <script>addEventListener("message", event => {{ document.title = event.data }})</script>
      <iframe src="measured.html" style="width: {width}px; height: 900px; border: 0"></iframe>""")
    shown = open_page(frame, tmp_path, "--window-size=1600,1000", "--virtual-time-budget=10000", "--dump-dom")
    inner, scrolled, figures = map(int, re.search(r"<title>(\d+),(\d+),(\d+)</title>", shown).groups())
    assert inner == width
    assert scrolled == width
    assert figures == len(report.figures)


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_it_stands_on(report, scheme, tmp_path):
    """At least 4.5 to 1, measured by the browser over every text of the page, its figures' texts included."""
    page = report.files[0].read_text(encoding="utf-8")
    policy = re.search(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", page)[0]
    (tmp_path / "measured.html").write_text(page.replace(policy, f"<script>{MEASURE_CONTRAST}</script>"))
    flags = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    shown = open_page(tmp_path / "measured.html", tmp_path, "--virtual-time-budget=10000", "--dump-dom", *flags)
    found = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", shown, re.DOTALL)[1]))
    assert found["scheme"] == scheme
    assert found["texts"] > 100
    assert found["faint"] == []


@needs_chromium
def test_a_browser_paints_it(images, tmp_path):
    from matplotlib.image import imread

    pictures = {}
    for name, flags in {"light": [], "dark": ["--blink-settings=preferredColorScheme=0"]}.items():
        target = tmp_path / f"{name}.png"
        open_page(images.files[0], tmp_path, "--window-size=1440,900", f"--screenshot={target}", *flags)
        pictures[name] = imread(target)
        assert pictures[name].shape[:2] == (900, 1440)
        assert pictures[name].std() > 0.05
    assert pictures["light"].mean() > 0.8
    assert pictures["dark"].mean() < 0.3


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_figures_are_written_for_papers(image_run, tmp_path, kind):
    written = write_figures(image_run, ["training", "circuit"], kind=kind, out=tmp_path / "new" / "figures")
    assert [path.name for path in written.files] == [f"training.{kind}", f"circuit.{kind}"]
    assert all(path.stat().st_size > 1000 for path in written.files)
    assert sorted(written.files) == sorted((tmp_path / "new" / "figures").iterdir())


def test_training_curves_need_neither_data_nor_weights(image_run, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(image_run, bare, ignore=shutil.ignore_patterns("checkpoints"))
    assert write_figures(bare, ["training", "backends"]).figures == ("training", "backends")


def test_all_figures_but_those_that_do_not_apply(baseline_run, tmp_path):
    written = write_figures(baseline_run, out=tmp_path, samples=1)
    assert "circuit" in written.left_out
    assert any(path.name.startswith("attention-") for path in written.files)


def test_a_figure_that_was_named_and_does_not_apply_is_an_error(baseline_run, tmp_path):
    with pytest.raises(QlamError, match="memory: this model has no quantum memory"):
        write_figures(baseline_run, ["memory"], out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_mistakes_of_the_caller_are_one_line(image_run, baseline_run, tmp_path):
    with pytest.raises(ConfigurationError, match="unknown figure 'curves'; available: training, backends"):
        write_figures(image_run, ["curves"])
    with pytest.raises(RunError, match="not a run folder"):
        build_report(tmp_path)
    with pytest.raises(QlamError, match="cannot be written: there is no folder"):
        build_report(image_run, out=tmp_path / "no" / "page.html")
    with pytest.raises(ConfigurationError, match="no fake device 'Tornio'"):
        build_report(image_run, noise=["Tornio"])
    with pytest.raises(ConfigurationError, match="--noise exact: that backend is no device"):
        build_report(image_run, noise=["exact"])
    with pytest.raises(QlamError, match="no quantum memory"):
        build_report(baseline_run, noise=["FakeTorino"])
    assert list(tmp_path.iterdir()) == []


def test_what_would_take_too_long_is_left_out_and_the_page_says_so(image_run, tmp_path, monkeypatch):
    monkeypatch.setattr("qlam_qiskit.report.findings.MOST_NUMBERS", 100)
    monkeypatch.setattr("qlam_qiskit.report.attention._MOST_WORK", 100)
    written = build_report(image_run, out=tmp_path / "page.html", samples=1, limit=5)
    assert written.left_out["memory"] == "16 states of 3 qubits are too many to keep (100 amplitudes fit)"
    assert written.left_out["readouts"] == "so many numbers are read that their derivatives would take minutes"
    assert written.left_out["memory"] in written.files[0].read_text()


def test_a_run_that_has_not_finished_has_a_report(symbol_run, tmp_path):
    unfinished = tmp_path / "run"
    shutil.copytree(symbol_run, unfinished)
    (unfinished / "result.json").unlink()
    written = build_report(unfinished, samples=1, limit=10)
    assert written.files == (unfinished / "report.html",)
    assert "training has not finished" in written.files[0].read_text()
