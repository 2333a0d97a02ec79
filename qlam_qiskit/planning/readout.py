"""From counts to what a model reads: probabilities and Z-string expectations, with readout errors undone on request.

Mitigation is the tensored inverse: each measured bit has its own 2 x 2 confusion matrix from the device's calibration,
and the inverse of their product is applied to the frequencies (Bravyi et al., Phys. Rev. A 103, 042605, 2021). It is
unbiased where readout errors are uncorrelated, may give small negative values, and enlarges the sampling error.
``nearest_probabilities`` then finds the closest proper distribution in the least-squares sense (Smolin, Gambetta and
Smith, Phys. Rev. Lett. 108, 070502, 2012), at the price of a bias near the edges; expectations do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray
from qiskit.providers import BackendV2

from qlam_qiskit.errors import PlanningError

_MOST_BITS = 20


@dataclass(frozen=True)
class Calibration:
    """Readout errors of physical qubits at a time: for each, P(read 1 | was 0) and P(read 0 | was 1)."""

    time: str | None
    readout: Mapping[int, tuple[float, float]]

    @classmethod
    def of_circuits(cls, backend: BackendV2, circuits: Iterable[QuantumCircuit]) -> Calibration:
        """Collect what ``backend`` says about the qubits that ISA ``circuits`` measure; empty for ideal simulators."""
        qubits = {
            circuit.find_bit(instruction.qubits[0]).index
            for circuit in {id(circuit): circuit for circuit in circuits}.values()
            for instruction in circuit.data
            if instruction.operation.name == "measure"
        }
        # What simulates a device takes the readout errors of its target, which do not tell 0 from 1.
        simulated = getattr(backend, "device", None)
        read = getattr(simulated or backend, "properties", None)
        properties = read() if callable(read) else None
        time = None if properties is None else properties.last_update_date.isoformat()
        if properties is None or simulated is not None:
            return cls(time, _from_target(backend, qubits))
        readout = {}
        for qubit in sorted(qubits):
            known = properties.qubit_property(qubit)
            either = known.get("readout_error", (0.0,))[0]
            one, zero = (known.get(name, (either,))[0] for name in ("prob_meas1_prep0", "prob_meas0_prep1"))
            readout[qubit] = (float(one), float(zero))
        return cls(time, readout)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """Read what :meth:`to_json` wrote."""
        return cls(values["time"], {int(qubit): (one, zero) for qubit, (one, zero) in values["readout"].items()})

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as JSON-able values."""
        return {
            "time": self.time,
            "readout": {str(qubit): list(errors) for qubit, errors in self.readout.items()},
        }

    def of_bits(self, circuit: QuantumCircuit) -> NDArray[np.float64]:
        """Return the errors of each classical bit of an ISA circuit, shape (bits, 2), as measured last; else zero."""
        errors = np.zeros((circuit.num_clbits, 2))
        for instruction in circuit.data:
            if instruction.operation.name == "measure":
                qubit = circuit.find_bit(instruction.qubits[0]).index
                errors[circuit.find_bit(instruction.clbits[0]).index] = self.readout.get(qubit, (0.0, 0.0))
        return errors


def count_outcomes(bits: BitArray, selected: Sequence[int] | None = None) -> NDArray[np.int64]:
    """Count bitstrings: shape (..., 2^n) for n selected bits (all when None), bit ``selected[0]`` least significant.

    Raises PlanningError for more than 20 bits, whose counts would not fit into memory.
    """
    selected = range(bits.num_bits) if selected is None else selected
    width = len(selected)
    if width > _MOST_BITS:
        raise PlanningError(f"counts over {width} bits are too many for one table; select at most {_MOST_BITS} bits")
    # BitArray keeps whole bytes, most significant first.
    last = bits.array.shape[-1] - 1
    index = np.zeros(bits.array.shape[:-1], dtype=np.int64)
    for place, bit in enumerate(selected):
        index |= ((bits.array[..., last - bit // 8] >> (bit % 8)) & 1).astype(np.int64) << place
    rows = index.reshape(-1, index.shape[-1])
    flat = rows + (np.arange(rows.shape[0]) << width)[:, None]
    counts = np.bincount(flat.ravel(), minlength=rows.shape[0] << width)
    return counts.reshape(*bits.shape, 1 << width)


def frequencies(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Divide counts, shape (..., 2^n), by their shots."""
    shots = counts.sum(axis=-1, keepdims=True)
    if np.any(shots == 0):
        raise PlanningError("a circuit has no shots: its outcome is empty")
    return counts / shots


def undo_readout_errors(values: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the tensored inverse to frequencies, shape (..., 2^n); ``errors`` is (n, 2), as of ``Calibration.of_bits``.

    The result sums to 1 and may have negative entries. Raises PlanningError where a bit is read at random.
    """
    width = len(errors)
    if values.shape[-1] != 1 << width:
        raise PlanningError(f"{width} bits have {1 << width} outcomes, not {values.shape[-1]}")
    one, zero = errors[:, 0], errors[:, 1]
    contrast = 1.0 - one - zero
    if np.any(contrast <= 0.0):
        raise PlanningError(f"bit {int(np.argmin(contrast))} is read no better than at random: it cannot be mitigated")
    result = values.reshape(-1, *(2,) * width)
    for bit in range(width):
        inverse = np.array([[1 - zero[bit], -zero[bit]], [-one[bit], 1 - one[bit]]]) / contrast[bit]
        axis = width - bit
        result = np.moveaxis(np.tensordot(result, inverse, axes=(axis, 1)), -1, axis)
    return result.reshape(values.shape)


def nearest_probabilities(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the proper distributions nearest to ``values``, shape (..., D), each summing to 1, in least squares."""
    ordered = -np.sort(-values, axis=-1)
    excess = (np.cumsum(ordered, axis=-1) - 1.0) / np.arange(1, values.shape[-1] + 1)
    kept = np.sum(ordered > excess, axis=-1, keepdims=True)
    return np.maximum(values - np.take_along_axis(excess, kept - 1, axis=-1), 0.0)


def z_expectations(values: NDArray[np.float64], strings: Sequence[str]) -> NDArray[np.float64]:
    """Return expectations of Z strings from (quasi-)probabilities, shape (..., 2^n) to (..., len(strings)).

    A string such as ``"IZZ"`` is in Qiskit's order: its last letter is bit 0.
    """
    outcomes = np.arange(values.shape[-1])
    signs = np.empty((len(strings), values.shape[-1]))
    for row, string in enumerate(strings):
        if 1 << len(string) != values.shape[-1] or set(string) - {"I", "Z"}:
            raise PlanningError(f"{string!r} is not a string of I and Z over {values.shape[-1].bit_length() - 1} bits")
        mask = int("".join("1" if letter == "Z" else "0" for letter in string), 2)
        signs[row] = 1.0 - 2.0 * (np.bitwise_count(outcomes & mask) % 2)
    return values @ signs.T


def _from_target(backend: BackendV2, qubits: set[int]) -> dict[int, tuple[float, float]]:
    target = backend.target
    if target is None or "measure" not in target:
        return {}
    found = {}
    for qubit in sorted(qubits):
        placed = target["measure"].get((qubit,)) if target["measure"] else None
        if placed is not None and placed.error is not None:
            found[qubit] = (placed.error, placed.error)
    return found
