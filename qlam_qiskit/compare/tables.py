"""The table of a comparison, from its records alone: as JSON for programs and as Markdown for people."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, TypeAlias

from qlam_qiskit.compare.records import Records, unpack
from qlam_qiskit.compare.settings import Comparison, Contestant, Figure, SearchSettings
from qlam_qiskit.compare.statistics import mean_and_deviation, paired_t, sign_test
from qlam_qiskit.errors import RunError
from qlam_qiskit.workspace import write_file

Table: TypeAlias = list[dict[str, Any]]


def write_tables(comparison: Comparison, name: str, records: Records) -> None:
    """Write table.json and table.md beside the records."""
    table = make_table(comparison, records)
    write_file(records.folder / "table.json", json.dumps(table, indent=1) + "\n")
    write_file(records.folder / "table.md", to_markdown(comparison, name, table))


def make_table(comparison: Comparison, records: Records) -> Table:
    """Return one entry for each case: its rows, and how the reference stands to the best baseline.

    Accuracies and their deviations are fractions, seconds those of one run's training.
    """
    runs = records.runs()
    table = []
    for case in comparison.cases():
        found = {model: _of(runs, case.name, model) for model in comparison.models}
        found = {model: own for model, own in found.items() if own}
        if not found:
            continue
        rows = [_row(model, own) for model, own in found.items()]
        rows.sort(key=lambda row: (row["model"] != comparison.reference, -row["test_accuracy"]))
        test = _test(comparison, rows, found)
        one = next(iter(found.values()))[0]
        sizes = {key: one[key] for key in ("task", "train_samples", "test_samples")}
        table.append({"case": case.name, **sizes, "rows": rows, "test": test})
    return table


def to_markdown(comparison: Comparison, name: str, table: Table) -> str:
    """Write a table as Markdown, with the budget before it and the tests and sources after it."""
    lines = [_budget(comparison, name, table), ""]
    ahead = f"{comparison.models[comparison.reference].label} minus it"
    titles = ["task", "model", "parameters", "test accuracy, %", ahead, "seeds", "chosen", "s per run"]
    lines += [f"| {' | '.join([*titles, 'paper, %', 'published, %'])} |", "|" + "---|" * (len(titles) + 2)]
    sources: dict[str, None] = {}
    for entry in table:
        task = f"{entry['task']} {entry['case']}".strip()
        for row in entry["rows"]:
            contestant = comparison.models[row["model"]]
            cells = [
                task,
                contestant.label,
                f"{row['parameters']:,}",
                format_percent(row["test_accuracy"], row["deviation"]),
                _difference(comparison.reference, entry, row),
                str(len(row["seeds"])),
                _chosen(row),
                f"{row['train_seconds']:.0f}",
                format_figure(contestant.paper),
                format_figure(contestant.published),
            ]
            lines.append(f"| {' | '.join(cells)} |")
            sources |= dict.fromkeys(_sources(contestant))
    tests = [sentence(comparison, entry) for entry in table if entry["test"]]
    lines += ["", *tests] if tests else []
    lines += ["", f"Reported elsewhere, of other sizes and training: {'; '.join(sources)}."] if sources else []
    return "\n".join(lines) + "\n"


def behind(comparison: Comparison, entry: dict[str, Any]) -> list[str]:
    """Name the models of a case whose mean test accuracy is above the reference's, the best first."""
    rows = [row for row in entry["rows"] if _ahead_by(comparison.reference, entry, row) < 0]
    return [comparison.models[row["model"]].label for row in rows]


def _ahead_by(reference: str, entry: dict[str, Any], row: dict[str, Any]) -> float:
    """Return how far the reference's accuracy is above that of a row; 0 where it has not run."""
    ours = next((one["test_accuracy"] for one in entry["rows"] if one["model"] == reference), row["test_accuracy"])
    return ours - row["test_accuracy"]


def _difference(reference: str, entry: dict[str, Any], row: dict[str, Any]) -> str:
    """Write how far the reference is above a row in percentage points, in bold where it is behind."""
    if row["model"] == reference or entry["rows"][0]["model"] != reference:
        return ""
    points = 100 * _ahead_by(reference, entry, row)
    return f"**{points:+.2f}**" if points < 0 else f"{points:+.2f}"


def _chosen(row: dict[str, Any]) -> str:
    """Write what the search has found: the factor of the rates, and alternatives taken."""
    taken = (f"{key.rpartition('.')[2]} {value}" for key, value in row["variant"].items())
    return ", ".join([f"rates x{row['multiplier']:g}", *taken])


def _of(runs: list[dict[str, Any]], case: str, model: str) -> list[dict[str, Any]]:
    own = [run for run in runs if (run["case"], run["model"]) == (case, model)]
    return sorted(own, key=lambda run: run["seed"])


def _row(model: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    mean, deviation = mean_and_deviation([run["test_accuracy"] for run in runs])
    return {
        "model": model,
        "parameters": runs[0]["parameters"],
        "test_accuracy": mean,
        "deviation": deviation,
        "validation_accuracy": mean_and_deviation([run["validation_accuracy"] for run in runs])[0],
        "seeds": [run["seed"] for run in runs],
        "multiplier": runs[0]["multiplier"],
        "variant": runs[0].get("variant", {}),
        "train_seconds": mean_and_deviation([run["train_seconds"] for run in runs])[0],
    }


def _test(
    comparison: Comparison, rows: list[dict[str, Any]], found: dict[str, list[dict[str, Any]]]
) -> dict[str, Any] | None:
    """Compare the reference with the baseline of highest mean validation accuracy, over the seeds that both have."""
    reference = comparison.reference
    baselines = [row for row in rows if row["model"] in comparison.baselines]
    if reference not in found or not baselines:
        return None
    best = max(baselines, key=lambda row: row["validation_accuracy"])["model"]
    ours, theirs = ({run["seed"]: run for run in found[model]} for model in (reference, best))
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    paired = paired_t(*([side[seed]["test_accuracy"] for seed in seeds] for side in (ours, theirs)))
    samples = []
    for seed in seeds:
        answers = [unpack(side[seed]["correct"]) for side in (ours, theirs)]
        if answers[0].shape != answers[1].shape:
            raise RunError(
                f"{reference} and {best} with seed {seed} were tested on other samples; train one of them again"
            )
        samples.append({"seed": seed, **asdict(sign_test(*answers))})
    return {"baseline": best, "seeds": None if paired is None else asdict(paired), "samples": samples}


def _budget(comparison: Comparison, name: str, table: Table) -> str:
    training, search = comparison.training, comparison.search
    multipliers = ", ".join(f"{multiplier:g}" for multiplier in search.multipliers)
    samples = f"{table[0]['train_samples']:,} training and {table[0]['test_samples']:,} test samples, " if table else ""
    return (
        f"`qlam compare {name}`: {samples}{_epochs(training.epochs)}, batches of {training.batch_size}, "
        f"{training.validation_fraction:.0%} of the training samples held out to choose the best epoch; parameters "
        f"within {comparison.budget.tolerance:.0%} of one budget; learning rates times {multipliers}, chosen by "
        f"validation accuracy after {_trials(search)}; {_alternatives(comparison)}"
        f"seconds with threads: {comparison.threads}."
    )


def _trials(search: SearchSettings) -> str:
    full = "the whole training with the first seed"
    if not search.epochs:
        return full
    short = f"{_epochs(search.epochs)} on the first {search.train_limit:,} training samples"
    return f"{short}, and of the best and the next smaller one after {full}" if search.confirm else short


def _alternatives(comparison: Comparison) -> str:
    """Say what is tried beside rates, and for which models."""
    listed = []
    for contestant in comparison.models.values():
        tried = [f"{key} {value}" for key, values in contestant.alternatives.items() for value in values]
        listed += [f"{contestant.label} ({', '.join(tried)})"] if tried else []
    return f"then, one after the other, for {'; '.join(listed)}; nothing but rates for the others; " if listed else ""


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


def sentence(comparison: Comparison, entry: dict[str, Any]) -> str:
    """Say how the reference stands to the best baseline of a case: over seeds, and over test samples."""
    test = entry["test"]
    reference, baseline = (comparison.models[model].label for model in (comparison.reference, test["baseline"]))
    task = f"{entry['task']} {entry['case']}".strip()
    text = f"{task}: {reference} against {baseline}, the best baseline: "
    paired = test["seeds"]
    if paired is None:
        text += "one seed, so no test over seeds"
    elif paired["t"] is None:
        text += f"{100 * paired['difference']:+.2f} points over {paired['seeds']} seeds, always the same"
    else:
        text += (
            f"{100 * paired['difference']:+.2f} points over n = {paired['seeds']} seeds, paired t = {paired['t']:.2f}, "
            f"df = {paired['degrees']}, p = {paired['p']:.2g}"
        )
    samples = "; ".join(
        f"seed {one['seed']}: {one['only_first']} better by {reference}, {one['only_second']} by {baseline}, "
        f"p = {one['p']:.2g}"
        for one in test["samples"]
    )
    return f"{text}. Test samples (exact sign test): {samples}."


def format_percent(mean: float, deviation: float | None) -> str:
    """Write an accuracy and its deviation, fractions, in percent."""
    return f"{100 * mean:.2f}" + (f" +- {100 * deviation:.2f}" if deviation is not None else "")


def format_figure(figure: Figure | None) -> str:
    """Write an accuracy that was reported elsewhere; empty where there is none."""
    if figure is None:
        return ""
    return f"{figure.accuracy}" + (f" +- {figure.deviation}" if figure.deviation is not None else "")


def _sources(contestant: Contestant) -> list[str]:
    return [f"{contestant.label} {format_figure(figure)} ({figure.source})" for figure in contestant.figures]
