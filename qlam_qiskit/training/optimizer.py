"""AdamW with two learning rates and a one-cycle schedule: what takes the steps of a training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from qlam_qiskit.baselines import Baseline
from qlam_qiskit.model import QLAM
from qlam_qiskit.runs import TrainingSettings

_MATRICES = (nn.Linear, nn.RNNBase)


def make_optimizer(model: QLAM | Baseline, settings: TrainingSettings, steps: int) -> tuple[AdamW, OneCycleLR]:
    """Return the optimizer of a model's parameters and the schedule of its ``steps``.

    The head has ``head_rate``, everything before it ``circuit_rate``. Only the matrices of linear and recurrent maps
    decay: an angle has no natural zero, and a rate of damping that decays would go to one half.
    """
    groups = list(_groups(model, settings))
    optimizer = AdamW(groups, weight_decay=0.0)
    return optimizer, OneCycleLR(optimizer, [group["lr"] for group in groups], total_steps=max(steps, 4))


def _groups(model: QLAM | Baseline, settings: TrainingSettings) -> Iterator[dict[str, Any]]:
    """Yield AdamW's groups: what is before the head, and the head; where there is decay, each in two."""
    head = set(model.head.parameters())
    decaying = set(_matrices(model)) if settings.weight_decay else set()
    for is_head, rate in (False, settings.circuit_rate), (True, settings.head_rate):
        own = [parameter for parameter in model.parameters() if (parameter in head) == is_head]
        yield {"params": [parameter for parameter in own if parameter not in decaying], "lr": rate}
        if decaying:
            chosen = [parameter for parameter in own if parameter in decaying]
            yield {"params": chosen, "lr": rate, "weight_decay": settings.weight_decay}


def _matrices(model: nn.Module) -> Iterator[nn.Parameter]:
    for module in model.modules():
        if isinstance(module, _MATRICES):
            yield from (parameter for parameter in module.parameters(recurse=False) if parameter.dim() > 1)
