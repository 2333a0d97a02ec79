"""The ledger: shared by processes, safe when locked, full or damaged, and strict about who may move a job."""

import errno
import os
import signal
import sqlite3
import stat
import time

import pytest

from qlam_qiskit.jobs import JobError, JobState, Ledger, LedgerError
from qlam_qiskit.jobs.errors import LeaseLostError


@pytest.fixture
def job(ledger):
    return ledger.add_submission("s1", "somewhere", {"note": "x"}, 1)[0]


def test_every_job_has_a_tag_of_its_own_and_is_planned(ledger):
    first = ledger.add_submission("s1", "somewhere", {}, 3)
    second = ledger.add_submission("s2", "somewhere", {}, 2)
    assert len({job.tag for job in first + second}) == 5
    assert {job.state for job in first + second} == {JobState.PLANNED}
    assert all(job.tag.startswith("qlam-s1-") for job in first)


def test_a_commit_is_on_disk_for_another_process_and_survives_closing(ledger, job, home):
    with Ledger(home) as other:
        assert other.job(job.id) == job
        assert other.submission("s1").details == {"note": "x"}
    journal = sqlite3.connect(home / "ledger.sqlite")
    assert (
        journal.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    )  # works between hosts, as a write-ahead log does not
    journal.close()
    assert ledger._database._connection.execute("PRAGMA synchronous").fetchone()[0] == 3  # EXTRA


def test_only_the_holder_of_the_lock_moves_a_job(ledger, job, home):
    with Ledger(home) as other:
        mine = ledger.claim(job.id)
        assert other.claim(job.id) is None
        with pytest.raises(LeaseLostError, match="not held by this process"):
            other.move(job, JobState.SENDING)
        moved = ledger.move(mine, JobState.SENDING)
        with pytest.raises(LeaseLostError, match="no longer planned"):
            ledger.move(mine, JobState.SENDING)  # from a state that it has left
        ledger.release(job.id)
        assert other.claim(job.id) == moved


def test_a_slow_holder_keeps_its_job_however_long_it_takes(ledger, job, home, skipping_time):
    ledger.claim(job.id)
    with Ledger(home, now=skipping_time.now) as other:
        skipping_time.sleep(86_400)
        assert other.claim(job.id) is None
    ledger.close()
    with Ledger(home) as other:
        assert other.claim(job.id) is not None


def test_the_lock_of_a_killed_process_is_free_at_once(ledger, job, home):
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        with Ledger(home) as mine:
            mine.claim(job.id)
            os.write(write, b"claimed")
            time.sleep(60)
        os._exit(1)
    os.read(read, 7)
    assert ledger.claim(job.id) is None
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert ledger.claim(job.id) is not None


def test_a_file_system_without_locks_is_named(ledger, job, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(LedgerError, match=r"s1-0.lock: cannot be locked .*No locks available.*choose a QLAM_HOME"):
        ledger.claim(job.id)


def test_moves_that_make_no_sense_are_defects(ledger, job):
    held = ledger.claim(job.id)
    with pytest.raises(ValueError, match="cannot move from planned to saved"):
        ledger.move(held, JobState.SAVED)


def test_the_rate_limit_is_shared_by_processes(ledger, home, skipping_time):
    with Ledger(home, now=skipping_time.now) as other:
        for index in range(5):
            assert (ledger, other)[index % 2].take_post_slot(5) == 0
            skipping_time.sleep(2)
        for opened in (ledger, other):
            assert 50 < opened.take_post_slot(5) <= 54
        skipping_time.sleep(54)
        assert other.take_post_slot(5) == 0
        assert ledger.take_post_slot(5) > 0


def test_a_clock_that_was_set_back_does_not_block_for_ever(home):
    times = iter([1e9, 1e9 - 86_400])
    with Ledger(home, now=lambda: next(times)) as ledger:
        assert ledger.take_post_slot(1) == 0
        assert ledger.take_post_slot(1) == 0


def test_a_submission_is_found_by_the_beginning_of_its_id(ledger):
    for name in ("20261123-aa", "20261123-ab"):
        ledger.add_submission(name, "somewhere", {}, 1)
    assert ledger.submission("20261123-aa").id == "20261123-aa"
    assert ledger.submission("20261123-ab").id == "20261123-ab"
    with pytest.raises(JobError, match=r"several submissions begin with '2026'.*qlam jobs list"):
        ledger.submission("2026")
    with pytest.raises(JobError, match="there is no submission 'x'"):
        ledger.submission("x")


def test_a_locked_ledger_says_so(ledger, job, home):
    blocker = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="locked by another program"):
        Ledger(home, busy_seconds=0.05)
    blocker.execute("ROLLBACK")
    blocker.close()
    with Ledger(home, busy_seconds=0.05) as opened:
        assert opened.job(job.id) == job


def test_a_full_disk_says_so_and_keeps_what_was_there(ledger, job):
    connection = ledger._database._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match="disk is full; nothing is lost"):
        ledger.add_submission("big", "somewhere", {"note": "x" * 1_000_000}, 1)
    assert [record.id for record in ledger.submissions()] == ["s1"]
    assert ledger.job(job.id) == job


def test_a_damaged_file_says_so(home):
    home.mkdir()
    (home / "ledger.sqlite").write_bytes(b"this is no database" * 1000)
    with pytest.raises(LedgerError, match="damaged or not a ledger"):
        Ledger(home)


def test_a_newer_ledger_is_left_alone(ledger, home):
    ledger._database._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="written by a newer version; upgrade"):
        Ledger(home)


OLD_SCHEMA = """
CREATE TABLE submissions (
    id TEXT PRIMARY KEY, created REAL NOT NULL, backend TEXT NOT NULL, session TEXT, details TEXT NOT NULL
);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, submission TEXT NOT NULL REFERENCES submissions(id), number INTEGER NOT NULL,
    tag TEXT NOT NULL UNIQUE, state TEXT NOT NULL, remote_id TEXT, message TEXT, qpu_seconds REAL,
    updated REAL NOT NULL, owner TEXT, lease REAL
);
CREATE INDEX jobs_of_submission ON jobs(submission, number);
CREATE TABLE events (
    at REAL NOT NULL, job TEXT NOT NULL REFERENCES jobs(id), source TEXT, target TEXT NOT NULL, note TEXT
);
CREATE TABLE posts (at REAL NOT NULL);
INSERT INTO submissions VALUES ('s0', 1e9, 'heron', NULL, '{"note": "x"}');
INSERT INTO jobs VALUES ('s0/0', 's0', 0, 'qlam-s0-0-ab', 'saved', 'd1', NULL, 2.5, 1e9, NULL, NULL);
INSERT INTO jobs VALUES ('s0/1', 's0', 1, 'qlam-s0-1-cd', 'sending', NULL, NULL, NULL, 1e9, 'host:7:ab', 2e9);
INSERT INTO events VALUES (1e9, 's0/1', 'planned', 'sending', NULL);
PRAGMA user_version = 1;
"""


def test_a_ledger_of_the_first_version_is_brought_up_to_date(home):
    """Its write-ahead log is folded in, its leases are gone, and all that it knew is there."""
    home.mkdir()
    old = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
    old.execute("PRAGMA journal_mode = WAL")
    old.executescript(OLD_SCHEMA)
    old.close()
    for _ in range(2):
        with Ledger(home) as ledger:
            saved, sending = ledger.jobs("s0")
            assert (saved.state, saved.remote_id, saved.qpu_seconds) == (JobState.SAVED, "d1", 2.5)
            assert (sending.state, sending.doubtful, sending.estimated_seconds) == (JobState.SENDING, None, None)
            assert [event.target for event in ledger.events("s0")] == [JobState.SENDING]
            assert ledger.duplicates("s0") == []
    with Ledger(home) as ledger:
        lost = ledger.move(ledger.claim("s0/1"), JobState.UNKNOWN, doubtful=sending.updated)
        assert lost.state is JobState.UNKNOWN
    check = sqlite3.connect(home / "ledger.sqlite")
    assert check.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    assert check.execute("PRAGMA user_version").fetchone()[0] == 2
    check.close()
    assert not (home / "ledger.sqlite-wal").exists()


def test_an_old_and_a_new_ledger_have_the_same_tables(home, tmp_path):
    home.mkdir()
    old = sqlite3.connect(home / "ledger.sqlite")
    old.executescript(OLD_SCHEMA)
    old.close()
    tables = []
    for folder in (home, tmp_path / "new"):
        with Ledger(folder) as ledger:
            names = [row["name"] for row in ledger._database.rows("SELECT name FROM sqlite_master ORDER BY name")]
            columns = {
                name: [tuple(row)[1:] for row in ledger._database.rows(f"PRAGMA table_info({name})")] for name in names
            }
            tables.append(columns)
    assert tables[0] == tables[1]


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_can_look_into_the_workspace(home):
    old_umask = os.umask(0)
    try:
        with Ledger(home) as ledger:
            job = ledger.add_submission("s1", "somewhere", {}, 1)[0]
            ledger.claim(job.id)
            with ledger._database.transaction() as database:
                database.execute("UPDATE jobs SET message = 'x'")
                assert (home / "ledger.sqlite-journal").exists()
                modes = {path.name: _mode(path) for path in (home, *home.rglob("*"))}
    finally:
        os.umask(old_umask)
    assert modes == {
        "runs": 0o700, "ledger.sqlite": 0o600, "ledger.sqlite-journal": 0o600, "locks": 0o700, "s1-0.lock": 0o600,
    }  # fmt: skip


def test_a_workspace_that_others_could_read_is_closed_and_one_they_need_is_not(home, tmp_path, monkeypatch):
    home.mkdir(mode=0o755)
    Ledger(home).close()
    (home / "ledger.sqlite").chmod(0o644)
    Ledger(home).close()
    assert _mode(home) == 0o700 and _mode(home / "ledger.sqlite") == 0o600
    project, shared = tmp_path / "project", tmp_path / "shared"
    for folder, mode in ((project, 0o755), (shared, 0o1777)):
        folder.mkdir()
        folder.chmod(mode)
    monkeypatch.chdir(project)
    for folder, mode in ((project, 0o755), (shared, 0o1777)):
        Ledger(folder).close()
        assert _mode(folder) == mode and _mode(folder / "ledger.sqlite") == 0o600


def test_a_workspace_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="the workspace cannot be made"):
        Ledger(tmp_path / "file" / "runs")
