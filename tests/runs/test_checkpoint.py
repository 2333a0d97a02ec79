"""Checkpoints: what was saved comes back, and nothing damaged or foreign is taken for it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from qlam_qiskit.errors import QlamError, RunError
from qlam_qiskit.runs.checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "last.safetensors"
    tensors = {"model/weight": torch.randn(3, 2), "model/bias": torch.randn(3), "random/torch": torch.get_rng_state()}
    save_checkpoint(path, Checkpoint(tensors, {"epoch": 2, "rate": 0.1 + 0.2}))
    return path


def test_tensors_and_state_come_back_exactly(path):
    loaded = load_checkpoint(path)
    assert loaded.state == {"epoch": 2, "rate": 0.1 + 0.2}
    assert torch.equal(loaded.tensors["random/torch"], torch.get_rng_state())
    assert set(loaded.group("model")) == {"weight", "bias"}


def test_a_file_cut_short_at_any_place_is_refused(path):
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(RunError, match="damaged"):
            load_checkpoint(path)


def test_a_changed_byte_anywhere_is_refused(path):
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        changed = bytearray(whole)
        changed[place] ^= 0x15
        path.write_bytes(changed)
        with pytest.raises(RunError) as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)


def test_a_safetensors_file_of_another_program_is_refused(path):
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(RunError, match="not a checkpoint of this package"):
        load_checkpoint(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_weights_of_another_model_are_refused(path):
    checkpoint = load_checkpoint(path)
    load_weights(torch.nn.Linear(2, 3), checkpoint, path)
    with pytest.raises(RunError, match=r"another model \(weight has shape"):
        load_weights(torch.nn.Linear(5, 3), checkpoint, path)
    with pytest.raises(RunError, match="another model"):
        load_weights(torch.nn.Bilinear(2, 2, 3, bias=False), checkpoint, path)


def test_a_run_whose_pauli_errors_were_drawn_still_loads():
    model = torch.nn.Linear(2, 1)
    weights = {f"model/{name}": tensor + 1 for name, tensor in model.state_dict().items()}
    probability = {"model/layers.0.pauli_noise.probability": torch.tensor(0.1)}
    load_weights(model, Checkpoint(weights | probability, {}), Path("best"))
    assert all(torch.equal(tensor, weights[f"model/{name}"]) for name, tensor in model.state_dict().items())


def test_a_failed_write_leaves_the_old_checkpoint_and_nothing_else(path, monkeypatch):
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(QlamError, match="cannot be written: No space left"):
        save_checkpoint(path, Checkpoint({"model/weight": torch.ones(1)}, {}))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_header_is_plain_json(path):
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    assert json.loads(raw[8 : 8 + size])["__metadata__"]["format"] == "qlam-checkpoint-1"
