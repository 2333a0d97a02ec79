"""Runs the notebooks of ``notebooks/`` in the Python that runs this, and keeps their outputs in them.

``python docs/execute_notebooks.py [NAME]...`` does so for all, or for those named; the site shows what is kept.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image
from traitlets import default

FOLDER = Path(__file__).parent / "notebooks"

_SECONDS = 600  # for one cell, on a machine that does much else
_STRICT = "import warnings\nwarnings.simplefilter('error')"
_LENIENT = "warnings.resetwarnings()"  # the kernel's own, as it ends
_COLOURS = 255  # of a picture that is kept
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class _ThisPython(AsyncKernelManager):
    """Starts no kernel that is installed somewhere, but one of the Python that runs this."""

    @default("kernel_spec_manager")
    def _no_other_kernels(self) -> KernelSpecManager:
        return KernelSpecManager(parent=self, kernel_dirs=[])


def execute(path: Path, folder: Path, last: str = "") -> tuple[NotebookNode, str]:
    """Run a notebook in a folder, warnings being errors there.

    Parameters
    ----------
    path
        The notebook; outputs in it are of no effect.
    folder
        Where its kernel works.
    last
        Code that is run behind its cells.

    Returns
    -------
    tuple
        The notebook with its new outputs, and what the last code printed.
    """
    notebook = nbformat.read(path, as_version=4)
    first, behind = (nbformat.v4.new_code_cell(code) for code in (_STRICT, f"{last}\n{_LENIENT}"))
    notebook.cells = [first, *notebook.cells, behind]
    client = NotebookClient(
        notebook,
        coalesce_streams=True,
        timeout=_SECONDS,
        startup_timeout=_SECONDS,
        extra_arguments=["--log-level=ERROR"],
        kernel_name="python3",
        kernel_manager_class=_ThisPython,
        resources={"metadata": {"path": str(folder)}},
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QLAM_")}
    # As on the command line: idle threads of torch would take the cores from the engine's.
    client.execute(env={"OMP_WAIT_POLICY": "PASSIVE", **environment})
    _, *cells, behind = notebook.cells
    notebook.cells = cells
    return notebook, "".join(output.get("text", "") for output in behind.outputs)


def as_kept(notebook: NotebookNode) -> NotebookNode:
    """Make a notebook that was run one to keep: cells numbered from 1, small pictures, nothing of this machine."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(codes, start=1):
        cell.execution_count, cell.metadata = number, NotebookNode()
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            if png := output.get("data", {}).get("image/png"):
                output.data["image/png"] = _smaller(png)
    return notebook


def without_numbers(notebook: NotebookNode) -> list[list[tuple[str, str]]]:
    """List what every code cell puts out, kind and text, with # for numbers and the names of submissions."""
    return [
        [
            (kind, "" if kind.startswith("image/") else re.sub(r"\d{8}-[\w-]+|\d[\d.,]*", "#", text))
            for output in cell.outputs
            for kind, text in sorted(
                (output.get("data") or {output.get("name", output.output_type): output.text}).items()
            )
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _smaller(png: str) -> str:
    """Write a picture with few colours, which its figures do with."""
    picture, stream = Image.open(BytesIO(base64.b64decode(png))), BytesIO()
    picture.convert("RGB").quantize(_COLOURS).save(stream, "png", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def main(names: list[str]) -> None:
    """Run notebooks and write them."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        with TemporaryDirectory() as folder:
            notebook, _ = execute(path, Path(folder))
        nbformat.write(as_kept(notebook), path)
        print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
