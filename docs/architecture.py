"""Draws the packages of ``qlam_qiskit`` on their floors, from what their modules import.

``python docs/architecture.py`` writes ``docs/images/architecture.svg``. A package stands one floor above the highest
one that it imports from; an arrow is left out where a chain of others says the same.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).parents[1] / "qlam_qiskit"
DRAWING = Path(__file__).parent / "images" / "architecture.svg"
GROUND = "ground"

_BOX, _LANE, _GAP, _HEIGHT, _FLOOR = 250, 12, 28, 72, 112
_STYLE = """
  text { font-family: system-ui, sans-serif; fill: #1d2433 }
  .name { font-size: 15px; font-weight: 600 } .about { font-size: 11px; fill: #4a5368 }
  rect { fill: #f4f6fb; stroke: #7a86a8 } path { fill: none; stroke: #7a86a8; stroke-width: 1.2 }
  marker path { fill: #7a86a8; stroke: none } .paper { fill: #ffffff; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8ebf4 } .about { fill: #b4bcd0 } rect { fill: #262c3b } .paper { fill: #171b26 }
  }
"""


@dataclass(frozen=True)
class Import:
    """One imported name: where (module and line), from which module, and what it is called there."""

    module: str
    line: int
    source: str
    name: str


def modules() -> dict[str, Path]:
    """Map every module of the package to its file."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("qlam_qiskit", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports() -> Iterator[Import]:
    """List what the modules import of each other, at their top, for type checkers, and inside functions."""
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                source = node.module or ""
                if node.level:
                    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                    above = package.split(".")[: len(package.split(".")) - node.level + 1]
                    source = ".".join([*above, *([node.module] if node.module else [])])
                yield from (Import(module, node.lineno, source, alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (Import(module, node.lineno, alias.name, "") for alias in node.names)


def room(module: str) -> str:
    """Return the package, or the module beside the packages, that a module belongs to; "" for the face."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def packages() -> set[str]:
    """Return the names of the packages."""
    return {path.parent.name for path in ROOT.glob("*/__init__.py")}


@cache
def gives(package: str) -> set[str]:
    """Return the names that a package's ``__init__`` binds."""
    bound: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            bound.add(node.name)
    return bound


def passes_by(found: Import) -> bool:
    """Tell whether an import goes past the ``__init__`` of another package."""
    inside = room(found.source)
    if not found.source.startswith("qlam_qiskit") or inside not in packages() or inside == room(found.module):
        return False
    return found.source.count(".") > 1 or found.name not in gives(inside)


def graph() -> dict[str, set[str]]:
    """Map every package, and every module beside them that needs one, to those that it imports from.

    The modules that need no package are one: the ground.
    """
    names, inside = set(modules()), packages()
    needs: dict[str, set[str]] = {room(module): set() for module in names}
    for found in imports():
        if found.source.split(".")[0] == "qlam_qiskit":
            whole = f"{found.source}.{found.name}"
            target = room(whole if whole in names else found.source)
            if target and target != room(found.module):
                needs[room(found.module)].add(target)
    low = {name for name in needs if name not in inside and name}
    while rising := {name for name in low if needs[name] - low}:
        low -= rising
    merged = {name: {GROUND if need in low else need for need in found} for name, found in needs.items()}
    return {**{name: found for name, found in merged.items() if name not in low}, GROUND: set()}


def floors(needs: dict[str, set[str]]) -> list[list[str]]:
    """Sort what :func:`graph` found into floors, the ground first; raises ValueError where packages need each other."""
    level: dict[str, int] = {}
    while len(level) < len(needs):
        ready = [name for name in needs if name not in level and needs[name] <= level.keys()]
        if not ready:
            raise ValueError(f"packages import each other in a circle: {sorted(needs.keys() - level.keys())}")
        level |= {name: 1 + max((level[need] for need in needs[name]), default=-1) for name in ready}
    return [sorted(name for name in level if level[name] == floor) for floor in range(max(level.values()) + 1)]


def draw() -> str:
    """Return the drawing as SVG."""
    needs = {name: found for name, found in graph().items() if name != "__main__"}
    rows, ways = _lay_out(needs)
    width = 2 * _GAP + max(sum(map(_wide, row)) + _GAP * (len(row) - 1) for row in rows)
    height = _FLOOR * len(rows)
    place = {}
    for floor, row in enumerate(rows):
        left = (width - sum(map(_wide, row)) - _GAP * (len(row) - 1)) / 2
        for name in row:
            place[name] = (left, height - (floor + 1) * _FLOOR + (_FLOOR - _HEIGHT) / 2)
            left += _wide(name) + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>Packages of qlam_qiskit: each imports only from those below it</title><style>{_STYLE}</style>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8Z"/></marker></defs>',
        f'<rect class="paper" width="{width}" height="{height}"/>',
    ]
    for way in ways:
        x, y = place[way[0]][0] + _BOX / 2, place[way[0]][1] + _HEIGHT
        line = f"M{x:.0f} {y:.0f}"
        for name in way[1:]:
            u, v = place[name][0] + _wide(name) / 2, place[name][1]
            line += f"C{x:.0f} {(y + v) / 2:.0f} {u:.0f} {(y + v) / 2:.0f} {u:.0f} {v:.0f}"
            if isinstance(name, _Lane):
                line += f"V{v + _HEIGHT:.0f}"
            x, y = u, v + _HEIGHT
        parts.append(f'<path marker-end="url(#end)" d="{line}"/>')
    for name, (x, y) in place.items():
        if isinstance(name, _Lane):
            continue
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{_BOX}" height="{_HEIGHT}" rx="6"/>')
        parts.append(f'<text class="name" x="{x + 12:.0f}" y="{y + 21:.0f}">{_title(name)}</text>')
        for line, text in enumerate(wrap(_about(name, needs), 38)[:3]):
            parts.append(f'<text class="about" x="{x + 12:.0f}" y="{y + 37 + 13 * line:.0f}">{escape(text)}</text>')
    return "\n".join([*parts, "</svg>", ""])


class _Lane(tuple[str, str, int]):
    """Where an arrow from a package to another one passes a floor between them."""


def _wide(name: str | _Lane) -> int:
    return _LANE if isinstance(name, _Lane) else _BOX


def _lay_out(needs: dict[str, set[str]]) -> tuple[list[list[str | _Lane]], list[list[str | _Lane]]]:
    """Order every floor so that arrows seldom cross; returns the floors, and every arrow as what it leads through."""
    rows: list[list[str | _Lane]] = [list(row) for row in floors(needs)]
    level = {name: floor for floor, row in enumerate(rows) for name in row}
    ways: list[list[str | _Lane]] = []
    for name in sorted(needs):
        for need in sorted(_direct(name, needs)):
            lanes = [_Lane((name, need, floor)) for floor in range(level[name] - 1, level[need], -1)]
            for lane in lanes:
                rows[lane[2]].append(lane)
            ways.append([name, *lanes, need])
    steps = [(above, below) for way in ways for above, below in pairwise(way)]
    for sweep in range(12):
        down = sweep % 2 == 0
        for floor in reversed(range(len(rows) - 1)) if down else range(1, len(rows)):
            beside = rows[floor + 1 if down else floor - 1]
            at = {name: (place + 0.5) / len(beside) for place, name in enumerate(beside)}
            near = {
                name: [at[end] for pair in steps for end, other in (pair, pair[::-1]) if other == name and end in at]
                for name in rows[floor]
            }
            rows[floor].sort(key=lambda name, near=near: sum(near[name]) / len(near[name]) if near[name] else 0.5)
    return rows, ways


def _direct(name: str, needs: dict[str, set[str]]) -> set[str]:
    """Leave out what is needed by something that is needed as well."""

    def reach(start: str) -> set[str]:
        return needs[start].union(*(reach(need) for need in needs[start]))

    return needs[name] - set().union(*(reach(need) for need in needs[name]))


def _title(name: str) -> str:
    return {"": "qlam_qiskit", GROUND: "beside the packages"}.get(name, name)


def _about(name: str, needs: dict[str, set[str]]) -> str:
    if name == GROUND:
        first = ["errors", "configuration", "memory_circuit", "channels"]
        more = {room(module) for module in modules()} - needs.keys() - set(first)
        return f"{', '.join(first)} and {len(more)} more modules that need no package"
    path = modules()["qlam_qiskit" + (f".{name}" if name else "")]
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("``", "").removesuffix(".")


if __name__ == "__main__":
    DRAWING.write_text(draw(), encoding="utf-8")
