"""TensorCircuit-NG on JAX in complex64: the update, written with ``tc.Circuit``, is the body of a scan over time.

Where qubits are damped it is ``tc.DMCircuit``, whose state is a density matrix.
"""

from __future__ import annotations

import jax
import tensorcircuit as tc

from benchmarks.frameworks import Pass, jax_scan
from benchmarks.problem import Problem


def prepare(problem: Problem, tuned: bool = False) -> Pass:
    """Write the circuit as its documentation teaches, or ``tuned``.

    Tuned, besides what ``jax_scan`` does: a contraction path of cotengra that writes as little as possible, and RY and
    RZ as one U gate. Tried and slower: samples as the last axis, phase tables, unrolled scans.
    """
    tc.set_backend("jax")
    tc.set_dtype("complex64")
    if tuned:
        import cotengra

        optimizer = cotengra.ReusableHyperOptimizer(
            methods=["greedy"], minimize="write", max_repeats=32, optlib="random", parallel=False, seed=0
        )
        tc.set_contractor("custom", optimizer=optimizer)
    n = problem.qubits

    def gates(circuit: tc.Circuit, angles: jax.Array, weights: jax.Array) -> None:
        for qubit in range(n):
            if tuned:
                circuit.u(qubit, theta=angles[2 * qubit], phi=angles[2 * qubit + 1], lbd=0.0)
            else:
                circuit.ry(qubit, theta=angles[2 * qubit])
                circuit.rz(qubit, theta=angles[2 * qubit + 1])
        for index, (first, second) in enumerate(problem.pairs):
            circuit.rzz(first, second, theta=weights[index])
        for qubit in range(n):
            circuit.rx(qubit, theta=weights[n + qubit])

    def update(state: jax.Array, angles: jax.Array, weights: jax.Array) -> jax.Array:
        circuit = tc.Circuit(n, inputs=state)
        gates(circuit, angles, weights)
        return circuit.state()

    def damped_update(state: jax.Array, angles: jax.Array, weights: jax.Array) -> jax.Array:
        circuit = tc.DMCircuit(n, dminputs=state)
        gates(circuit, angles, weights)
        for qubit in range(n):
            gamma = jax.nn.sigmoid(weights[2 * n + qubit])
            circuit.amplitudedamping(qubit, gamma=gamma, p=1.0)
        return circuit.densitymatrix()

    if problem.damped:
        return jax_scan.prepare(problem, jax.vmap(damped_update, (0, 0, None)), tuned=tuned)
    return jax_scan.prepare(problem, jax.vmap(update, (0, 0, None)), tuned=tuned)
