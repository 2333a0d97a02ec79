"""Where the folders that ship beside the package lie: ``circuits`` and ``experiments``.

Installed, they are subpackages; in a checkout that was never installed, they are the package's neighbours.
"""

from importlib.util import find_spec
from pathlib import Path


def bundled_folder(name: str) -> Path:
    """Return the folder ``name`` that came with the package."""
    specification = find_spec(f"qlam_qiskit.{name}")
    if specification is not None and specification.submodule_search_locations:
        return Path(next(iter(specification.submodule_search_locations)))
    return Path(__file__).resolve().parent.parent / name
