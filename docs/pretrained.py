"""Keeps trained runs for the package, and writes the page about them.

``python docs/pretrained.py keep RUN NAME`` takes what the export of a finished run holds into
``qlam_qiskit/pretrained/NAME``, with the evaluations that it has by then; they are the figures on its card.
``card.yaml`` beside them is written by hand. ``python docs/pretrained.py page`` writes ``docs/pretrained.md`` from
both.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qlam_qiskit.runs import RunFolder, SavedRun, accuracies, export_run, find_pretrained

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "pretrained.md"
MOST_BYTES = 300_000

_NOT_KEPT = ("README.md", "report.html", "figures/")
_PREAMBLE = """\
# Trained memories

These runs come with the package. Each opens wherever a run is asked for, as `pretrained:NAME`: to evaluate, to plan and
to send, to look inside. They are never written to: what you find out about one is kept in `runs/pretrained/NAME`.
`qlam runs list --pretrained` shows them, `qlam runs show pretrained:NAME` one card, and `Run.open("pretrained:NAME")`
opens one in Python. Images that are missing are downloaded, as for any other run.

<!-- Written by python docs/pretrained.py page; the figures are the records in qlam_qiskit/pretrained. -->
"""


def keep(run: SavedRun, name: str) -> Path:
    """Write a run's folder into the package, but for its card, which stays as it is; returns the folder."""
    target = ROOT / "qlam_qiskit" / "pretrained" / name
    with tempfile.TemporaryDirectory() as place:
        export_run(run, Path(place) / "run.zip")
        with zipfile.ZipFile(Path(place) / "run.zip") as archive:
            files = {file.partition("/")[2]: archive.read(file) for file in archive.namelist()}
    files = {file: content for file, content in files.items() if not file.startswith(_NOT_KEPT)}
    if "evaluations.jsonl" in files:
        # They say where the run lay when it was evaluated, which is nowhere any more.
        rows = [{**row, "run": f"pretrained:{name}"} for row in run.evaluations]
        files["evaluations.jsonl"] = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    if (size := sum(map(len, files.values()))) > MOST_BYTES:
        raise SystemExit(f"{run.path}: {size:,} bytes, more than {MOST_BYTES:,}")
    for file, content in files.items():
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        (target / file).write_bytes(content)
    return target


def page() -> str:
    """Write the page about all of them, in Markdown."""
    lines = [_PREAMBLE, *_table()]
    for name in find_pretrained():
        lines += ["", f"## {name}", "", *_section(SavedRun(_shipped(name)))]
    return "\n".join([*lines, ""])


def _shipped(name: str) -> RunFolder:
    """Open one by its path: what its user has added is not on the page."""
    return RunFolder(find_pretrained()[name])


def _table() -> Iterator[str]:
    yield "| `pretrained:` | task | steps | parameters | without noise | with noise | size |"
    yield "|---|---|---|---|---|---|---|"
    for name, path in find_pretrained().items():
        description, (clean, noisy) = _shipped(name).description(), accuracies(_shipped(name))
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        figures = ", ".join(f"{_percent(accuracy)} on `{backend}`" for backend, accuracy in noisy.items())
        task = f"{description['task']} | {description['steps']} | {description['parameters']:,}"
        yield f"| `{name}` | {task} | {_percent(clean)} | {figures} | {size / 1000:.0f} kB |"


def _section(run: SavedRun) -> Iterator[str]:
    card, result = run.card, run.result
    if card is None or result is None:
        raise SystemExit(f"{run.path}: has no card.yaml, or training has not finished")
    yield from (card.about, "")
    yield from ("| test accuracy | samples | on | shots |", "|---|---|---|---|")
    trained = f"as trained ({result.get('test_noise') or 'no noise'}), saved statistics"
    commands = [("evaluate", f"pretrained:{run.path.name}")]
    yield f"| {_percent(result['test_accuracy'])} | {result['test_samples']:,} | {trained} | |"
    for row in run.evaluations:
        shots = f"{row['shots']:,}" if row["shots"] else "exact"
        mitigated = ", readout mitigated" if row.get("mitigated") else ""
        yield f"| {_percent(row['accuracy'])} | {row['samples']:,} | `{row['backend']}`{mitigated} | {shots} |"
        commands.append(_command(run.path.name, row, result["test_samples"]))
    yield from ("", "```sh", *(shlex.join(("qlam", *words)) for words in commands), "```", "")
    yield f"- **Data.** {card.data}"
    yield f"- **Training.** `{card.again}`. {card.hardware}"
    yield f"- **Good for.** {' '.join(card.good_for)}"
    yield f"- **Not for.** {' '.join(card.not_for)}"
    yield f"- **License.** {card.license}"


def _command(name: str, row: Mapping[str, Any], all_samples: int) -> tuple[str, ...]:
    """Return the command that gives an evaluation again."""
    words = ["evaluate", f"pretrained:{name}", "--backend", row["backend"]]
    if row["samples"] < all_samples:
        words += ["--limit", str(row["samples"])]
    return (*words, "--mitigate") if row.get("mitigated") else tuple(words)


def _percent(part: float) -> str:
    return f"{100 * part:.2f} %"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["keep", run, name]:
            print(keep(SavedRun.open(run), name))
        case ["page"]:
            PAGE.write_text(page(), encoding="utf-8")
        case _:
            raise SystemExit(__doc__)
