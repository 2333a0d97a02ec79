"""The ledger: shared by processes, safe when locked, full or damaged, and strict about who may move a job."""

import errno
import os
import signal
import sqlite3
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
    assert journal.execute("PRAGMA journal_mode").fetchone()[0] == "delete"  # works between hosts, as a write-ahead log does not
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


def test_a_workspace_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="the workspace cannot be made"):
        Ledger(tmp_path / "file" / "runs")
