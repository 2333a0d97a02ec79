"""A cell of the ledger that holds what it cannot hold is one line that names it, and hides nothing else."""

import json
import shutil
import sqlite3

import pytest
from click.testing import CliRunner

from qlam_qiskit import jobs
from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.cli.jobs import jobs as command_line
from qlam_qiskit.errors import QlamError
from qlam_qiskit.jobs import JobState, Ledger, LedgerError

COLUMNS = {
    "submissions": ("id", "created", "backend", "session", "details"),
    "jobs": (
        "id", "submission", "number", "tag", "state", "remote_id", "message", "qpu_seconds", "updated",
        "estimated_seconds", "doubtful",
    ),
    "events": ("at", "job", "source", "target", "note"),
    "posts": ("at",),
    "duplicates": ("remote_id", "job", "state", "qpu_seconds", "found"),
}  # fmt: skip
HOSTILE = [
    None, "", "../../etc", "sent", "[/x]", "a\nb\x00\x1b[2J", "9" * 5000, "{}", '{"spec": 3}', "[" * 5000, b"\xff\xfe",
    "\ud800".encode("utf-8", "surrogatepass"), 0, -1, 2**62, 1e300, float("inf"),
]  # fmt: skip
ACTING = [("fetch",), ("fetch", "{0}"), ("resume",), ("cancel", "{0}")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_pub):
    """Make a workspace with two submissions that are saved, one that was cut short, and a duplicate."""
    home = tmp_path_factory.mktemp("whole") / "runs"
    backend = open_backend(make_spec("here", {"kind": "aer", "shots": 16}, "test"))
    with Ledger(home) as ledger:
        pubs = [tiny_pub(backend, shots=16)]
        first, second = (jobs.submit_pubs([pubs, pubs], backend, ledger).id for _ in range(2))
        job = ledger.jobs(first)[0]
        ledger.add_duplicate(job, "d1", "done", 2.0)
        jobs.files.write_inputs(home, "third", [pubs])
        other = ledger.add_submission("third", "here", ledger.submission(first).details, 1)[0]
        ledger.move(ledger.claim(other.id), JobState.SENDING)
        ledger.take_post_slot(5)
    return home, first, second


@pytest.fixture
def damage(whole, tmp_path, monkeypatch):
    """Give a function that puts a value into a cell of the first row of a table in a copy of the workspace."""
    home = tmp_path / "runs"

    def put(table, column, value, files_too=False):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        shutil.copy(whole[0] / "ledger.sqlite", home)
        if files_too:
            shutil.copytree(whole[0] / "submissions", home / "submissions")
        monkeypatch.setenv("QLAM_HOME", str(home))
        database = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
        database.execute("PRAGMA writable_schema = ON")  # where a column may not be empty it may be now
        database.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
        database.close()
        database = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
        database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = (SELECT min(rowid) FROM {table})", (value,))
        database.close()

    return put


def _checked(arguments):
    """Run a command; whatever fails must be an error of ours in one line."""
    result = CliRunner().invoke(command_line, arguments)
    failure = result.exception
    assert failure is None or isinstance(failure, (SystemExit, QlamError)), (arguments, failure)
    if isinstance(failure, QlamError):
        assert "\n" not in str(failure) and str(failure).isprintable()
    assert all(line.isprintable() for line in result.stderr.splitlines())
    return result


@pytest.mark.parametrize(("table", "column"), [(table, column) for table in COLUMNS for column in COLUMNS[table]])
def test_no_cell_ends_in_a_traceback_or_hides_the_other_rows(damage, whole, table, column):
    _, first, second = whole
    for number, value in enumerate(HOSTILE):
        damage(table, column, value)
        listed = _checked(["list", "--json"])
        shown = json.loads(listed.stdout)
        assert {second, "third"} <= {entry["submission"] for entry in shown["submissions"]}, value
        assert all(entry["complete"] for entry in shown["submissions"] if entry["submission"] == second)
        for line in (line for line in listed.stderr.splitlines() if line.startswith("error: ")):
            assert f"table {table}, row " in line and "damaged" in line and listed.exit_code == 1
        _checked([["list"], ["show", first], ["show", first, "--json"]][number % 3])


@pytest.mark.parametrize(("table", "column"), [(table, column) for table in COLUMNS for column in COLUMNS[table]])
def test_no_cell_keeps_a_command_from_the_other_submissions(damage, whole, table, column):
    _, first, _ = whole
    for value in (None, b"\xff\xfe", "../../etc"):
        damage(table, column, value, files_too=True)
        for arguments in ACTING:
            _checked([part.format(first) for part in arguments])
        with Ledger() as ledger:
            assert jobs.show(ledger, "third")[0].complete, value
            try:
                jobs.results(ledger, first)
            except QlamError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("jobs", "state", "lost", r"table jobs, row 1 \(.*/0\), column state: damaged: .*it holds 'lost'"),
        ("jobs", "number", "one", r"column number: damaged: .*valid integer"),
        ("jobs", "submission", "another", r"column id: damaged: does not agree with submission another"),
        ("jobs", "remote_id", "a/../b", r"column remote_id: damaged"),
        ("jobs", "updated", float("inf"), r"column updated: damaged: .*finite"),
        ("submissions", "details", "{", r"table submissions, row 1 \(.*\), column details: damaged: no JSON object"),
        ("submissions", "created", b"\xff", r"column created: damaged: .*valid number"),
    ],
)
def test_a_damaged_cell_is_named_with_its_row_and_column(damage, whole, table, column, value, words):
    damage(table, column, value)
    with Ledger() as ledger, pytest.raises(LedgerError, match=words) as raised:
        jobs.results(ledger, whole[1])
    assert "\n" not in str(raised.value)


def test_a_submission_with_a_damaged_job_is_listed_with_the_others_of_its_jobs(damage, whole):
    damage("jobs", "state", "lost")
    entries = {entry["submission"]: entry for entry in json.loads(_checked(["list", "--json"]).stdout)["submissions"]}
    entry = entries[whole[1]]
    assert [job["state"] for job in entry["jobs"]] == ["saved"] and not entry["complete"]
    assert "column state" in entry["problems"][0]
    listed = _checked(["list"])
    assert "damaged" in listed.stdout and listed.exit_code == 1 and "column state" in listed.stderr
