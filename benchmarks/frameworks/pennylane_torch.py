"""PennyLane on torch: default.qubit, default.mixed by backpropagation over a batch, lightning.qubit by its adjoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml
import torch

from benchmarks.frameworks import Pass, cores
from benchmarks.problem import Answer, Problem


def prepare(problem: Problem, device: str = "default.qubit") -> Pass:
    """Write out the sequence as one QNode; lightning.qubit runs its samples one by one."""
    n = problem.qubits
    inputs, weights, coefficients = (torch.from_numpy(array) for array in problem.arrays())
    inputs.requires_grad_()
    weights.requires_grad_()

    def circuit(inputs: torch.Tensor, weights: torch.Tensor) -> list[Any]:
        for step in range(problem.steps):
            for qubit in range(n):
                qml.RY(inputs[..., step, 2 * qubit], qubit)
                qml.RZ(inputs[..., step, 2 * qubit + 1], qubit)
            for index, pair in enumerate(problem.pairs):
                qml.IsingZZ(weights[index], pair)
            for qubit in range(n):
                qml.RX(weights[n + qubit], qubit)
            if problem.damped:
                for qubit in range(n):
                    qml.AmplitudeDamping(torch.sigmoid(weights[2 * n + qubit]), qubit)
        return [qml.expval(qml.Z(qubit)) for qubit in range(n)]

    if device == "lightning.qubit":
        simulator = qml.device(device, wires=n, c_dtype=np.complex64)
        node = qml.QNode(circuit, simulator, interface="torch", diff_method="adjoint")
        parts: list[Any] = list(range(len(inputs)))
    else:
        node = qml.QNode(circuit, qml.device(device, wires=n), interface="torch", diff_method="backprop")
        parts = [slice(None)]

    def run() -> Any:
        inputs.grad = weights.grad = None
        total = 0.0
        for part in parts:
            loss = (coefficients[part] * torch.stack(tuple(node(inputs[part], weights)), -1)).sum()
            loss.backward()
            total += loss.item()
        return total, inputs.grad, weights.grad

    chosen: list[int] = []

    def run_fast() -> Any:
        if not chosen and device != "lightning.qubit":
            chosen.append(_faster(run))
            torch.set_num_threads(*chosen)
        return run()

    return run_fast, lambda result: Answer(result[0], result[1].numpy(), result[2].numpy())


def _faster(run: Callable[[], Any]) -> int:
    """Return the number of torch's threads with which a pass is faster, one or all: small tensors suffer from more."""
    seconds = {}
    for threads in {1, cores()}:
        torch.set_num_threads(threads)
        run()
        began = time.perf_counter()
        run()
        seconds[threads] = time.perf_counter() - began
    return min(seconds, key=seconds.__getitem__)
