"""A trained model as sampler PUBs, and sampled probabilities as logits: what runs on hardware, shot by shot.

A memory of one layer is one circuit for each head, query and readout in time, with weights bound and the angles of the
samples as rows of parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model.qlam import QLAM


def sampler_pubs(
    model: QLAM, tokens: torch.Tensor, shots: int | None = None, query: torch.Tensor | None = None
) -> list[SamplerPub]:
    """Write out the circuits of tokens (N, T, c), one PUB of N rows for each readout in time, head and query.

    ``shots`` of each row; None leaves them to the sampler. Raises ConfigurationError for a model of several layers,
    whose second layer needs measured readouts before its angles are known.
    """
    if len(model.layers) != 1:
        raise ConfigurationError(
            f"a model of {len(model.layers)} layers is not one circuit: each layer's angles need the readouts of "
            "the one before; evaluate it on a simulator (kind exact or aer)"
        )
    (layer,) = model.layers
    network = layer.memory.neural_network
    memory = network.memory
    with torch.no_grad():
        angles, alpha = (part.double().numpy() for part in layer.angles(tokens, query))
        weights = network.split_weights(layer.memory.weight * layer.memory.weight_scale).double().numpy()
    alpha = np.broadcast_to(alpha, (len(tokens), len(layer.readout_steps), *alpha.shape[2:]))
    fixed_query = layer.query_kind == "learned"
    pubs = []
    for slot, last in enumerate(layer.readout_steps):
        circuit = memory.unroll(last + 1, measure=True)
        inputs = memory.sequence_inputs(last + 1)
        for head in range(network.heads):
            rows = angles[:, : last + 1, head].reshape(len(tokens), -1)
            for index in range(network.queries):
                bound = dict(zip(memory.weights, weights[head], strict=True))
                free, values = tuple(inputs), rows
                if fixed_query:
                    bound |= dict(zip(memory.query_angles, alpha[0, slot, head, index], strict=True))
                else:
                    free, values = (*inputs, *memory.query_angles), np.hstack([rows, alpha[:, slot, head, index]])
                ready = circuit.assign_parameters(bound)
                pubs.append(SamplerPub.coerce((ready, {tuple(p.name for p in free): values}, shots)))
    return pubs


def logits_from_probabilities(model: QLAM, probabilities: Sequence[np.ndarray]) -> torch.Tensor:
    """Turn each PUB's bitstring probabilities (N, D), in the order of :func:`sampler_pubs`, into logits (N, M, C)."""
    (layer,) = model.layers
    network = layer.memory.neural_network
    stacked = np.stack([np.asarray(part, np.float32) for part in probabilities], axis=1)
    readouts = network.readout.from_probabilities(stacked).reshape(len(stacked), len(layer.readout_steps), -1)
    with torch.no_grad():
        return model.classify(torch.from_numpy(np.ascontiguousarray(readouts)))
