"""The table of docs/speed.md, made of the committed results: ``python -m benchmarks.table --write`` puts it in."""

from __future__ import annotations

import json
from typing import Any

import click

from benchmarks.peers import RESULTS
from benchmarks.plot import case_of, milliseconds, times
from benchmarks.process import ROOT
from qlam_qiskit.compare.pages import replaced
from qlam_qiskit.workspace import write_atomically

PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- speed: generated from benchmarks/results -->", "<!-- end of speed -->"


def section() -> str:
    """Write the table and the sentences below it."""
    peers, scaling = (json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in ("peers", "scaling"))
    machine = peers["machine"]
    lines = [
        f"float32, {machine['cores']} cores of {machine['processor']}; loss and gradients of every row agree with "
        f"float64 to {peers['settings']['tolerance']:.0e}.",
        "",
        "| forward + backward | peer | peer's time | ours | times as fast | peak memory, peer and ours |",
        "|---|---|---|---|---|---|",
        *(_row(result) for result in peers["results"]),
        "",
        *_growth(scaling),
    ]
    return "\n".join(lines)


def _row(result: dict[str, Any]) -> str:
    ours, theirs = (result[side]["pass_s"]["median"] for side in ("ours", "theirs"))
    memory = [result[side]["memory_mb"] for side in ("theirs", "ours")]
    shown = ", ".join("" if amount is None else f"{amount:,.0f} MB" for amount in memory)
    spread = result["times_as_fast"]
    ratio = times(spread["median"])
    if result["pairs"] > 1:
        ratio += f" ({times(spread['lowest'])} to {times(spread['highest'])})"
    scaled = "" if result["peer_scaled_by"] == 1 else f" ({result['theirs']['samples']} samples, scaled)"
    cells = (case_of(result), result["title"] + scaled, milliseconds(theirs), milliseconds(ours), ratio, shown)
    return f"| {' | '.join(cells)} |"


def _growth(scaling: dict[str, Any]) -> list[str]:
    lengths = scaling["lengths"]
    first, last = lengths["rows"][0], lengths["rows"][-1]
    errors = scaling["float32_gradient_errors"]
    found = [
        f"At {scaling['qubits']} qubits, batch {scaling['batch']}, the time grows as T to the power "
        f"{lengths['exponent']:.3f} +- {lengths['exponent_error']:.3f} from T = {first['steps']} to {last['steps']:,}. "
        f"Peak memory beyond the inputs is {first['memory_beyond_inputs_mb']:.0f} MB at the one and "
        f"{last['memory_beyond_inputs_mb']:.0f} MB at the other, most of it Python and its libraries. float32 "
        f"gradients are within {max(errors.values()):.0e} of float64 ones at T = 784."
    ]
    if (smnist := scaling["smnist"]) is not None:
        found.append(
            f"One epoch of sMNIST (60,000 sequences of 784 steps) at {scaling['qubits']} qubits takes "
            f"{smnist['epoch_s']:.0f} s, its {smnist['test_images']:,} test images {smnist['test_s']:.1f} s."
        )
    return found


def on_page() -> str:
    """Return what the page holds now."""
    return PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].strip("\n")


@click.command()
@click.option("--write", is_flag=True, help="Put it into docs/speed.md.")
def main(write: bool) -> None:
    """Print the table of docs/speed.md.

    Example: python -m benchmarks.table --write
    """
    if write:
        write_atomically(PAGE, replaced(PAGE.read_text("utf-8"), BEGIN, END, f"{section()}\n"))
    else:
        click.echo(section())


if __name__ == "__main__":
    main()
