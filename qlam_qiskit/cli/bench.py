"""``qlam bench``: how fast the exact engine is here."""

from __future__ import annotations

import json

import click

from qlam_qiskit.cli.options import as_json


@click.command("bench")
@click.option("--template", default="ring", show_default=True, help="Memory circuit.")
@click.option("--qubits", type=click.IntRange(1, 16), default=8, show_default=True, help="Qubits n.")
@click.option("--steps", type=click.IntRange(1), default=784, show_default=True, help="Steps T of a sequence.")
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Sequences at once.")
@click.option("--precision", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Runs; the median counts.")
@as_json
def bench_command(
    template: str, qubits: int, steps: int, batch: int, precision: str, repeats: int, as_json: bool
) -> None:
    """Time a forward and a backward pass of the exact engine, and measure this process's peak memory.

    Example: qlam bench --qubits 8 --steps 784 --batch 64
    """
    from qlam_qiskit.bench import bench

    result = bench(template, qubits, steps, batch, precision, repeats)
    if as_json:
        click.echo(json.dumps(result))
    else:
        click.echo(
            f"{template}, n = {qubits}, T = {steps}, batch {batch}, {precision}, {result['threads']} threads: forward "
            f"{1e3 * result['forward_s']:.1f} ms, backward {1e3 * result['backward_s']:.1f} ms, peak memory "
            f"{result['peak_rss_mb']:.0f} MB of which inputs {result['inputs_mb']:.1f} MB"
        )
