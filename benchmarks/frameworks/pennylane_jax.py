"""PennyLane's default.qubit on JAX: the update is a QNode from state to state, the body of a scan over time.

Written out as one circuit it takes minutes to compile, and a pass is no faster.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pennylane as qml

from benchmarks.frameworks import Pass, jax_scan
from benchmarks.problem import Problem


def prepare(problem: Problem) -> Pass:
    """Write the update as a QNode that broadcasts over samples."""
    n = problem.qubits

    @qml.qnode(qml.device("default.qubit", wires=n), interface="jax", diff_method="backprop")
    def circuit(states: jax.Array, angles: jax.Array, weights: jax.Array) -> qml.measurements.StateMP:
        qml.StatePrep(states, wires=range(n), validate_norm=False)
        for qubit in range(n):
            qml.RY(angles[:, 2 * qubit], qubit)
            qml.RZ(angles[:, 2 * qubit + 1], qubit)
        for index, pair in enumerate(problem.pairs):
            qml.IsingZZ(weights[index], pair)
        for qubit in range(n):
            qml.RX(weights[n + qubit], qubit)
        return qml.state()

    def update(states: jax.Array, angles: jax.Array, weights: jax.Array) -> jax.Array:
        return circuit(states, angles, weights).astype(jnp.complex64)

    return jax_scan.prepare(problem, update, tuned=True)
