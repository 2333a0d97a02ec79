"""A trained model as PUBs, and what they measured as readouts: what runs on hardware, shot by shot.

A memory of one layer is one circuit for each register, query and reading, with weights bound and the
angles of the samples as rows of parameters. A sampler gives bitstring probabilities, an estimator expectation values
of Z strings. One circuit of a register has all readings of what ancillas emit; a mean over the memory's own qubits
takes one for each step. Samples of different lengths have circuits of their own: PUBs come in groups of samples that
are read after the same steps, short ones first.
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
from qlam_qiskit.model.padding import without_padding
from qlam_qiskit.model.qlam import QLAM
from qlam_qiskit.network import Group, Spans, emission_means, group_by_times, measured_steps, memory_observables
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
        if pub.sequence.step.num_clbits:
            raise ConfigurationError(
                f"circuit {pub.sequence.step.name!r} measures a qubit that it goes on with, which no estimator "
                "takes: set primitive: sampler in backends.yaml"
            )
        ready = isa(pub.circuit)
        observables = [string.apply_layout(ready.layout) for string in strings]
        values = pub.parameter_values.reshape(pub.size, 1)
        pubs.append(EstimatorPub.coerce((ready, observables, values, precision)))
    return pubs


def readouts_from_probabilities(
    model: QLAM, probabilities: Sequence[np.ndarray], lengths: np.ndarray | None = None
) -> torch.Tensor:
    """Turn each PUB's bitstring probabilities (N, D), in the order of :func:`sampler_pubs`, into readouts.

    Their shape is (N, R, H * Q * K), what ``model.classify`` takes. ``lengths`` (N,) are those of the samples, where
    they differ.
    """
    network = model.layers[0].memory.neural_network
    return _readouts(model, [network.readout.from_probabilities(part) for part in probabilities], lengths)


def readouts_from_expectations(
    model: QLAM, values: Sequence[np.ndarray], lengths: np.ndarray | None = None
) -> torch.Tensor:
    """Turn each PUB's Z strings (N, strings), in the order of :func:`estimator_pubs`, into the same readouts."""
    network = model.layers[0].memory.neural_network
    return _readouts(model, [network.readout.from_z_strings(part) for part in values], lengths)


def engine_arguments(
    layer: MemoryLayer, tokens: torch.Tensor, query: torch.Tensor | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the exact engine takes for a layer's tokens (N, T, c), in double precision.

    Angles (N, T, H, P), weights (H, W) and queries (N or 1, R or 1, H, Q, A). Samples shorter than T end in NaN.
    """
    tokens, lengths = without_padding(tokens)
    with torch.no_grad():
        parts = layer.angles(tokens, query, lengths)
        angles, alpha, weights = (part.double().cpu().numpy() for part in (*parts, layer.memory.angles()))
        return angles, weights, alpha


def readouts_from_emissions(model: QLAM, bits: Sequence[BitArray], lengths: np.ndarray | None = None) -> torch.Tensor:
    """Turn each PUB's ``emission`` bits, in the order of :func:`sampler_pubs`, into the same readouts."""
    layer = model.layers[0]
    emissions, count = layer.memory.neural_network.readout.emissions, layer.registers
    values = None
    for number, group in enumerate(_groups(layer, bits[0].size, lengths)):
        of_registers = bits[number * count : (number + 1) * count]
        means = np.concatenate([emission_means(part, emissions, group.read) for part in of_registers], axis=-1)
        values = _placed(values, group, means, layer, lengths)
    return _in_time(layer, values, lengths)


def _readouts(model: QLAM, values: Sequence[np.ndarray], lengths: np.ndarray | None) -> torch.Tensor:
    """Shape each PUB's values (n, K) as readouts; of means they are averaged first."""
    layer = model.layers[0]
    network = layer.memory.neural_network
    placed, first = None, 0
    for group in _groups(layer, len(values[0]), lengths):
        spans = Spans.of(group.read) if network.readout.averages_states else None
        count = len(group.read if spans is None else spans.steps)
        last = first + count * network.registers * network.queries
        found = np.stack(values[first:last], axis=1)
        first = last
        if spans is not None:
            found = spans.mean(found.reshape(len(found), count, -1))
        placed = _placed(placed, group, found.reshape(len(found), len(group.read), -1), layer, lengths)
    return _in_time(layer, placed, lengths)


def _groups(layer: MemoryLayer, samples: int, lengths: np.ndarray | None) -> list[Group]:
    """Group samples by when they are read: one group where all have T steps."""
    if lengths is None:
        return [Group(np.arange(samples), np.arange(len(layer.readout_steps)), layer.readout_steps)]
    return group_by_times(layer.times(torch.as_tensor(lengths)))


def _placed(
    values: np.ndarray | None, group: Group, found: np.ndarray, layer: MemoryLayer, lengths: np.ndarray | None
) -> np.ndarray:
    """Put what a group (n, r, F) has read in its place among all readouts (N, R, F)."""
    if values is None:
        samples = len(found) if lengths is None else len(lengths)
        values = np.zeros((samples, len(layer.readout_steps), found.shape[-1]), np.float32)
    values[np.ix_(group.rows, group.slots)] = found
    return values


def _in_time(layer: MemoryLayer, values: np.ndarray, lengths: np.ndarray | None) -> torch.Tensor:
    readouts = torch.from_numpy(values).unflatten(-1, (layer.registers, -1))
    return layer.in_time(readouts, None if lengths is None else torch.as_tensor(lengths)).flatten(2)


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
    angles, weights, alpha = engine_arguments(layer, tokens, query)
    alpha = np.broadcast_to(alpha, (len(tokens), len(layer.readout_steps), *alpha.shape[2:]))
    _, lengths = without_padding(tokens)
    for group in _groups(layer, len(tokens), None if lengths is None else lengths.numpy()):
        yield from _pubs_of_group(layer, group, *group.cut(angles, alpha), weights, shots, measure=measure)


def _pubs_of_group(
    layer: MemoryLayer,
    group: Group,
    angles: np.ndarray,
    alpha: np.ndarray,
    weights: np.ndarray,
    shots: int | None,
    *,
    measure: bool,
) -> Iterator[SequencePub]:
    """Yield the sequences of samples that are read after the same steps; arguments as the exact engine takes them."""
    network = layer.memory.neural_network
    memory, longest = network.memory, group.steps
    bound = [dict(zip(memory.weights, row, strict=True)) for row in weights.tolist()]
    none = np.empty((len(angles), 0))
    if network.readout.kind == "emissions":
        sequence = memory.sequence(longest, query=False, emissions=True)
        for register, values in enumerate(bound):
            yield SequencePub(sequence.bound(values), angles[:, :, register], (), none, shots)
        return
    steps, slots = measured_steps(network.readout, group.read)
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
