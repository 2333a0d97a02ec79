"""Draws bitstrings from device-wide circuits, part by part: qubits that no gate connects are simulated apart.

A tiled circuit uses a hundred qubits of a device, far too many for one state, but in groups of a few that never meet.
"""

from __future__ import annotations

import functools

import numpy as np
from qiskit.circuit import ClassicalRegister, Parameter, QuantumCircuit, Qubit
from qiskit.primitives import SamplerPub
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2

from loopback import devices

_IDLE = ("barrier", "delay")


def sample(circuit: QuantumCircuit, values: np.ndarray, shots: int, noise: str | None, seed: int) -> dict:
    """Return for each register the bits drawn, shape (..., shots, bits), for values of shape (..., parameters).

    ``noise`` is the device whose calibration applies; None is ideal.
    """
    drawn = np.zeros((*values.shape[:-1], shots, circuit.num_clbits), dtype=bool)
    order = list(circuit.parameters)
    for number, part in enumerate(_parts(circuit)):
        small, clbits = _part_circuit(circuit, part, keep_places=noise is not None)
        if clbits:
            columns = [order.index(parameter) for parameter in small.parameters]
            pub = SamplerPub.coerce((small, values[..., columns], shots))
            sampler = SamplerV2.from_backend(_simulator(noise, len(part)), seed=seed + number)
            bits = sampler.run([pub]).result()[0].data.c.to_bool_array(order="little")
            drawn[..., clbits] = bits.reshape(*drawn.shape[:-1], len(clbits))
    places = {bit: index for index, bit in enumerate(circuit.clbits)}
    return {register.name: drawn[..., [places[bit] for bit in register]] for register in circuit.cregs}


@functools.cache
def _simulator(noise: str | None, width: int) -> AerSimulator:
    if noise is None:
        return AerSimulator(max_parallel_experiments=0)
    simulator = _noisy_simulator(noise)
    simulator.set_options(method="density_matrix" if width <= 10 else "automatic")
    return simulator


@functools.cache
def _noisy_simulator(device: str) -> AerSimulator:
    simulator = AerSimulator.from_backend(devices.fake_backend(device))
    simulator.set_max_qubits(1000)
    return simulator


def _parts(circuit: QuantumCircuit) -> list[list[Qubit]]:
    """Group the active qubits by the gates that connect them; with control flow they are all in one group."""
    group: dict[Qubit, list[Qubit]] = {}
    for instruction in circuit.data:
        if instruction.operation.name in _IDLE:
            continue
        qubits = circuit.qubits if circuit.has_control_flow_op() else instruction.qubits
        merged = list({id(part): part for part in (group.setdefault(q, [q]) for q in qubits)}.values())
        for part in merged[1:]:
            merged[0].extend(part)
            group.update(dict.fromkeys(part, merged[0]))
    return list({id(part): part for part in group.values()}.values())


def _part_circuit(circuit: QuantumCircuit, part: list[Qubit], *, keep_places: bool) -> tuple[QuantumCircuit, list[int]]:
    """Cut out what happens to ``part``; returns it with the indices of the classical bits it writes, in order."""
    inside = set(part)
    ours = [item for item in circuit.data if inside & set(item.qubits) and item.operation.name not in _IDLE]
    clbits = sorted({circuit.find_bit(bit).index for item in ours for bit in item.clbits})
    kept = circuit.qubits if keep_places else [qubit for qubit in circuit.qubits if qubit in inside]
    places = {qubit: index for index, qubit in enumerate(kept)}
    small = QuantumCircuit(len(kept))
    small.add_register(ClassicalRegister(len(clbits), "c"))
    for item in ours:
        targets = [clbits.index(circuit.find_bit(bit).index) for bit in item.clbits]
        small.append(item.operation, [places[qubit] for qubit in item.qubits], targets)
    return small, clbits


def parameter_values(circuit: QuantumCircuit, given: np.ndarray | None) -> np.ndarray:
    """Return the values as an array whose last axis is the circuit's parameters, also where there are none."""
    parameters: list[Parameter] = list(circuit.parameters)
    if given is None or not parameters:
        return np.zeros((*np.shape(given)[:-1], 0)) if given is not None else np.zeros(0)
    return np.asarray(given, dtype=float)
