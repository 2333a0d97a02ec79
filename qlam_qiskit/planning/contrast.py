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
    measured = [_spread(noisy_memory(memory, device, chain), readout, arguments, readout_steps) for chain in chosen]
    contrasts = np.sqrt([noisy / ideal for noisy, _ in measured])
    noisy, of_a_shot = np.mean(measured, axis=0)
    shots = int(np.ceil(min(4 * of_a_shot / max(noisy, 1e-30), 1e15)))
    return Contrast(float(np.sqrt(noisy / ideal)), float(contrasts.min()), float(contrasts.max()), shots)


def _spread(
    memory: MemoryCircuit, readout: Readout, arguments: Sequence[np.ndarray], readout_steps: Sequence[int] | np.ndarray
) -> tuple[float, float]:
    """Return the variance of the readouts over samples, and that of a readout of one shot; means over readouts."""
    engine = make_engine(memory, precision="float64")
    probabilities, _ = engine.forward(*arguments, readout_steps=np.asarray(readout_steps))
    values = readout.from_probabilities(probabilities)
    outcomes = readout.from_probabilities(np.eye(probabilities.shape[-1]))
    squares = np.maximum(probabilities, 0) @ outcomes**2
    return float(values.var(axis=0, ddof=1).mean()), float((squares - values**2).mean())
