"""The table of a comparison, from its records alone: as JSON for programs and as Markdown for people."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, TypeAlias

from qlam_qiskit.compare.metric import Metric, metric_of
from qlam_qiskit.compare.records import Records
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

    Accuracies and their deviations are fractions. ``gain`` is by how much the reference is better than the row's model
    over the seeds that both have, in percentage points or NRMSE; seconds are those of one run's training.
    """
    runs, metric = records.runs(), metric_of(comparison)
    table = []
    for case in comparison.cases():
        found = {model: _of(runs, case.name, model) for model in comparison.models}
        found = {model: own for model, own in found.items() if own}
        if not found:
            continue
        rows = [_row(model, own, metric) for model, own in found.items()]
        ours = found.get(comparison.reference, [])
        for row in rows:
            others = found[row["model"]] if row["model"] != comparison.reference else []
            row["gain"] = _gain(ours, others, metric)
        rows.sort(key=lambda row: (row["model"] != comparison.reference, -metric.score(row[metric.test])))
        test = _test(comparison, rows, found)
        one = next(iter(found.values()))[0]
        sizes = {key: one[key] for key in ("task", "train_samples", "test_samples")}
        table.append({"case": case.name, **sizes, "rows": rows, "test": test})
    return table


def to_markdown(comparison: Comparison, name: str, table: Table) -> str:
    """Write a table as Markdown, with the budget before it and the tests and sources after it."""
    lines = [_budget(comparison, name, table), ""]
    ahead = f"{comparison.models[comparison.reference].label} better by"
    metric = metric_of(comparison)
    titles = ["task", "model", "parameters", metric.title, ahead, "seeds", "chosen", "s per run"]
    lines += [f"| {' | '.join([*titles, 'paper, %', 'published, %'])} |", "|" + "---|" * (len(titles) + 2)]
    sources: dict[str, None] = {}
    for entry in table:
        task = task_name(comparison, entry)
        for row in entry["rows"]:
            contestant = comparison.models[row["model"]]
            cells = [
                task,
                contestant.label,
                f"{row['parameters']:,}",
                metric.written(row[metric.test], row["deviation"]),
                _written_gain(row, metric),
                str(len(row["seeds"])),
                _chosen(row),
                written_seconds(row),
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
    """Name the models of a case that do better than the reference over the seeds that both have."""
    return [comparison.models[row["model"]].label for row in entry["rows"] if (row["gain"] or 0) < 0]


def _gain(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], metric: Metric) -> float | None:
    """Return by how much the first model is better over the seeds that both have; None where there are none."""
    first, second = ({run["seed"]: run[metric.test] for run in runs} for runs in (ours, theirs))
    gains = [metric.gain(first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]
    return mean_and_deviation(gains)[0] if gains else None


def _written_gain(row: dict[str, Any], metric: Metric) -> str:
    """Write by how much the reference is better than a row, in bold where it is behind."""
    if row["gain"] is None:
        return ""
    text = metric.said_gain(row["gain"]).partition(" ")[0]
    return f"**{text}**" if row["gain"] < 0 else text


def _chosen(row: dict[str, Any]) -> str:
    """Write what the search has found: the factor of the rates, and alternatives taken."""
    taken = (f"{key.rpartition('.')[2]} {value}" for key, value in row["variant"].items())
    return ", ".join([f"rates x{row['multiplier']:g}", *taken])


def written_seconds(row: dict[str, Any]) -> str:
    """Write how long a run of a row took, and whether all of them ran on a GPU."""
    return f"{row['train_seconds']:.0f}{' (GPU)' if row['gpu'] else ''}"


def task_name(comparison: Comparison, entry: dict[str, Any]) -> str:
    """Name a case."""
    vary = comparison.vary
    return entry["task"] if vary is None or vary.names_tasks else f"{entry['task']} {entry['case']}"


def _of(runs: list[dict[str, Any]], case: str, model: str) -> list[dict[str, Any]]:
    own = [run for run in runs if (run["case"], run["model"]) == (case, model)]
    return sorted(own, key=lambda run: run["seed"])


def _row(model: str, runs: list[dict[str, Any]], metric: Metric) -> dict[str, Any]:
    mean, deviation = mean_and_deviation([run[metric.test] for run in runs])
    on_processors = [run for run in runs if "gpu" not in run.get("environment", {})]
    return {
        "model": model,
        "parameters": runs[0]["parameters"],
        metric.test: mean,
        "deviation": deviation,
        metric.validation: mean_and_deviation([run[metric.validation] for run in runs])[0],
        "seeds": [run["seed"] for run in runs],
        "multiplier": runs[0]["multiplier"],
        "variant": runs[0].get("variant", {}),
        "train_seconds": mean_and_deviation([run["train_seconds"] for run in on_processors or runs])[0],
        "gpu": not on_processors,
    }


def _test(
    comparison: Comparison, rows: list[dict[str, Any]], found: dict[str, list[dict[str, Any]]]
) -> dict[str, Any] | None:
    """Compare the reference with the best baseline, over the seeds that both have.

    That is the one that does best on validation samples with its first seed, as further seeds are given.
    """
    reference, metric = comparison.reference, metric_of(comparison)
    baselines = [row for row in rows if row["model"] in comparison.baselines]
    if reference not in found or not baselines:
        return None
    best = max(baselines, key=lambda row: metric.score(found[row["model"]][0][metric.validation]))["model"]
    ours, theirs = ({run["seed"]: run for run in found[model]} for model in (reference, best))
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    paired = paired_t(*([metric.gain(side[seed][metric.test], 0.0) for seed in seeds] for side in (ours, theirs)))
    samples = []
    for seed in seeds:
        answers = [metric.of_samples(side[seed]) for side in (ours, theirs)]
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
        f"seconds with threads: {comparison.threads}, or on one GPU where that is said."
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
    test, metric = entry["test"], metric_of(comparison)
    reference, baseline = (comparison.models[model].label for model in (comparison.reference, test["baseline"]))
    text = f"{task_name(comparison, entry)}: {reference} against {baseline}, the best baseline: "
    paired = test["seeds"]
    if paired is None:
        text += "one seed, so no test over seeds"
    elif paired["t"] is None:
        text += f"{metric.said_gain(paired['difference'])} over {paired['seeds']} seeds, always the same"
    else:
        text += (
            f"{metric.said_gain(paired['difference'])} over n = {paired['seeds']} seeds, paired t = {paired['t']:.2f}, "
            f"df = {paired['degrees']}, p = {paired['p']:.2g}"
        )
    samples = "; ".join(
        f"seed {one['seed']}: {one['only_first']} better by {reference}, {one['only_second']} by {baseline}, "
        f"p = {one['p']:.2g}"
        for one in test["samples"]
    )
    return f"{text}. Test samples (exact sign test): {samples}."


def format_figure(figure: Figure | None) -> str:
    """Write an accuracy that was reported elsewhere; empty where there is none."""
    if figure is None:
        return ""
    return f"{figure.accuracy}" + (f" +- {figure.deviation}" if figure.deviation is not None else "")


def _sources(contestant: Contestant) -> list[str]:
    return [f"{contestant.label} {format_figure(figure)} ({figure.source})" for figure in contestant.figures]
