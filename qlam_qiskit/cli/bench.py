"""``qlam bench``: how fast the exact engine is here."""

from __future__ import annotations

import json

import click

from qlam_qiskit.cli import completion
from qlam_qiskit.cli.options import as_json


@click.command("bench")
@click.option(
    "--template", default="ring", show_default=True, shell_complete=completion.circuit_names, help="Memory circuit."
)
@click.option("--qubits", type=click.IntRange(1, 16), default=8, show_default=True, help="Qubits n.")
@click.option("--steps", type=click.IntRange(1, 1_000_000), default=784, show_default=True, help="Steps T.")
@click.option("--batch", type=click.IntRange(1, 1_000_000), default=64, show_default=True, help="Sequences at once.")
@click.option("--precision", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@click.option(
    "--repeats", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Runs (the median counts)."
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where it runs.")
@as_json
def bench_command(
    template: str, qubits: int, steps: int, batch: int, precision: str, repeats: int, device: str, as_json: bool
) -> None:
    """Time a forward and a backward pass of the exact engine, and measure the peak memory of this process or the GPU.

    Example: qlam bench --qubits 8 --steps 784 --batch 64
    """
    from qlam_qiskit.engine import bench

    result = bench(template, qubits, steps, batch, precision, repeats, device)
    if as_json:
        click.echo(json.dumps(result))
        return
    if device == "cuda":
        where, peak = result["gpu"], f"peak memory of the GPU {result['peak_device_mb']:.0f} MB, inputs"
    else:
        where, peak = f"{result['threads']} threads", f"peak memory {result['peak_rss_mb']:.0f} MB of which inputs"
    click.echo(
        f"{template}, n = {qubits}, T = {steps}, batch {batch}, {precision}, {where}: forward "
        f"{1e3 * result['forward_s']:.1f} ms, backward {1e3 * result['backward_s']:.1f} ms, {peak} "
        f"{result['inputs_mb']:.1f} MB"
    )
