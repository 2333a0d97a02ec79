"""The hooks of a whole process: warnings, log records of any logger, files of logs, tracebacks of any thread."""

import os
import subprocess
import sys

KEY = "hook/ed-key+51c0ffee51c0ffee"
PROGRAM = """
import logging, sys, threading, warnings
from qlam_qiskit import cli

KEY = "hook/ed-key+51c0ffee51c0ffee"
logging.basicConfig(filename="all.log", level=logging.DEBUG)


def work(**options):
    warnings.warn(f"a warning with {KEY}")
    logging.getLogger("urllib3").warning("sent %s", KEY)
    logging.getLogger("anything").debug({"key": KEY})
    try:
        raise ValueError(KEY)
    except ValueError:
        logging.getLogger("qiskit_ibm_runtime").exception("it failed")

    def fail():
        raise RuntimeError(f"in a thread: {KEY}")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    from rich.console import Console

    Console(width=20).print("rich says " + KEY)
    print(KEY)
    try:
        raise KeyError(KEY)
    except KeyError as error:
        raise RuntimeError(f"the end: {KEY}") from error


cli.qlam = work
cli.main()
"""


def test_nothing_that_a_process_prints_or_logs_holds_the_key(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "QISKIT_IBM_TOKEN": KEY, "HOME": str(tmp_path)},
    )
    log = (tmp_path / "all.log").read_text()
    assert done.returncode == 1  # a defect keeps its traceback
    for part in (
        "a warning with [redacted]",
        "in a thread: [redacted]",
        "KeyError: '[redacted]'",
        "the end: [redacted]",
    ):
        assert part in done.stderr
    assert "sent [redacted]" in log and "ValueError: [redacted]" in log
    for text in (done.stdout, done.stderr, log):
        dense = "".join(text.split())
        assert KEY not in dense.replace(f'KEY="{KEY}"', "")
