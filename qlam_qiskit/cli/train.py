"""``qlam train``: train an experiment."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from qlam_qiskit.cli import completion
from qlam_qiskit.cli.options import as_json, backend, backends_file, data_dir
from qlam_qiskit.errors import QlamError


class _Train(click.Command):
    """Says of an option that does not exist, such as --epochs, which key of the experiment was probably meant."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        try:
            return super().parse_args(context, arguments)
        except click.NoSuchOption as error:
            # An option that is nearly one of the command is that one.
            meant = [] if error.possibilities else _keys_like(error.option_name.lstrip("-").replace("-", "_"))
            error.possibilities = error.possibilities or [f"--set {key}=VALUE" for key in meant]
            raise


def _keys_like(name: str) -> list[str]:
    from difflib import get_close_matches

    from qlam_qiskit.configuration import dotted_keys
    from qlam_qiskit.runs import Experiment

    keys: dict[str, str] = {}
    for key in dotted_keys(Experiment):
        keys.setdefault(key.rpartition(".")[2], key)
    return [keys[match] for match in get_close_matches(name, keys, n=1, cutoff=0.75)]


@click.command("train", cls=_Train)
@click.argument("experiment", shell_complete=completion.experiment_names)
@backend
@backends_file
@data_dir
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder; default: one in ./runs.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Fixes weights, order of samples and shots.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a key of the experiment.")
@click.option("--resume", is_flag=True, help="Continue the run in --out, or the experiment's newest.")
@click.option(
    "--track",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.tracker_names,
    help="Tell tensorboard, mlflow or wandb too; repeat for several.",
)
@as_json
def train_command(
    experiment: str,
    backend: str | None,
    backends_file: Path | None,
    data_dir: Path | None,
    out: Path | None,
    seed: int | None,
    assignments: tuple[str, ...],
    resume: bool,
    track: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train EXPERIMENT, a name (see qlam experiments list) or a YAML file, and test its best weights.

    Ctrl-C saves and stops; --resume continues, to the same numbers. Under torchrun (torchrun --nproc-per-node 2 -m
    qlam_qiskit train ...) several processes or machines train one model.

    Example: qlam train smnist --data-dir data --set training.epochs=2
    """
    from qlam_qiskit.progress import TrainingBar, interruptible
    from qlam_qiskit.tracking import Tracking
    from qlam_qiskit.training import joined, load_experiment, train
    from qlam_qiskit.words import quality

    with joined() as ranks:
        try:
            loaded = ranks.from_first(lambda: load_experiment(experiment, assignments, seed=seed, backend=backend))
            bar = TrainingBar(loaded.training.epochs, quiet=not ranks.first)
            with interruptible() as asked, bar, Tracking(track if ranks.first else (), bar.say) as tracking:
                folder, result = train(
                    loaded,
                    Path(experiment).stem,
                    tracking.around(bar),
                    out=out,
                    data_dir=data_dir,
                    backends=backends_file,
                    resume=resume,
                    should_stop=asked,
                    say=bar.say,
                    ranks=ranks,
                    on_begin=tracking.begin,
                )
                tracking.finish(folder, result, data_dir)
        except QlamError as error:
            if ranks.first:
                raise
            sys.exit(error.exit_status)  # rank 0 says the same
    if not ranks.first:
        return
    if as_json:
        click.echo(json.dumps({"run": str(folder.path), **result}))
    else:
        noise = ""
        if "test_noise" in result:
            noise = f" with {result['test_noise']}"
        if "clean_test_accuracy" in result:
            noise += f" ({result['clean_test_accuracy']:.2%} without noise)"
        click.echo(
            f"{result['task']}: {quality(result, 'test_')} {result['test_samples']:,} test samples{noise}, "
            f"{result['parameters']:,} parameters, {result['train_seconds']:.1f} s of training\n{folder.path}"
        )
