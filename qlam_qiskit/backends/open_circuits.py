"""Circuits with resets and mid-circuit measurements as Aer simulates them with a device's noise.

Aer knows neither ``reset_2`` nor ``measure_2``, and relaxes qubits in ``delay`` instructions only: here a circuit is
scheduled once, its parameters free, and what the device's calibration says of waiting and of resets is written behind
them as errors. Readout errors, which differ between the two forms of a measurement, are made on the bits that were
drawn; nothing in such a circuit depends on a measured bit.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Instruction, Measure, Reset
from qiskit.primitives import BitArray
from qiskit.transpiler import PassManager, Target
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDelay
from qiskit_aer.noise import NoiseModel, QuantumError, ReadoutError, thermal_relaxation_error

from qlam_qiskit.backends.mid_circuit import MEASUREMENTS, RESETS


class OpenNoise:
    """The noise of a few qubits of a device, for circuits that reset them or measure them on the way.

    ``target`` is that of the qubits alone, and ``model`` what Aer reads from it.
    """

    def __init__(self, target: Target, model: NoiseModel) -> None:
        self._target = target
        self._known = model
        self._waits: dict[tuple[int, float], Instruction | None] = {}

    @cached_property
    def gates(self) -> NoiseModel:
        """The errors of gates: all that is left for Aer to add."""
        gates = NoiseModel(self._known.basis_gates)
        for name, placed in self._known._local_quantum_errors.items():
            if name not in RESETS | MEASUREMENTS:
                for qubits, error in placed.items():
                    gates.add_quantum_error(error, name, qubits, warnings=False)
        return gates

    def written(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Schedule ``circuit`` as late as possible, and write out the errors of its waiting and its resets."""
        schedule = PassManager([ALAPScheduleAnalysis(target=self._target), PadDelay(target=self._target)])
        scheduled = schedule.run(_on_physical_qubits(circuit)) if self._has_durations else circuit
        place = {qubit: index for index, qubit in enumerate(scheduled.qubits)}
        written = scheduled.copy_empty_like()
        begun = set()
        for item in scheduled.data:
            name, qubit = item.operation.name, place[item.qubits[0]]
            if name == "delay":
                # What has not begun is in its ground state, and stays there.
                if qubit in begun and (error := self._waiting(qubit, item.operation)) is not None:
                    written._append(CircuitInstruction(error, item.qubits))
                continue
            begun.update(place[each] for each in item.qubits)
            if name in RESETS:
                written._append(CircuitInstruction(Reset(), item.qubits))
                if (error := self._error(name, qubit)) is not None:
                    written._append(CircuitInstruction(error, item.qubits))
            elif name in MEASUREMENTS:
                written._append(CircuitInstruction(Measure(), item.qubits, item.clbits))
            else:
                written._append(item)
        return written

    def misread(self, circuit: QuantumCircuit, bits: dict[str, BitArray], rng: np.random.Generator) -> None:
        """Flip the bits drawn from ``circuit``, by register, as often as the calibration says that they are misread."""
        errors = np.zeros((circuit.num_clbits, 2))
        place = {bit: index for index, bit in enumerate(circuit.clbits)}
        for item in circuit.data:
            if item.operation.name in MEASUREMENTS:
                qubit = circuit.find_bit(item.qubits[0]).index
                errors[place[item.clbits[0]]] = self._misread(item.operation.name, qubit)
        for register in circuit.cregs:
            drawn = bits[register.name].to_bool_array(order="little")
            own = errors[[place[bit] for bit in register]]
            flips = rng.random(drawn.shape, dtype=np.float32) < np.where(drawn, own[:, 1], own[:, 0])
            bits[register.name] = BitArray.from_bool_array(drawn ^ flips, order="little")

    @cached_property
    def _has_durations(self) -> bool:
        return self._target.dt is not None

    def _error(self, name: str, qubit: int) -> Instruction | None:
        error: QuantumError | None = self._known._local_quantum_errors.get(name, {}).get((qubit,))
        return None if error is None else error.to_instruction()

    def _misread(self, name: str, qubit: int) -> NDArray[np.float64]:
        """Return P(1|0) and P(0|1); the form within a circuit has one figure for both."""
        error: ReadoutError | None = self._known._local_readout_errors.get((qubit,))
        if name == "measure" and error is not None:
            return np.array([error.probabilities[0][1], error.probabilities[1][0]])
        properties = self._target.get(name, {}).get((qubit,))
        return np.full(2, getattr(properties, "error", None) or 0.0)

    def _waiting(self, qubit: int, delay: Instruction) -> Instruction | None:
        seconds = delay.duration * self._target.dt if delay.unit == "dt" else delay.duration
        key = (qubit, seconds)
        if key not in self._waits:
            properties = (self._target.qubit_properties or [None] * (qubit + 1))[qubit]
            t1 = getattr(properties, "t1", None) or np.inf
            t2 = min(getattr(properties, "t2", None) or np.inf, 2 * t1)
            known = seconds > 0 and np.isfinite(min(t1, t2))
            self._waits[key] = thermal_relaxation_error(t1, t2, seconds).to_instruction() if known else None
        return self._waits[key]


def _on_physical_qubits(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return ``circuit`` on the one register of qubits that Qiskit's schedules take for a device's."""
    physical = QuantumCircuit(circuit.num_qubits)
    physical.add_bits(circuit.clbits)
    physical.add_register(*circuit.cregs)
    physical.compose(circuit, inplace=True, copy=False)
    return physical
