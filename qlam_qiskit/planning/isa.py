"""Checks that circuits are in the instruction set of a device, before anything is sent.

The service's newer primitives do not check, and the job would fail after it had waited in the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from qiskit import QuantumCircuit
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import Target

from qlam_qiskit.errors import PlanningError

Pub: TypeAlias = SamplerPub | EstimatorPub
_ANYWHERE = frozenset({"barrier"})


def check_isa(pubs: Sequence[Pub], target: Target, device: str) -> None:
    """Raise PlanningError naming the first instruction that ``device`` cannot execute where it stands.

    Angles of rzz are checked against [0, pi/2] for every row of parameters, as the service does when it runs.
    """
    from qiskit_ibm_runtime.utils import validate_rzz_pubs

    circuits = {id(pub.circuit): pub.circuit for pub in pubs}
    for circuit in circuits.values():
        if circuit.num_qubits > target.num_qubits:
            raise PlanningError(
                f"a circuit of {circuit.num_qubits} qubits does not fit {device} ({target.num_qubits} qubits)"
            )
        _check_circuit(circuit, list(range(circuit.num_qubits)), target, device)
    if any(pub.size > 1 and not pub.circuit.num_parameters and isinstance(pub, SamplerPub) for pub in pubs):
        raise PlanningError("a circuit without parameters is executed once; ask for more shots instead of more rows")
    if any(isinstance(pub, SamplerPub) and not pub.circuit.cregs for pub in pubs):
        raise PlanningError("a circuit for the sampler measures nothing; add measurements")
    if len({pub.shots if isinstance(pub, SamplerPub) else pub.precision for pub in pubs}) > 1:
        raise PlanningError("all circuits of one job must have the same number of shots")
    try:
        validate_rzz_pubs(pubs)
    except Exception as error:
        raise PlanningError(f"{device} cannot execute an rzz gate as it is: {' '.join(str(error).split())}") from None


def _check_circuit(circuit: QuantumCircuit, places: list[int], target: Target, device: str) -> None:
    for instruction in circuit.data:
        operation = instruction.operation
        qubits = tuple(places[circuit.find_bit(qubit).index] for qubit in instruction.qubits)
        if operation.name in _ANYWHERE:
            continue
        blocks = getattr(operation, "blocks", ())
        if not blocks and not target.instruction_supported(operation.name, qubits):
            raise PlanningError(
                f"{operation.name} on qubits {qubits} is not an instruction of {device}; transpile the circuit for it"
            )
        for block in blocks:
            _check_circuit(block, list(qubits), target, device)
