"""Marks the circuits of a job that is sent to a service, so that its result says whose it is.

A sampler's result gives bits by the names of classical registers, whatever primitive and program ran: names with a
mark of the job and of the pub's place in it tell results apart that are alike in everything else. Services that return
a circuit's metadata return the job's tag too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from qiskit.circuit import ClassicalRegister, QuantumCircuit
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

METADATA_KEY = "qlam_job"
"""The key of a circuit's metadata that holds :func:`identity`."""


def identity(tag: str, index: int) -> str:
    """Return what pub ``index`` of the job with ``tag`` bears in its circuit's metadata."""
    return f"{tag}/{index}"


def marked_name(register: str, tag: str, index: int) -> str:
    """Return the name under which a classical register of pub ``index`` of the job with ``tag`` is sent."""
    return f"{register}_{hashlib.sha256(identity(tag, index).encode()).hexdigest()[:8]}"


def mark_pubs(pubs: Sequence[SamplerPub | EstimatorPub], tag: str) -> list[SamplerPub | EstimatorPub]:
    """Return ``pubs`` with copies of their circuits that bear the job's mark.

    Circuits with control flow keep the names of their registers, to which conditions refer, and an estimator reads
    no registers: these bear the metadata alone.
    """
    marked: list[SamplerPub | EstimatorPub] = []
    for index, pub in enumerate(pubs):
        if isinstance(pub, SamplerPub):
            names = can_be_renamed(pub.circuit)
            circuit = _renamed(pub.circuit, tag, index) if names else pub.circuit.copy()
            marked.append(SamplerPub(circuit, pub.parameter_values, pub.shots, validate=False))
        else:
            circuit = pub.circuit.copy()
            marked.append(EstimatorPub(circuit, pub.observables, pub.parameter_values, pub.precision, validate=False))
        circuit.metadata = {**(pub.circuit.metadata or {}), METADATA_KEY: identity(tag, index)}
    return marked


def can_be_renamed(circuit: QuantumCircuit) -> bool:
    """Whether nothing in a circuit refers to its classical registers by name."""
    return not circuit.has_control_flow_op() and not circuit.num_vars


def _renamed(circuit: QuantumCircuit, tag: str, index: int) -> QuantumCircuit:
    registers = [ClassicalRegister(name=marked_name(old.name, tag, index), bits=list(old)) for old in circuit.cregs]
    renamed = QuantumCircuit(
        circuit.qubits,
        circuit.clbits,
        *circuit.qregs,
        *registers,
        name=circuit.name,
        global_phase=circuit.global_phase,
    )
    renamed.data = circuit.data
    renamed._layout = circuit.layout  # the only way to give a circuit its layout
    return renamed
