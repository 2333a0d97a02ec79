"""Jobs are trained alike whatever the user's own registry says."""

from pathlib import Path

from qlam_qiskit.compare.training import Bench


def test_a_registry_of_the_users_own_changes_nothing(small, run):
    Path("backends.yaml").write_text("default: exact\nbackends:\n  exact: {kind: aer, shots: 10}\n")
    run(models=["gru"], seeds=[0])
    assert Path("results/small/gru-seed0.json").exists()


def test_the_engine_has_the_threads_of_the_comparison(tmp_path):
    assert Bench(tmp_path, None, 3).executions().spec.threads == 3
