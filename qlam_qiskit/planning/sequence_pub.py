"""Samples of a memory as a plan takes them: what a sampler's pub says, with the sequence's circuit not written out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.memory_sequence import MemorySequence

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SequencePub:
    """N samples of a memory's sequence.

    Attributes
    ----------
    sequence
        With weights bound.
    phi
        The samples' inputs (N, T, P), in radians.
    parameters, queries
        Parameters of the sequence's ending that differ from sample to sample, and their values (N, A).
    shots
        Of each sample; None leaves them to the backend.
    """

    sequence: MemorySequence
    phi: Floats
    parameters: Sequence[Parameter]
    queries: Floats
    shots: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a pub, (N,)."""
        return (len(self.phi),)

    @property
    def size(self) -> int:
        """N."""
        return len(self.phi)

    @cached_property
    def circuit(self) -> QuantumCircuit:
        """The whole circuit."""
        return self.sequence.circuit()

    @property
    def parameter_values(self) -> BindingsArray:
        """The values of the circuit's parameters, a row for each sample."""
        names = [*(parameter.name for parameter in self.sequence.phi), *(each.name for each in self.parameters)]
        rows = np.hstack([self.phi.reshape(self.size, -1), self.queries])
        return BindingsArray({tuple(names): rows} if names else None, shape=self.shape)

    @cached_property
    def outline(self) -> QuantumCircuit:
        """A circuit of two steps at most, which holds all kinds of operations of the whole."""
        return replace(self.sequence, steps=min(2, self.sequence.steps)).circuit()

    def with_shots(self, shots: int) -> SequencePub:
        """Return the same with other shots."""
        return replace(self, shots=shots)

    def sampler_pub(self) -> SamplerPub:
        """Write it out."""
        return SamplerPub(self.circuit, self.parameter_values, self.shots)


LogicalPub: TypeAlias = SamplerPub | SequencePub


def outline(pub: LogicalPub) -> QuantumCircuit:
    """Return a circuit with all kinds of operations that a pub's circuit has."""
    return pub.outline if isinstance(pub, SequencePub) else pub.circuit


def num_qubits(pub: LogicalPub) -> int:
    """Return the width of a pub's circuit."""
    return pub.sequence.num_qubits if isinstance(pub, SequencePub) else pub.circuit.num_qubits


def registers(pub: LogicalPub) -> dict[str, int]:
    """Return the bits of each classical register of a pub's circuit, by name."""
    if isinstance(pub, SequencePub):
        return pub.sequence.registers
    return {register.name: register.size for register in pub.circuit.cregs}
