"""Writes a circuit for a chain of qubits with as few one-qubit gates as a general circuit can have.

Between two entangling gates a qubit sees a run of one-qubit rotations, many of them with parameters. A transpiler must
keep such parameters apart (RY(x) after RX(w) is no single gate with a simple angle), which costs two pulses each. Here
every run becomes ONE general gate whose three Euler angles are new parameters, and the angles are computed from the
old parameters' values, classically and for all samples at once::

    run on a qubit    RX(w) RY(x) RZ(z) H     ->     RZ(a0) SX RZ(a1) SX RZ(a2)     (or RZ RX RZ, or U)
    values            (samples, P)            ->     (samples, 3 x runs)

A ``line`` step of six qubits falls from 37 pulses to 26 on CZ devices, and its two-qubit gates are what the template
has: two CZ for an RZZ, or one RZZ where the device has fractional gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression, ParameterVector, Qubit
from qiskit.circuit.library import RZGate, RZZGate, XGate, ZGate
from qiskit.converters import circuit_to_dag
from qiskit.dagcircuit import DAGCircuit
from qiskit.synthesis import OneQubitEulerDecomposer
from qiskit.transpiler import CouplingMap, PassManager, Target, TransformationPass, generate_preset_pass_manager
from qiskit.transpiler.passes import BasisTranslator, RemoveBarriers, UnrollCustomDefinitions
from qiskit.circuit.equivalence_library import SessionEquivalenceLibrary

from qlam_qiskit.jobs.errors import JobError
