"""What a shell may complete: names of experiments, comparisons, circuits, backends, runs and submissions.

Nothing is printed and nothing raised while a line is being typed: where a name cannot be listed, none is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from qlam_qiskit.redaction import one_line

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(names: Callable[[click.Context], Iterable[str]], *, files: bool = False) -> Completer:
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            # A name that a terminal would obey is not offered.
            found = sorted({name for name in names(context) if name.startswith(incomplete) and one_line(name) == name})
        except Exception:  # of files that are being edited, for one
            found = []
        items = [CompletionItem(name) for name in found]
        return items if items or not files else [CompletionItem(incomplete, type="file")]

    return complete


def _experiments(context: click.Context) -> Iterable[str]:
    from qlam_qiskit.runs import find_experiments

    return find_experiments()


def _comparisons(context: click.Context) -> Iterable[str]:
    from qlam_qiskit.compare import find_comparisons

    return find_comparisons()


def _circuits(context: click.Context) -> Iterable[str]:
    from qlam_qiskit.templates import find_templates

    return find_templates(context.params.get("path"))


def _backends(context: click.Context) -> Iterable[str]:
    from qlam_qiskit.backends import load_registry

    given = context.params.get("backends_file")
    return load_registry(Path(given) if given else None).backends


def _runs(context: click.Context) -> Iterable[str]:
    from qlam_qiskit.runs import find_pretrained
    from qlam_qiskit.workspace import run_names, workspace

    names = run_names()
    return [*names, *(str(workspace() / name) for name in names), *(f"pretrained:{name}" for name in find_pretrained())]


def _submissions(context: click.Context) -> Iterable[str]:
    from qlam_qiskit.jobs import Ledger
    from qlam_qiskit.workspace import workspace

    if not (workspace() / "ledger.sqlite").is_file():
        return []
    with Ledger() as ledger:
        return [record.id for record in ledger.submissions()]


def _figures(context: click.Context) -> Iterable[str]:
    from qlam_qiskit.report import FIGURES

    return FIGURES


def _trackers(context: click.Context) -> Iterable[str]:
    from qlam_qiskit.tracking import TRACKERS

    return TRACKERS


experiment_names = _completer(_experiments, files=True)
comparison_names = _completer(_comparisons, files=True)
circuit_names = _completer(_circuits, files=True)
backend_names = _completer(_backends)
run_names = _completer(_runs, files=True)
submission_ids = _completer(_submissions)
figure_names = _completer(_figures)
tracker_names = _completer(_trackers)
