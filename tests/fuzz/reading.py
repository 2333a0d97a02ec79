"""Runs one case in this process and says how it ended."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from qlam_qiskit.errors import QlamError
from tests.fuzz.case import Case

ACCEPTED, REFUSED, TRACEBACK, HANG, MEMORY = "accepted", "refused", "TRACEBACK", "HANG", "MEMORY"
OUTCOMES = (ACCEPTED, REFUSED, TRACEBACK, HANG, MEMORY)
SECONDS = 10  # of computing; a busy machine may take longer
WAITING = 6  # times as long on the clock, for what waits without computing
MOST_BYTES = 2**30
MOST_GROWTH = 2**29  # bytes of one case, in a process that holds much already
_LONGEST_MESSAGE = 2100


class _Late(BaseException):
    """The case ran out of time."""


@dataclass(frozen=True)
class Ending:
    """How a case ended, and what was said."""

    outcome: str
    said: str


def run_case(case: Case, seconds: int = SECONDS) -> Ending:
    """Run a case in a folder of its own, for at most so many seconds of computing; 0 sets no limit."""
    _reset_peak()
    allowed = max(MOST_BYTES, _peak() + MOST_GROWTH)
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, _environment():
        os.chdir(folder)
        try:
            _write(case)
            ending = _run(case, seconds)
        finally:
            os.chdir(before)
    if ending.outcome in (ACCEPTED, REFUSED) and _peak() > allowed:
        return Ending(MEMORY, f"{_peak():,} bytes; {ending.said}")
    return ending


def _run(case: Case, seconds: int) -> Ending:
    def late(*_: object) -> None:
        raise _Late

    previous = [signal.signal(number, late) for number in (signal.SIGALRM, signal.SIGPROF)]
    signal.alarm(WAITING * seconds)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        if case.arguments[0].startswith("@"):
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                _READERS[case.arguments[0]](*case.arguments[1:])
            return Ending(ACCEPTED, "")
        return _command(case.arguments)
    except _Late:
        return Ending(HANG, traceback.format_exc())
    except MemoryError:
        return Ending(MEMORY, traceback.format_exc())
    except QlamError as error:
        return _refused(str(error))
    except BaseException:
        return Ending(TRACEBACK, traceback.format_exc())
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in zip((signal.SIGALRM, signal.SIGPROF), previous, strict=True):
            signal.signal(number, handler)


def _command(arguments: tuple[str, ...]) -> Ending:
    from qlam_qiskit.cli import qlam

    result = CliRunner().invoke(qlam, list(arguments))
    error = result.exception
    if error is None or isinstance(error, SystemExit):
        if "Traceback (most recent call last)" in result.output:
            return Ending(TRACEBACK, result.output)
        return Ending(ACCEPTED if result.exit_code == 0 else REFUSED, result.output[-300:])
    raise error


def _refused(message: str) -> Ending:
    if not message.isprintable() or len(message) > _LONGEST_MESSAGE or not message:
        return Ending(TRACEBACK, f"not one line: {message!r}")
    return Ending(REFUSED, message)


def _write(case: Case) -> None:
    for name, content in case.files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if case.cells is not None and "runs/ledger.sqlite" not in case.files:
        _write_ledger(case)


def _write_ledger(case: Case) -> None:
    from qlam_qiskit.jobs import Ledger

    with Ledger() as ledger:
        ledger.add_submission("s", "heron", {"device": "ibm_heron", "shots": 5, "metadata": {"samples": 3}}, 2)
        ledger.add_duplicate(ledger.jobs("s")[0], "d1", "done", 2.0)
        path = ledger.path
    with contextlib.closing(sqlite3.connect(path)) as database:
        for table, column, value in case.cells or ():
            with contextlib.suppress(sqlite3.Error):  # a cell that the schema itself refuses
                database.execute(f"UPDATE {table} SET {column} = ?", (value,))
        database.commit()


def _experiment(name: str, *options: str) -> None:
    from qlam_qiskit.runs.experiments import load_experiment

    load_experiment(name, options[1::2])


def _data(settings: str) -> None:
    from qlam_qiskit.configuration import check
    from qlam_qiskit.data import DataSettings, load_data
    from qlam_qiskit.plain_yaml import parse_yaml

    load_data(check(DataSettings, parse_yaml(settings), "settings"), Path("data"), download=False)


def _run_folder(name: str) -> None:
    """Read a run's files as a report does, without drawing."""
    from qlam_qiskit.report.findings import Findings
    from qlam_qiskit.report.summary import Headline
    from qlam_qiskit.runs import SavedRun

    findings = Findings.of(SavedRun.open(Path(name)))
    for part in ("training", "evaluations"):
        getattr(findings, part)
    Headline.of(findings.run)


def _pages(results: str) -> None:
    from qlam_qiskit.compare.pages import details, summary

    summary(Path(results))
    details(Path(results))


def _space(path: str) -> None:
    """Read a search space, and try its values, as a search does before its first trial."""
    from qlam_qiskit.runs.experiment import Experiment
    from qlam_qiskit.searching.space import Space
    from tests.fuzz.material import SMALL

    space = Space.read(Path(path))
    space.check(Experiment.model_validate(SMALL))
    space.grid()


def _job(home: str) -> None:
    from qlam_qiskit.jobs import files

    files.has_result(Path(home), "s", 0, "t")
    files.read_inputs(Path(home), "s", 0)
    files.read_result(Path(home), "s", 0)


_READERS = {
    "@experiment": _experiment, "@data": _data, "@run": _run_folder, "@pages": _pages, "@space": _space, "@job": _job,
}  # fmt: skip


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    changed = {name: os.environ.pop(name, None) for name in ("QLAM_HOME", "QLAM_BACKENDS", "QLAM_DATA")}
    os.environ["QLAM_DATA"] = "cache"
    try:
        yield
    finally:
        os.environ.pop("QLAM_DATA", None)
        os.environ.update({name: value for name, value in changed.items() if value is not None})


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Return the most memory, in bytes, that this process had since the peak was reset."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
