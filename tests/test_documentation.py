"""README and the pages of docs/: every Python block runs, every command exists, every link leads somewhere."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from qlam_qiskit.cli import qlam
from qlam_qiskit.configuration import check
from qlam_qiskit.plain_yaml import parse_yaml
from qlam_qiskit.runs.experiment import Experiment

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(kind):
    return {page: found for page, text in TEXTS.items() if (found := [b for k, b in BLOCK.findall(text) if k == kind])}


def test_readme_is_short_and_begins_with_what_to_do():
    readme = TEXTS["README.md"]
    assert len(readme.split()) < 1800
    kinds = [(match[1], readme[: match.start()].count("\n")) for match in BLOCK.finditer(readme)]
    assert [kind for kind, _ in kinds[:3]] == ["sh", "text", "python"]
    assert kinds[2][1] < 40


# These have tests of their own, which run their commands too.
OWN_TESTS = ("docs/tutorial.md", "docs/how-to/own-data.md")


@pytest.mark.parametrize("page", [page for page in blocks("python") if page not in OWN_TESTS])
def test_the_python_blocks_of_a_page_run_one_after_the_other(page, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QLAM_")}
    code = "\n".join(blocks("python")[page])
    command = [sys.executable, "-W", "error", "-c", code]
    finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def commands():
    for page, found in blocks("sh").items():
        for line in "\n".join(found).replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|", line):
                words = shlex.split(part, comments=True)
                if words and words[0] == "qlam" and "$" not in part:
                    yield pytest.param(words[1:], id=f"{page}: {part.strip()}")


@pytest.mark.parametrize("words", list(commands()))
def test_every_command_that_a_page_names_exists_with_its_options(words):
    context, command = click.Context(qlam), qlam
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
    command.make_context(name, [word for word in words if word not in (">", "submission.json")], parent=context)


@pytest.mark.parametrize("page", blocks("yaml"))
def test_every_experiment_and_registry_that_a_page_shows_is_valid(page, tmp_path):
    from qlam_qiskit.backends import load_registry

    for block in blocks("yaml")[page]:
        values = parse_yaml(block)
        if page == "docs/how-to/searching.md":
            from qlam_qiskit.runs import load_experiment
            from qlam_qiskit.searching import Space

            Space.of(values).check(load_experiment("digits"))
        elif "backends" in values:
            path = tmp_path / "backends.yaml"
            path.write_text(block)
            load_registry(path)
        else:
            check(Experiment, {"data": {"dataset": "digits"}, **values}, page)


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_within_the_repository_leads_to_a_file(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"", TEXTS[page])
    folder = (ROOT / page).parent
    for target in (first or second for first, second in targets):
        generated = {"reference/python.md", "reference/settings.md", "reference/commands.md"}
        if "://" in target or target.removeprefix("../") in generated:
            continue
        if (notebook := ROOT / "docs" / target).parent.name == "notebooks" and page == "docs/index.md":
            target = str(notebook.with_suffix(".ipynb"))  # whose page is generated too
        assert (folder / target).exists(), target


def test_the_changelog_names_the_version():
    from qlam_qiskit import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert parse_yaml((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == __version__
