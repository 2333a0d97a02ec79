"""Files are written whole, only where files belong, and for their owner alone where they hold private things."""

import os
import stat
from pathlib import Path

import pytest

from qlam_qiskit.errors import QlamError
from qlam_qiskit.workspace import append_line, make_private_folder, run_names, write_atomically, write_file


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_modes_follow_the_umask_or_are_private_or_stay():
    write_atomically(Path("a"), "1")
    assert mode("a") == 0o644
    os.umask(0o007)
    write_atomically(Path("b"), "1")
    assert mode("b") == 0o660
    write_atomically(Path("c"), "1", private=True)
    assert mode("c") == 0o600
    Path("a").chmod(0o640)
    write_atomically(Path("a"), "2")
    assert (mode("a"), Path("a").read_text()) == (0o640, "2")
    assert sorted(path.name for path in Path().iterdir()) == ["a", "b", "c"]


def test_a_symbolic_link_stays_and_its_file_is_replaced():
    Path("folder").mkdir()
    Path("folder/real").write_text("old")
    Path("link").symlink_to("folder/real")
    write_atomically(Path("link"), "new")
    assert Path("link").is_symlink() and Path("folder/real").read_text() == "new"
    Path("new link").symlink_to("folder/not yet")
    write_atomically(Path("new link"), "made")
    assert Path("new link").is_symlink() and Path("folder/not yet").read_text() == "made"


def _places():
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("itself").symlink_to("itself")
    Path("to a pipe").symlink_to("pipe")
    return ["/dev/full", "/dev/null", "pipe", "to a pipe", "folder", "itself", "no/such/folder/x", "a" * 300, "a/\0"]


def test_only_regular_files_are_replaced_or_added_to():
    null = os.stat("/dev/null")  # noqa: PTH116
    for place in _places():
        kind = os.lstat(place).st_mode if os.path.lexists(place.replace("\0", "")) else None
        for write in (write_file, append_line):
            with pytest.raises((QlamError, ValueError)) as raised:
                write(Path(place), "x")
            assert "\n" not in str(raised.value)
        assert kind is None or os.lstat(place).st_mode == kind
    assert os.stat("/dev/null").st_rdev == null.st_rdev  # noqa: PTH116


@pytest.mark.parametrize(
    "command",
    [
        ("circuits", "export", "line", "--out"),
        ("circuits", "export", "line", "--format", "qpy", "--out"),
        ("train", "small.yaml", "--out"),
    ],
    ids=" ".join,
)
def test_out_is_no_device(run, small_experiment, command):
    if os.stat("/dev/full").st_rdev == 0:  # noqa: PTH116
        pytest.skip("no devices here")
    status, out, err = run(*command, "/dev/full")
    assert status in (1, 2) and out == ""
    assert sum(line.startswith("Error: ") for line in err.splitlines()) == 1 and "/dev/full" in err
    assert "Traceback" not in err
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)  # noqa: PTH116


def test_a_picture_goes_through_a_pipe_nowhere(run, tmp_path):
    os.mkfifo("line.png")
    status, _, err = run("circuits", "draw", "line", "--out", "line.png")
    assert status == 1 and "line.png: cannot be written: it is a device or a pipe, not a file" in err


def test_a_workspace_is_its_owners(run, small_experiment, monkeypatch):
    monkeypatch.setenv("QLAM_HOME", "deep/home")
    assert run("train", small_experiment, "--set", "training.epochs=1")[0] == 0
    assert run("evaluate", "small")[0] == 0
    for folder in ("deep", "deep/home", "deep/home/small"):
        assert mode(folder) == 0o700
    assert mode("deep/home/small/evaluations.jsonl") == 0o600
    assert run_names() == ["small"]
    Path("shared").mkdir()
    assert run("train", small_experiment, "--set", "training.epochs=1", "--out", "shared/run")[0] == 0
    assert mode("shared/run") == 0o755  # where the user said, as the user's umask says


def test_a_folder_that_is_there_keeps_its_mode():
    Path("shared").mkdir(mode=0o755)
    make_private_folder(Path("shared/mine/runs"))
    assert (mode("shared"), mode("shared/mine"), mode("shared/mine/runs")) == (0o755, 0o700, 0o700)
    make_private_folder(Path("shared/mine/runs"))
    Path("file").touch()
    with pytest.raises(OSError):
        make_private_folder(Path("file/runs"))


def test_a_workspace_that_cannot_be_made_is_one_line(run, small_experiment, monkeypatch):
    for place in ("/dev/null/runs", "small.npz", "itself"):
        Path("itself").unlink(missing_ok=True)
        Path("itself").symlink_to("itself")
        monkeypatch.setenv("QLAM_HOME", place)
        status, out, err = run("train", small_experiment)
        assert status in (1, 2) and out == "" and "Traceback" not in err
        assert sum(line.startswith("Error: ") for line in err.splitlines()) == 1
