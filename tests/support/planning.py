"""Circuits and devices that the tests of planning share."""

import copy

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_aer.primitives import SamplerV2

from qlam_qiskit.backends import OpenBackend, make_spec
from qlam_qiskit.templates import load_template


def sequence(template: str, qubits: int, steps: int, seed: int = 0, measure: bool = True) -> QuantumCircuit:
    """Unroll a template with its weights bound and its inputs free."""
    memory = load_template(template, qubits)
    weights = np.random.default_rng(seed).normal(size=memory.num_weights)
    circuit = memory.unroll(steps, measure=measure)
    return circuit.assign_parameters(dict(zip(memory.weights, weights, strict=True)))


def samples(circuit: QuantumCircuit, rows: int, shots: int | None = None, seed: int = 1) -> SamplerPub:
    """Make a pub of random inputs."""
    values = np.random.default_rng(seed).normal(size=(rows, circuit.num_parameters))
    return SamplerPub.coerce((circuit, values, shots))


def service(device, shots: int = 1000, **settings) -> OpenBackend:
    """Treat a fake device as one of the service's."""
    spec = make_spec("here", {"kind": "ibm", "name": device.name, **settings}, "test")
    return OpenBackend("here", spec, device, shots)


def run_ideally(jobs, seed: int = 5):
    """Run planned jobs without noise, whatever device they were written for."""
    return [SamplerV2(seed=seed + number).run(job.pubs).result() for number, job in enumerate(jobs)]


def broken(device, qubits=(), edges=()):
    """Return the device's target with some qubits and edges reported as unusable, as calibrations do it."""
    target = copy.deepcopy(device.target)
    for name in target.operation_names:
        for placed, properties in list((target[name] or {}).items()):
            if placed is None or properties is None:
                continue
            if set(placed) & set(qubits) or tuple(sorted(placed)) in edges:
                properties.error = 1.0
                target.update_instruction_properties(name, placed, properties)
    return target
