"""What the engine must agree with: states by Qiskit itself, and slopes by differences."""

import numpy as np
from qiskit.quantum_info import Statevector


def bound_sequence(memory, inputs, weights, emissions=False):
    """Bind the circuit of a sequence, without query or measurement, to inputs (T, P) and weights (W,)."""
    steps = len(inputs)
    circuit = memory.unroll(steps, query=False, emissions=emissions)
    values = dict(zip(memory.sequence_inputs(steps), np.ravel(inputs), strict=True))
    values |= dict(zip(memory.weights, weights, strict=True))
    return circuit.assign_parameters({p: value for p, value in values.items() if p in circuit.parameters})


def qiskit_states(memory, inputs, weights):
    """Return psi_T of every sample, (B, D), by Qiskit's own simulation."""
    return np.array([Statevector(bound_sequence(memory, sample, weights)).data for sample in inputs])


def random_arguments(engine, rng, samples=3, steps=4, registers=1, queries=1, readouts=1, size=1.0):
    """Draw inputs, weights and queries for an engine, of the given standard deviation (radians)."""
    memory = engine.memory
    return [
        rng.normal(size=shape) * size
        for shape in (
            (samples, steps, registers, memory.num_inputs),
            (registers, memory.num_weights),
            (samples, readouts, registers, queries, memory.num_query_angles),
        )
    ]


def assert_slopes(value, arguments, gradients, rng, step=1e-5, tolerance=1e-7):
    """Compare the gradient of each argument with the central difference of ``value`` along a random direction."""
    for k, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        direction = rng.normal(size=argument.shape)
        ahead, behind = ([*arguments[:k], argument + s * direction, *arguments[k + 1 :]] for s in (step, -step))
        slope = (value(*ahead) - value(*behind)) / (2 * step)
        scale = max(1.0, float(np.linalg.norm(direction) * np.linalg.norm(gradient)))
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=0, atol=tolerance * scale)
