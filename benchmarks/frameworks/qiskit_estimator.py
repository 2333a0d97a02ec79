"""Stock qiskit-machine-learning: ``TorchConnector`` around an ``EstimatorQNN`` on Aer's EstimatorV2."""

from __future__ import annotations

from typing import Any

import torch
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import EstimatorV2
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN

from benchmarks.frameworks import Pass
from benchmarks.problem import Answer, Problem
from qlam_qiskit.templates import load_template


def prepare(problem: Problem, adjoint: bool = False) -> Pass:
    """Write out the sequence as one circuit; the gradient is stock parameter shift, or our ``adjoint`` one.

    One thread a circuit: Aer is slower with more on registers this small.
    """
    gradient = None
    if adjoint:
        from qlam_qiskit.network import AdjointEstimatorGradient

        gradient = AdjointEstimatorGradient(dtype="float32")
    memory = load_template("ring", problem.qubits)
    settings = {"method": "statevector", "precision": "single", "max_parallel_threads": 1}
    network = EstimatorQNN(
        circuit=memory.unroll(problem.steps, query=False),
        estimator=EstimatorV2(options={"backend_options": settings}),
        observables=[SparsePauliOp.from_sparse_list([("Z", [k], 1)], problem.qubits) for k in range(problem.qubits)],
        input_params=list(memory.sequence_inputs(problem.steps)),
        weight_params=list(memory.weights),
        gradient=gradient,
        input_gradients=True,
        default_precision=0.0,  # exact expectation values
    )
    arrays = problem.arrays()
    connector = TorchConnector(network, initial_weights=arrays[1])
    inputs = torch.from_numpy(arrays[0]).reshape(problem.rows, -1).requires_grad_()
    coefficients = torch.from_numpy(arrays[2])

    def run() -> Any:
        inputs.grad = connector.weight.grad = None
        loss = (coefficients * connector(inputs)).sum()
        loss.backward()
        return loss.detach(), inputs.grad, connector.weight.grad

    shape = arrays[0].shape
    return run, lambda result: Answer(float(result[0]), result[1].reshape(shape).numpy(), result[2].numpy())
