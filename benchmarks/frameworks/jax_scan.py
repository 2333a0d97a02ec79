"""What JAX does with an update of a batch of states: scan over time, differentiate, compile, share over devices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.frameworks import Pass
from benchmarks.problem import Answer, Problem

Update = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def prepare(problem: Problem, update: Update, *, tuned: bool) -> Pass:
    """Compile ``update(states, angles (b, 2n), weights (W,))``, whose first qubit is the most significant.

    States are (b, 2^n), or (b, 2^n, 2^n) where qubits are damped.
    ``tuned`` divides the samples among XLA's devices, and recomputes each update in the backward pass: what a step
    would otherwise keep of every gate takes longer to write and read than to compute.
    """
    n = problem.qubits
    bits = np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1) & 1
    signs = jnp.asarray(1 - 2 * bits, jnp.float32)
    step = jax.checkpoint(update) if tuned else update

    def loss(inputs: jax.Array, weights: jax.Array, coefficients: jax.Array) -> jax.Array:
        shape = (len(inputs), *(2 if problem.damped else 1) * [2**n])
        start = jnp.zeros(shape, jnp.complex64).at[(slice(None), *(len(shape) - 1) * [0])].set(1)
        states, _ = jax.lax.scan(
            lambda states, angles: (step(states, angles, weights), None), start, jnp.swapaxes(inputs, 0, 1)
        )
        if problem.damped:
            probabilities = jnp.real(jnp.diagonal(states, axis1=1, axis2=2))
        else:
            probabilities = jnp.real(states) ** 2 + jnp.imag(states) ** 2
        return (coefficients * (probabilities @ signs)).sum()

    function: Callable[..., Any] = jax.value_and_grad(loss, (0, 1))
    arrays = [jnp.asarray(array) for array in problem.arrays()]
    if tuned:
        function, arrays = _divided(function, arrays)
    compiled = jax.jit(function)
    return (
        lambda: jax.block_until_ready(compiled(*arrays)),
        lambda result: Answer(float(result[0]), np.asarray(result[1][0]), np.asarray(result[1][1])),
    )


def _divided(function: Callable[..., Any], arrays: list[jax.Array]) -> tuple[Callable[..., Any], list[jax.Array]]:
    """Let every device take an equal part of the samples, and sum what they share."""
    devices = jax.devices()
    mesh = Mesh(np.array(devices[: math.gcd(len(devices), len(arrays[0]))]), ("samples",))
    divided, whole = PartitionSpec("samples"), PartitionSpec()

    def part(*arguments: jax.Array) -> Any:
        loss, (inputs, weights) = function(*arguments)
        return jax.lax.psum(loss, "samples"), (inputs, jax.lax.psum(weights, "samples"))

    given = (divided, whole, divided)
    together = jax.shard_map(part, mesh=mesh, in_specs=given, out_specs=(whole, (divided, whole)), check_vma=False)
    placed = [jax.device_put(array, NamedSharding(mesh, spec)) for array, spec in zip(arrays, given, strict=True)]
    return together, placed
