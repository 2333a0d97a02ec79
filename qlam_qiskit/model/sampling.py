"""A trained model as PUBs, and what they measured as readouts: what runs on hardware, shot by shot.

A memory of one layer is one circuit for each register, query and reading, with weights bound and the
angles of the samples as rows of parameters. A sampler gives bitstring probabilities, an estimator expectation values
of Z strings. One circuit of a register has all readings of what ancillas emit; a mean over the memory's own qubits
takes one for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BitArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model.layer import MemoryLayer
from qlam_qiskit.model.qlam import QLAM
from qlam_qiskit.network import Spans, emission_means, measured_steps, memory_observables
from qlam_qiskit.planning import SequencePub


def sampler_pubs(
    model: QLAM, tokens: torch.Tensor, shots: int | None = None, query: torch.Tensor | None = None
) -> list[SamplerPub]:
    """Write out the circuits of tokens (N, T, c), one PUB of N rows for each reading, register and query.

    ``shots`` of each row; None leaves them to the sampler. Raises ConfigurationError for a model of several layers,
    whose second layer needs measured readouts before its angles are known.
    """
    return [pub.sampler_pub() for pub in sequence_pubs(model, tokens, shots, query)]


def sequence_pubs(
    model: QLAM, tokens: torch.Tensor, shots: int | None = None, query: torch.Tensor | None = None
) -> list[SequencePub]:
    """Return the PUBs of :func:`sampler_pubs` as planning takes them, their circuits not written out."""
    return list(_sequence_pubs(model, tokens, query, shots, measure=True))


def estimator_pubs(
    model: QLAM,
    tokens: torch.Tensor,
    isa: Callable[[QuantumCircuit], QuantumCircuit],
    shots: int,
    query: torch.Tensor | None = None,
) -> list[EstimatorPub]:
    """Write out the same circuits for an estimator, transpiled by ``isa``: each PUB has shape (N, Z strings).

    The precision asked for is that of ``shots``. Raises as :func:`sampler_pubs`.
    """
    # Estimators round 1 / precision^2 up to shots; a hair above keeps rounding errors from adding one.
    precision = shots**-0.5 * (1 + 1e-12)
    network = model.layers[0].memory.neural_network
    if network.readout.kind == "emissions":
        raise ConfigurationError("emissions are bits of a sampler: set primitive: sampler in backends.yaml")
    strings = memory_observables(network.memory, network.readout)
    pubs = []
    for pub in _sequence_pubs(model, tokens, query, shots, measure=False):
        ready = isa(pub.circuit)
        observables = [string.apply_layout(ready.layout) for string in strings]
        values = pub.parameter_values.reshape(pub.size, 1)
        pubs.append(EstimatorPub.coerce((ready, observables, values, precision)))
    return pubs


def readouts_from_probabilities(model: QLAM, probabilities: Sequence[np.ndarray]) -> torch.Tensor:
    """Turn each PUB's bitstring probabilities (N, D), in the order of :func:`sampler_pubs`, into readouts.

    Their shape is (N, R, H * Q * K), what ``model.classify`` takes.
    """
    network = model.layers[0].memory.neural_network
    return _readouts(model, network.readout.from_probabilities(np.stack(probabilities, axis=1)))


def readouts_from_expectations(model: QLAM, values: Sequence[np.ndarray]) -> torch.Tensor:
    """Turn each PUB's Z strings (N, strings), in the order of :func:`estimator_pubs`, into the same readouts."""
    network = model.layers[0].memory.neural_network
    return _readouts(model, network.readout.from_z_strings(np.stack(values, axis=1)))


def engine_arguments(
    layer: MemoryLayer, tokens: torch.Tensor, query: torch.Tensor | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the exact engine takes for a layer's tokens (N, T, c), in double precision.

    Angles (N, T, H, P), weights (H, W) and queries (N or 1, R or 1, H, Q, A).
    """
    with torch.no_grad():
        angles, alpha = (part.double().numpy() for part in layer.angles(tokens, query))
        return angles, layer.memory.angles().double().numpy(), alpha


def readouts_from_emissions(model: QLAM, bits: Sequence[BitArray]) -> torch.Tensor:
    """Turn each PUB's ``emission`` bits, N rows in the order of :func:`sampler_pubs`, into the same readouts."""
    layer = model.layers[0]
    emissions = layer.memory.neural_network.readout.emissions
    means = [emission_means(of_register, emissions, layer.readout_steps) for of_register in bits]
    return _readouts(model, np.concatenate(means, axis=-1))


def _readouts(model: QLAM, values: np.ndarray) -> torch.Tensor:
    """Shape values (N, measured steps * H * Q, K), or (N, R, H * E), as readouts; of means they are averaged first."""
    layer = model.layers[0]
    readout, read = layer.memory.neural_network.readout, layer.readout_steps
    if readout.averages_states:
        spans = Spans.of(read)
        values = spans.mean(values.reshape(len(values), len(spans.steps), -1))
    return torch.from_numpy(values.astype(np.float32)).reshape(len(values), len(read), -1)


def _sequence_pubs(
    model: QLAM, tokens: torch.Tensor, query: torch.Tensor | None, shots: int | None, *, measure: bool
) -> Iterator[SequencePub]:
    """Yield each circuit as a sequence with weights bound, and the values of what is left free.

    All readings of a register share the step, which is the same circuit.
    """
    if len(model.layers) != 1:
        raise ConfigurationError(
            f"a model of {len(model.layers)} layers is not one circuit: each layer's angles need the readouts of "
            "the one before; evaluate it on a simulator (kind exact or aer)"
        )
    (layer,) = model.layers
    network = layer.memory.neural_network
    memory = network.memory
    angles, weights, alpha = engine_arguments(layer, tokens, query)
    alpha = np.broadcast_to(alpha, (len(tokens), len(layer.readout_steps), *alpha.shape[2:]))
    longest = layer.readout_steps[-1] + 1
    bound = [dict(zip(memory.weights, row, strict=True)) for row in weights.tolist()]
    none = np.empty((len(tokens), 0))
    if network.readout.kind == "emissions":
        sequence = memory.sequence(longest, query=False, emissions=True)
        for register, values in enumerate(bound):
            yield SequencePub(sequence.bound(values), angles[:, :longest, register], (), none, shots)
        return
    steps, slots = measured_steps(network.readout, layer.readout_steps)
    sequence = memory.sequence(longest, measure=measure)
    fixed = layer.query_kind == "learned"
    whole = {}
    for register, values in enumerate(bound):
        one = sequence.bound(values)
        for index in range(network.queries):
            chosen = dict(zip(memory.query_angles, alpha[0, 0, register, index].tolist(), strict=True))
            whole[register, index] = replace(one, ending=one.bound(chosen).ending) if fixed else one
    for last, slot in zip(steps, slots, strict=True):
        phi = memory.sequence_inputs(last + 1)
        for (register, index), sequence in whole.items():
            part = replace(sequence, steps=last + 1, phi=phi)
            free, values = (), none
            if not fixed:
                free, values = memory.query_angles, alpha[:, slot, register, index]
            yield SequencePub(part, angles[:, : last + 1, register], free, values, shots)
