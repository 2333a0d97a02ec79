"""The optimizer: two learning rates, and a decay that only matrices have."""

import pytest
import torch
from pydantic import TypeAdapter

from qlam_qiskit.baselines import Baseline, BaselineSettings
from qlam_qiskit.model import QLAM
from qlam_qiskit.runs import TrainingSettings
from qlam_qiskit.training.optimizer import make_optimizer

EMBEDDING = {"kind": "convolution", "width": 4, "kernel": 2}
DECAYING = {
    "qlam": {"layers.0.embedding.linear.weight", "layers.0.encoder.weight", "layers.0.time_step.step.weight"},
    "gru": {"embedding.linear.weight", "memory.cell.weight_ih_l0", "memory.cell.weight_hh_l0"},
    "s4d": None,
    "transformer": None,
}


def model_of(kind):
    if kind == "qlam":
        circuit = {"template": "damped_ring", "qubits": 2}
        settings = {"circuit": circuit, "embedding": EMBEDDING, "time_step": "selective", "registers": 2}
        return QLAM(settings, steps=6, classes=3)
    settings = TypeAdapter(BaselineSettings).validate_python({"kind": kind, "width": 8, "embedding": EMBEDDING})
    return Baseline(settings, steps=6, classes=3, token_size=1)


@pytest.mark.parametrize("kind", DECAYING)
def test_without_a_gradient_only_matrices_shrink(kind):
    model = model_of(kind)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    settings = TrainingSettings(circuit_rate=0.1, head_rate=0.2, weight_decay=0.5)
    optimizer, _ = make_optimizer(model, settings, 100)
    rates = {parameter: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = set()
    for name, parameter in model.named_parameters():
        kept = 1 - 0.5 * rates[parameter]
        if not torch.equal(parameter, before[name]):
            torch.testing.assert_close(parameter.detach(), before[name] * kept)
            shrunk.add(name)
    assert "head.weight" in shrunk
    assert all(before[name].dim() > 1 for name in shrunk)
    assert not any(word in name for name in shrunk for word in ("log_", "frequency", "theta", "_weights", "bias"))
    if DECAYING[kind] is not None:
        assert shrunk == {"head.weight", *DECAYING[kind]}


def test_the_head_has_a_rate_of_its_own_and_without_decay_there_are_two_groups():
    model = model_of("qlam")
    optimizer, schedule = make_optimizer(model, TrainingSettings(circuit_rate=0.1, head_rate=0.2), 100)
    before, head = optimizer.param_groups
    assert before["max_lr"] == 0.1
    assert head["max_lr"] == 0.2
    assert set(head["params"]) == set(model.head.parameters())
    assert len(before["params"]) + len(head["params"]) == len(list(model.parameters()))
    assert before["weight_decay"] == head["weight_decay"] == 0
    assert schedule.total_steps == 100
