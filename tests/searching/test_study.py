"""A study that processes share: whoever dies when, no trial is lost and none counts twice."""

import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.runs import RunFolder
from qlam_qiskit.searching.methods import Method
from qlam_qiskit.searching.storage import Keeping, Worker, open_storage
from qlam_qiskit.searching.study import Standing, Study, entries

STORAGES = [None, "sqlite:///other.db", "study.journal"]


@pytest.fixture(params=STORAGES, ids=["default", "sqlite", "journal"])
def study(request, task):
    return task(url=request.param, trials=3).open()


def dead_worker(study):
    """Take a trial in a worker that dies at once, without leaving."""
    worker = Worker(study.keeping).__enter__()
    taken = study.take(worker)
    worker._lock.release()  # as the kernel does
    return taken


def standings(study):
    return [entry.standing for entry in study.entries()]


def test_two_processes_finish_a_search_though_one_is_killed(small):
    command = [sys.executable, "-m", "qlam_qiskit", "search", "small.yaml", "space.yaml", "--trials", "20"]
    command += ["--pruner", "none", "--set", "training.epochs=4"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    victim, survivor = processes
    seen = []
    for line in victim.stderr:  # until it is within a trial that has a checkpoint
        seen.append(line)
        if "epoch   1/4" in line and sum("validation samples" in said for said in seen) >= 2:
            break
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=600)
    out, said = survivor.communicate(timeout=600)
    assert survivor.returncode == 0, said
    assert out.startswith("20 trials: 20 complete\n")
    study = open_storage(None, Path("runs/search/small"))
    attempts = optuna.load_study(study_name="small", storage=study.storage).trials
    found = entries(attempts)
    assert len(found) == 20
    states = [attempt.state for attempt in attempts]
    assert (states.count(TrialState.COMPLETE), states.count(TrialState.FAIL), len(states)) == (20, 1, 21)
    (died,) = [entry for entry in found if len(entry.attempts) == 2]
    assert died.attempts[0].params == died.attempts[1].params
    assert died.attempts[1].intermediate_values.keys() == {1, 2, 3, 4}
    folders = sorted(path.name for path in Path("runs/search/small").glob("trial-*"))
    assert folders == sorted(f"trial-{entry.number:04d}" for entry in found)
    for entry in found:
        rows = RunFolder(Path(f"runs/search/small/trial-{entry.number:04d}")).metrics()
        assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
        assert entry.last.value == max(row["validation_accuracy"] for row in rows)
    trained = [line for line in [*seen, *said.splitlines()] if "validation samples" in line]
    assert len(trained) == 20


def test_a_dead_workers_trial_is_taken_up_once_and_no_other_is_trained_twice(study):
    died = dead_worker(study)
    with Worker(study.keeping) as one, Worker(study.keeping) as two:
        again, other = study.take(one), study.take(two)
        assert (again.number, again.ordinal, again.point) == (died.number, died.ordinal, died.point)
        assert again.trial.number != died.trial.number
        assert (other.number, other.ordinal) == (2, 1)
        last = study.take(one)
        assert last.ordinal == 2
        assert study.take(two) is None  # three are in hand: nothing to do now, but it is not over
        assert not study.is_done()
        assert study.complete(again, 0.5)
        assert study.prune(other)
        assert study.fail(last, "the loss is nan")
    assert study.is_done()
    assert standings(study) == [Standing.COMPLETE, Standing.PRUNED, Standing.FAILED]
    assert study.entries()[2].failure == "the loss is nan"
    assert study.best().number == died.number
    assert list(study.keeping.locks.glob("[!.]*")) == [study.keeping.locks / study_worker(study, died)]


def study_worker(study, taken):
    return study.study.trials[taken.trial.number].user_attrs["worker"]


@pytest.mark.parametrize("stage", ["created", "buried"])
def test_a_process_may_die_between_any_two_writes(task, stage):
    study = task(trials=2).open()
    worker = Worker(study.keeping)
    if stage == "created":  # before it has a point
        study._begin(worker)
    else:  # the attempt is failed, and not yet repeated
        dead_worker(study)
        study._bury(worker)
    with Worker(study.keeping) as alive:
        taken = [study.take(alive), study.take(alive)]
        assert study.take(alive) is None
    assert [(one.number, one.ordinal) for one in taken] == [(0, 0), (2, 1)]
    # The first trial is the experiment as it is.
    assert taken[0].point == {"training.circuit_rate": 0.012, "model.width": 4, "model.kind": "rnn"}


def test_what_two_processes_did_at_once_counts_once(task):
    study = task(trials=2).open()
    study = Study(
        study.study, replace(study.keeping, shared=False), study._experiment, study.space, study._method, study.total
    )
    died = dead_worker(study)
    with Worker(study.keeping) as one, Worker(study.keeping) as two:
        study._bury(one)
        attempts = [study._begin(one)]
        template = study.study.trials[1]
        attributes = {"worker": two.name, "repeats": died.number}
        twin = create_trial(state=TrialState.RUNNING, params=template.params, distributions=template.distributions,
                            user_attrs=attributes)  # fmt: skip
        attempts.append(study._create(twin))
        settled = [study._settled(attempt) for attempt in attempts]
        assert settled[0].number == died.number
        assert settled[1] is None
        new = [study._create(create_trial(state=TrialState.RUNNING, user_attrs={"worker": two.name})) for _ in range(2)]
        settled += [study._settled(attempt) for attempt in new]
        assert settled[2].ordinal == 1
        assert settled[3] is None  # a third trial of two
        assert study.take(two) is None
        assert standings(study) == [Standing.RUNNING, Standing.RUNNING]
        states = [trial.state for trial in study.study.trials]
        assert states.count(TrialState.FAIL) == 3


def test_who_was_taken_for_dead_and_comes_back_counts_for_nothing(task):
    study = task(trials=1).open()
    zombie = dead_worker(study)
    with Worker(study.keeping) as alive:
        taken = study.take(alive)
        assert not study.complete(zombie, 0.9)
        assert not study.fail(zombie, "no reason")
        assert not study.stop(zombie)
        assert study.complete(taken, 0.4)
    assert study.best().last.value == 0.4
    assert standings(study) == [Standing.COMPLETE]


def test_a_trial_that_kills_its_processes_fails_and_one_that_is_stopped_does_not(task):
    study = task(trials=2).open()
    for _ in range(4):
        with Worker(study.keeping) as worker:
            assert study.stop(study.take(worker))
    assert [dead_worker(study).number for _ in range(3)] == [0, 0, 0]
    with Worker(study.keeping) as worker:
        assert study.take(worker).ordinal == 1
    assert study.entries()[0].standing is Standing.FAILED
    assert study.entries()[0].failure == "its process died 3 times"


def test_trials_that_others_enqueue_are_trained_too(task):
    study = task(trials=2).open()
    study.study.enqueue_trial({"training.circuit_rate": 0.02, "model.width": 6, "model.kind": "gru"})
    with Worker(study.keeping) as worker:
        assert study.take(worker).point == {"training.circuit_rate": 0.02, "model.width": 6, "model.kind": "gru"}
        assert study.take(worker).ordinal == 1
        assert study.take(worker) is None


def test_over_a_server_heartbeats_say_who_is_dead(task, tmp_path):
    made = task(trials=2)
    url = f"sqlite:///{tmp_path / 'server.db'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = RDBStorage(url, heartbeat_interval=1, grace_period=2)

    def keeping(machine):
        locks = tmp_path / machine
        locks.mkdir(exist_ok=True)
        return Keeping(storage, url, locks, shared=False)

    def opened(machine):
        method = Method("random", "none", 0, 2)
        return Study.open("small", keeping(machine), made.experiment, made.space, method, 2)

    here, there = opened("here"), opened("there")
    with Worker(there.keeping) as alive, Worker(here.keeping) as worker:
        slow, lost = there.take(alive), there.take(alive)
        with alive.beating(slow.trial._trial_id):
            with alive.beating(lost.trial._trial_id):
                pass  # it beats once and then no more
            assert here.take(worker) is None
            deadline = time.monotonic() + 60
            while (again := here.take(worker)) is None:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert again.number == lost.number
        assert standings(here) == [Standing.RUNNING, Standing.RUNNING]


def test_a_study_is_of_one_experiment_and_one_space(task):
    made = task()
    made.open()
    replace(made, trials=40, sampler="random", pruner="none").open()
    other = made.experiment.model_copy(update={"seed": 5})
    with pytest.raises(ConfigurationError, match=r"study small in sqlite:.*: of another experiment \(seed\)"):
        replace(made, experiment=other).open()
    with pytest.raises(ConfigurationError, match=r"of another space \(model\.width\.step\)"):
        task(
            {
                "model.width": {"int": [2, 6]},
                **{k: v for k, v in made.space.description().items() if k != "model.width"},
            }
        ).open()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "a study in memory would be lost"),
        ("sqlite:///:memory:", "a study in memory would be lost"),
        ("study.db", r"a path is that of Optuna's journal, .*SQLite's is given as sqlite:///study\.db"),
        (".", "a path is that of Optuna's journal"),
        ("oracle9://here/there", r"--storage oracle9://here/there: cannot be opened: "),
        ("postgresql+asyncpg3://me:secretword@here/there", "cannot be opened: "),
    ],
)
def test_a_storage_that_cannot_be_is_one_line(small, url, message):
    with pytest.raises(QlamError, match=message) as caught:
        open_storage(url, Path("runs"))
    assert "\n" not in str(caught.value)
    assert "secretword" not in str(caught.value)


def test_a_storage_whose_driver_is_missing_says_which(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(ConfigurationError, match="its driver, the package psycopg2, is not installed"):
        open_storage("postgresql://here/there", Path("runs"))


def test_a_worker_sees_only_its_own_kind_of_file(small):
    keeping = open_storage(None, Path("runs"))
    with Worker(keeping) as one, Worker(keeping) as two:
        assert one.is_dead(two.name) is False
        assert one.is_dead("nobody") is True
        assert Worker(replace(keeping, shared=False)).is_dead("nobody") is None
