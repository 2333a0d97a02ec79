"""What a chain circuit spends, and what of it survives on given qubits: the error budget behind plans and chains.

The fidelity predicted is the chance that nothing goes wrong: (1 - error) for every gate and every measurement, from
the calibration, times what idle qubits keep under T1 and T2. Crosstalk and drift are in no calibration: it is a best
case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from qiskit import QuantumCircuit
from qiskit.transpiler import Target

from qlam_qiskit.planning.usage import Floats, Usage, two_qubit_names

# A gate or a readout at least as bad as this is broken: calibrations write 1 for what they could not measure.
BROKEN = 0.5


def fidelity_of(circuit: QuantumCircuit, target: Target) -> float:
    """Return the fidelity predicted for a circuit in the device's gates, anywhere on it, idle qubits left out."""
    kept = 1.0
    for instruction in circuit.data:
        name = instruction.operation.name
        qubits = tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
        properties = target.get(name, {}).get(qubits)
        kept *= 1.0 - min(1.0, getattr(properties, "error", None) or 0.0)
    return kept


def qubit_losses(usage: Usage, target: Target) -> Floats:
    """Return -log of what qubit q keeps at position k of the chain, shape (n, device qubits); inf where broken."""
    n, width = usage.num_qubits, target.num_qubits
    losses = np.zeros((n, width))
    for name, counts in {**usage.gates, "measure": usage.measured}.items():
        # What is broken is to be avoided even where it is not used; 0 times infinity would say nothing.
        loss = _loss(_errors_of_qubits(target, name))
        losses += np.where(np.isinf(loss), np.inf, np.outer(counts, np.nan_to_num(loss, posinf=0.0)))
    t1, t2 = _lifetimes(target)
    idle = usage.idle_s[:, None]
    kept = (1 + np.exp(-idle / t1) + 2 * np.exp(-idle / t2)) / 4
    return losses - np.log(kept)


def edge_losses(usage: Usage, target: Target) -> Floats:
    """Return -log of what edge (a, b) keeps at position k, shape (n - 1, qubits, qubits); inf where there is none."""
    width = target.num_qubits
    losses = np.zeros((max(usage.num_qubits - 1, 0), width, width))
    # An edge that the circuit does not use must still exist for the chain to be one.
    for name in usage.entangling or two_qubit_names(target)[:1]:
        error = np.full((width, width), np.nan)
        for (a, b), properties in target[name].items():
            known = 0.0 if properties is None or properties.error is None else properties.error
            error[a, b] = error[b, a] = known if math.isnan(error[a, b]) else max(known, error[a, b])
        counts = usage.entangling.get(name, np.zeros(len(losses)))
        loss = _loss(error)
        losses += np.where(np.isinf(loss), np.inf, counts[:, None, None] * np.nan_to_num(loss, posinf=0.0))
    return losses


def survival(usage: Usage, target: Target, chain: Sequence[int]) -> float:
    """Return the fidelity predicted for a circuit of that usage on a chain."""
    qubits = qubit_losses(usage, target)[np.arange(len(chain)), list(chain)].sum()
    edges = edge_losses(usage, target)
    return float(np.exp(-qubits - sum(edges[k, a, b] for k, (a, b) in enumerate(pairwise(chain)))))


def _errors_of_qubits(target: Target, name: str) -> Floats:
    errors = np.full(target.num_qubits, np.nan)
    for qubits, properties in target[name].items():
        errors[qubits[0]] = 0.0 if properties is None or properties.error is None else properties.error
    return errors


def _loss(errors: Floats) -> Floats:
    """Turn errors into -log(1 - error); what is broken, or not there, is infinitely bad."""
    with np.errstate(invalid="ignore"):
        return np.where(errors < BROKEN, -np.log1p(-np.minimum(errors, BROKEN)), np.inf)


def _lifetimes(target: Target) -> tuple[Floats, Floats]:
    properties = target.qubit_properties or [None] * target.num_qubits
    t1 = np.array([getattr(entry, "t1", None) or np.inf for entry in properties], dtype=float)
    t2 = np.array([getattr(entry, "t2", None) or np.inf for entry in properties], dtype=float)
    return t1, np.minimum(t2, 2 * t1)
