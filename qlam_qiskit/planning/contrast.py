"""How much of what tells samples apart a device leaves: the contrast of a memory's readouts under its errors.

A product of fidelities says nothing of a memory that forgets, for errors are forgotten like everything else: after 784
steps it is 1e-20, and the memory answers. What counts is by how much readouts differ from sample to sample. Their
spread is computed by the exact engine twice, without errors and with those of the device's calibration on the chains
that the circuits run on; the contrast is the ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qiskit.providers import BackendV2

from qlam_qiskit.engine import Readout, make_engine
from qlam_qiskit.errors import PlanningError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.planning.device_noise import noisy_memory

_MOST_CHAINS = 3


@dataclass(frozen=True)
class Contrast:
    """What errors leave of the spread of readouts, and the shots that it takes to see it.

    Attributes
    ----------
    mean, worst, best
        Noisy spread over ideal spread, root mean squares over all readouts: of the chains together, and of single ones.
    shots
        Of one circuit, with which the sampling error of a readout is half its noisy spread.
    """

    mean: float
    worst: float
    best: float
    shots: int


def predict_contrast(
    memory: MemoryCircuit,
    readout: Readout,
    device: BackendV2,
    chains: Sequence[Sequence[int]],
    arguments: Sequence[np.ndarray],
    readout_steps: Sequence[int] | np.ndarray,
) -> Contrast:
    """Predict the contrast of a memory's readouts on chains of a device; of many, the first, a middle and the last.

    ``arguments`` are the engine's: angles (B, T, H, P) of 2 samples at least, weights (H, W), queries;
    ``readout_steps`` are those of all samples, or of each, (B, R). Raises PlanningError for fewer samples and for
    readouts that are the same for all samples, and as ``noisy_memory`` does; CircuitError for a memory that the exact
    engine does not hold.
    """
    if len(arguments[0]) < 2:
        raise PlanningError("the contrast is a matter of 2 samples at least")
    chosen = [chains[0], chains[len(chains) // 2], chains[-1]] if len(chains) > _MOST_CHAINS else chains
    ideal, _ = _spread(memory, readout, arguments, readout_steps)
    if ideal < 1e-12:
        raise PlanningError("the readouts of all samples are the same, without errors too")
    emissions = readout.kind == "emissions"
    noisy_memories = [noisy_memory(memory, device, chain, emissions=emissions) for chain in chosen]
    measured = [_spread(suffering, readout, arguments, readout_steps) for suffering in noisy_memories]
    contrasts = np.sqrt([noisy / ideal for noisy, _ in measured])
    noisy, of_a_shot = np.mean(measured, axis=0)
    shots = int(np.ceil(min(4 * of_a_shot / max(noisy, 1e-30), 1e15)))
    return Contrast(float(np.sqrt(noisy / ideal)), float(contrasts.min()), float(contrasts.max()), shots)


def _spread(
    memory: MemoryCircuit, readout: Readout, arguments: Sequence[np.ndarray], readout_steps: Sequence[int] | np.ndarray
) -> tuple[float, float]:
    """Return the variance of the readouts over samples, and that of a readout of one shot; means over readouts.

    A shot of a mean over steps is one of each step, taken for independent.
    """
    engine, read = make_engine(memory, precision="float64"), np.asarray(readout_steps)
    single = readout.kind != "emissions" and not readout.averages_states
    if read.ndim > 1 and not single:
        raise PlanningError("means over steps are compared for samples of one length only")
    if single:
        values, scatter = _read(readout, engine.forward(*arguments, readout_steps=read)[0])
        return float(values.var(axis=0, ddof=1).mean()), float(scatter.mean())
    lengths = np.diff(read, prepend=-1)[:, None, None]
    if readout.kind == "emissions":
        _, tape = engine.forward(*arguments, readout_steps=read, emissions=True)
        values, scatter = tape.emissions, tape.emissions * (1 - tape.emissions) / lengths
    else:
        inputs, weights, queries = arguments
        every = np.repeat(queries, lengths.ravel(), axis=1) if queries.shape[1] > 1 else queries
        probabilities, _ = engine.forward(inputs, weights, every, readout_steps=list(range(read[-1] + 1)))
        spans = np.split(probabilities, np.cumsum(lengths)[:-1], axis=1)
        values, scatter = _read(readout, np.stack([span.mean(axis=1) for span in spans], axis=1))
        scatter = scatter / lengths[..., None]
    return float(values.var(axis=0, ddof=1).mean()), float(scatter.mean())


def _read(readout: Readout, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the readouts of bitstring probabilities (..., D), and their variances over single shots."""
    values = readout.from_probabilities(probabilities)
    outcomes = readout.from_probabilities(np.eye(probabilities.shape[-1]))
    return values, np.maximum(probabilities, 0) @ outcomes**2 - values**2
