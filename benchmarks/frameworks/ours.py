"""The exact engine as a user calls it: a ``MemoryConnector`` in torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from qiskit import QuantumCircuit

from benchmarks.frameworks import Pass
from benchmarks.problem import Answer, Problem
from qlam_qiskit.engine import Readout
from qlam_qiskit.network import ExactExecution, MemoryConnector, MemoryNetwork
from qlam_qiskit.templates import load_template


def prepare(problem: Problem, precision: str = "float32") -> Pass:
    """Compile the template without a query rotation, which the peers have not either."""
    template = load_template("damped_ring" if problem.damped else "ring", problem.qubits)
    memory = replace(template, query=QuantumCircuit(problem.qubits), query_angles=())
    readout = Readout(problem.qubits, "z_strings", max_weight=1)
    execution = ExactExecution.of(memory, readout, precision=precision)
    network = MemoryNetwork(memory, problem.steps, readout=readout, execution=execution)
    arrays = (torch.from_numpy(array).to(getattr(torch, precision)) for array in problem.arrays())
    inputs, weights, coefficients = arrays
    connector = MemoryConnector(network, initial_weights=weights.numpy()).to(inputs.dtype)
    inputs = inputs[:, :, None, :].requires_grad_()
    queries = torch.zeros(1, 1, 1, 1, memory.num_query_angles, dtype=inputs.dtype)

    def run() -> Any:
        inputs.grad = connector.weight.grad = None
        readouts = connector(inputs, queries).reshape(coefficients.shape)
        loss = (coefficients * readouts).sum()
        loss.backward()
        return loss.detach(), inputs.grad, connector.weight.grad

    return run, lambda result: Answer(float(result[0]), result[1][:, :, 0].numpy(), result[2].numpy())
