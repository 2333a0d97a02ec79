"""A memory's sequence as one circuit that is not written out yet: one step, how often it is repeated, and its end.

What is the same in every step has to be looked at once only, which planning does; :meth:`MemorySequence.circuit`
writes the whole circuit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qiskit.circuit import ClassicalRegister, Parameter, ParameterVector, QuantumCircuit


@dataclass(frozen=True, eq=False)
class MemorySequence:
    """T times one step of a memory, then an ending; its circuit has bits of all steps' emissions.

    Attributes
    ----------
    step
        The circuit of one step. Its classical bits are the emissions, and one more where a bit is measured that is
        none.
    inputs
        The step's P parameters that differ from step to step (radians).
    ending
        What follows the last step, on the same qubits: the query rotation and the last measurements, into registers of
        its own.
    steps
        T.
    phi
        T * P parameters, those of step t being [t * P, (t + 1) * P).
    emissions
        E, the emission bits of one step.
    """

    step: QuantumCircuit
    inputs: tuple[Parameter, ...]
    ending: QuantumCircuit
    steps: int
    phi: ParameterVector | Sequence[Parameter]
    emissions: int

    @property
    def num_qubits(self) -> int:
        """Qubits of memory and ancillas."""
        return self.step.num_qubits

    @property
    def registers(self) -> dict[str, int]:
        """Bits of each classical register of the circuit, by name, in order."""
        sizes = {"emission": self.steps * self.emissions, "unread": self.step.num_clbits - self.emissions}
        sizes |= {register.name: register.size for register in self.ending.cregs}
        return {name: size for name, size in sizes.items() if size}

    def bound(self, values: Mapping[Parameter, float]) -> MemorySequence:
        """Return the sequence with weights and angles of the query bound, those of them that it has."""
        step, ending = (_bound(circuit, values) for circuit in (self.step, self.ending))
        return replace(self, step=step, ending=ending)

    def of_steps(self, steps: int) -> MemorySequence:
        """Return the sequence with fewer steps."""
        return replace(self, steps=steps, phi=self.phi[: steps * len(self.inputs)])

    def bits_of_step(self, index: int) -> list[int]:
        """Return which of the circuit's bits those of the step's circuit are in step ``index``."""
        begin = index * self.emissions
        unread = self.steps * self.emissions
        return [*range(begin, begin + self.emissions), *range(unread, unread + self.step.num_clbits - self.emissions)]

    def circuit(self) -> QuantumCircuit:
        """Write the whole circuit."""
        circuit = QuantumCircuit(self.num_qubits, name=f"{self.step.name}_x{self.steps}")
        circuit.add_register(*(ClassicalRegister(size, name) for name, size in self.registers.items()))
        qubits = range(self.num_qubits)
        for index in range(self.steps):
            angles = self.phi[index * len(self.inputs) : (index + 1) * len(self.inputs)]
            bound = self.step.assign_parameters(dict(zip(self.inputs, angles, strict=True)))
            circuit.compose(bound, qubits, self.bits_of_step(index), inplace=True, copy=False)
        last = range(circuit.num_clbits - self.ending.num_clbits, circuit.num_clbits)
        circuit.compose(self.ending, qubits, last, inplace=True)
        return circuit


def _bound(circuit: QuantumCircuit, values: Mapping[Parameter, float]) -> QuantumCircuit:
    known = {parameter: value for parameter, value in values.items() if parameter in circuit.parameters}
    bound = circuit.assign_parameters(known)
    bound.name = circuit.name  # in place of one with a running number
    return bound
