"""Draws bitstrings from device-wide circuits, part by part: qubits that no gate connects are simulated apart.

A tiled circuit uses a hundred qubits of a device, far too many for one state, but in groups of a few that never meet.
"""

from __future__ import annotations

import functools

import numpy as np
from qiskit.circuit import ClassicalRegister, Measure, Parameter, QuantumCircuit, Qubit, Reset
from qiskit.primitives import SamplerPub
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2

from loopback import devices
from qlam_qiskit.backends.mid_circuit import is_open
from qlam_qiskit.backends.simulation import DeviceSimulator

_IDLE = ("barrier", "delay")


def sample(circuit: QuantumCircuit, values: np.ndarray, shots: int, noise: str | None, seed: int) -> dict:
    """Return for each register the bits drawn, shape (..., shots, bits), for values of shape (..., parameters).

    ``noise`` is the device whose calibration applies; None is ideal.
    """
    drawn = np.zeros((*values.shape[:-1], shots, circuit.num_clbits), dtype=bool)
    order = list(circuit.parameters)
    for number, part in enumerate(_parts(circuit)):
        small, clbits = _part_circuit(circuit, part, keep_places=noise is not None)
        if clbits and noise is not None and is_open(small):
            columns = [order.index(parameter) for parameter in small.parameters]
            pub = SamplerPub.coerce((small, values[..., columns], shots))
            bits = _noisy_device(noise).sample(pub, seed + number).data.c.to_bool_array(order="little")
            drawn[..., clbits] = bits.reshape(*drawn.shape[:-1], len(clbits))
        elif clbits:
            small = _without_faster_forms(small)
            columns = [order.index(parameter) for parameter in small.parameters]
            pub = SamplerPub.coerce((small, values[..., columns], shots))
            simulator = _simulator(noise, len(part), resets="reset" in small.count_ops())
            sampler = SamplerV2.from_backend(simulator, seed=seed + number)
            bits = sampler.run([pub]).result()[0].data.c.to_bool_array(order="little")
            drawn[..., clbits] = bits.reshape(*drawn.shape[:-1], len(clbits))
    places = {bit: index for index, bit in enumerate(circuit.clbits)}
    return {register.name: drawn[..., [places[bit] for bit in register]] for register in circuit.cregs}


@functools.cache
def _simulator(noise: str | None, width: int, resets: bool) -> AerSimulator:
    if noise is None:
        # With resets a state vector is simulated anew for every shot, a density matrix once.
        method = "density_matrix" if resets and width <= 6 else "automatic"
        return AerSimulator(max_parallel_experiments=0, method=method)
    simulator = _noisy_simulator(noise)
    simulator.set_options(method="density_matrix" if width <= 10 else "automatic")
    return simulator


@functools.cache
def _noisy_device(device: str) -> DeviceSimulator:
    return DeviceSimulator(devices.fake_backend(device))


@functools.cache
def _noisy_simulator(device: str) -> AerSimulator:
    simulator = AerSimulator.from_backend(devices.fake_backend(device))
    simulator.set_max_qubits(1000)
    return simulator


def _without_faster_forms(circuit: QuantumCircuit) -> QuantumCircuit:
    """Write ``measure_2`` and ``reset_2``, which Aer does not know, as what they do without errors."""
    plain = {"measure_2": Measure(), "reset_2": Reset()}
    if not plain.keys() & circuit.count_ops().keys():
        return circuit
    written = circuit.copy_empty_like()
    for item in circuit.data:
        written.append(item.replace(operation=plain.get(item.operation.name, item.operation)))
    return written


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
