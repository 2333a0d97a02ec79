"""Run by torchrun beside small.yaml: two ranks disagree, and each writes down what it learned from the other."""

import json
import math
import os
import time
import weakref
from pathlib import Path

import numpy as np
import torch

from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.model.layer import MemoryLayer
from qlam_qiskit.training import load_experiment, train
from qlam_qiskit.training.joining import joined

OUT = Path("failed")

with joined() as ranks:
    second = ranks.rank == 1
    module = torch.nn.Linear(3, 2)
    torch.optim.AdamW(module.parameters())
    group = weakref.ref(torch.distributed.group.WORLD)

    def error_of(function):
        try:
            function()
        except QlamError as error:
            return f"{error.exit_status} {error}"

    def differentiate(loss=1.0, error=None):
        if second and error:
            raise error
        if not second:  # the other has no samples, and no gradients
            module.weight.grad = torch.arange(6.0).reshape(2, 3)
            module.bias.grad = torch.ones(2)
        return (loss if second else 2.0), 0.25

    def step(loss=1.0, error=None, stop=False):
        module.zero_grad()
        return ranks.step(module, lambda: differentiate(loss, error), lambda: stop and second)

    def make():
        if ranks.rank == 0:
            time.sleep(0.3)
            Path("downloaded").touch()
        return Path("downloaded").exists()

    def fail_together(error):
        with ranks.together():
            if second:
                raise error

    def fail_first():
        raise ConfigurationError("no such thing")

    def draw():
        global drawn
        drawn = torch.rand(()).item()
        return drawn, 0.0

    def train_with_shots():
        train(load_experiment("small.yaml", backend="aer_shots"), "small", None, ranks=ranks)

    def out_of_qubits(*_):
        raise QlamError("out of qubits")

    def train_normalized():
        if second:
            MemoryLayer.forward = out_of_qubits
        train(load_experiment("small.yaml", ("model.readout.normalize=batch",)), "small", None, out=OUT, ranks=ranks)

    torch.manual_seed(0)
    learned = {
        "shares": [len(ranks.share(np.arange(size))) for size in (1, 5, 6)],
        "sum": ranks.sum(0.1, float(ranks.rank)),
        "from_first": ranks.from_first(lambda: f"made by {ranks.rank}"),
        "found_download": ranks.in_turn(make),
        "step": step(),
        "gradients": [module.weight.grad.tolist(), module.bias.grad.tolist()],
        "stop": step(stop=True),
        "loss_is_nan": [math.isnan(number) for number in step(loss=math.nan)],
        "loss_is_infinite": step(loss=math.inf)[0] == math.inf,
        "step_failed": error_of(lambda: step(error=QlamError("out of qubits"))),
        "normalized_step_failed": error_of(train_normalized),
        "second_failed": error_of(lambda: fail_together(ConfigurationError("no such data"))),
        "first_failed": error_of(lambda: ranks.from_first(fail_first)),
        "differ": error_of(lambda: ranks.check_same(lambda: {"first_weights": ranks.rank, "task": "same"})),
        "sum_of_draws": ranks.step(module, draw, lambda: False)[0],
        "drawn": drawn,
        "next_draw": torch.rand(()).item(),
        "shots": error_of(train_with_shots),
        "threads": [torch.get_num_threads(), ranks.threads],
    }
learned["group_is_gone"] = group() is None
Path(f"rank-{os.environ['RANK']}.json").write_text(json.dumps(learned))
