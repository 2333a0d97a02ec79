"""The three primitives that the open engine runs: turns about Pauli strings, fixed channels, and measurements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlam_qiskit.engine.open.pauli import support
from qlam_qiskit.engine.primitives import Angle


@dataclass(frozen=True)
class Turn:
    """exp(-i angle P/2) with P the Pauli string of that number (see :mod:`.pauli`)."""

    string: int
    angle: Angle

    @property
    def qubits(self) -> frozenset[int]:
        """The qubits that it acts on."""
        return support(self.string)


@dataclass(frozen=True, eq=False)
class Channel:
    """A channel without parameters, or a gate without: its Pauli transfer matrix (4^k, 4^k) on ``places``."""

    places: tuple[int, ...]
    matrix: np.ndarray

    @property
    def qubits(self) -> frozenset[int]:
        """The qubits that it acts on."""
        return frozenset(self.places)


@dataclass(frozen=True)
class Measurement:
    """A measurement of Z whose outcome goes to an emission, or nowhere (None); on average it dephases the qubit."""

    qubit: int
    emission: int | None

    @property
    def qubits(self) -> frozenset[int]:
        """The qubit that it acts on."""
        return frozenset((self.qubit,))


Primitive = Turn | Channel | Measurement
