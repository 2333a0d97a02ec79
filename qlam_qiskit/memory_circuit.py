"""What a memory circuit is: one update of the memory state, the rotation that a query selects, and their unrolling.

A template is a file that defines ``build(num_qubits, ...) -> MemoryCircuit``; see ``circuits/`` for examples and
:mod:`qlam_qiskit.templates` for where such files are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np
from qiskit.circuit import (
    AnnotatedOperation,
    ClassicalRegister,
    Instruction,
    Operation,
    Parameter,
    ParameterExpression,
    ParameterVector,
    QuantumCircuit,
)
from qiskit.circuit.library import get_standard_gate_name_mapping

from qlam_qiskit.channels import check_update, is_channel, write_step
from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.memory_sequence import MemorySequence
from qlam_qiskit.rate import Rate

MOST_PHASED_STEPS = 8

_AUTOMATIC_NAME = re.compile(r"^circuit-\d+(-\d+)*$")  # a running number, which differs from process to process


def local_rotation(num_qubits: int, name: str = "alpha") -> tuple[QuantumCircuit, ParameterVector]:
    """Build the default query rotation V(alpha): RZ then RY on each qubit, so any product basis can be read.

    Returns the circuit and its 2n angles (radians); qubit k turns by alpha[2k] about Z, then alpha[2k+1] about Y.
    """
    alpha = ParameterVector(name, 2 * num_qubits)
    circuit = QuantumCircuit(num_qubits, name="query")
    for qubit in range(num_qubits):
        circuit.rz(alpha[2 * qubit], qubit)
        circuit.ry(alpha[2 * qubit + 1], qubit)
    return circuit, alpha


def check_count(name: str, value: object, most: int) -> None:
    """Raise ConfigurationError unless a template's option is a whole number from 0 to ``most``."""
    if type(value) is not int or not 0 <= value <= most:
        raise ConfigurationError(f"option {name}: a whole number from 0 to {most:,} (got {str(value)[:40]})")


@dataclass(frozen=True, eq=False)
class MemoryCircuit:
    """One memory update, with the query rotation V(alpha) that precedes a measurement.

    An update of gates alone is unitary, U(phi, theta). It may also hold resets, measurements and channels of Qiskit,
    on the memory and on ancillas: the memory is then an open system, its state a density matrix.

    Attributes
    ----------
    update
        The circuit of one step, on the memory's n qubits and the ancillas.
    inputs
        The P parameters phi that a token sets (radians), in the order in which the encoder produces them.
    weights
        The W trainable parameters theta (radians), the same at every step.
    query
        The circuit of V(alpha); by default RZ and RY on each qubit.
    query_angles
        Its parameters alpha (radians), in order.
    ancillas
        The update's qubits that are no memory. They start every step in |0>; those that the update leaves in another
        state are reset when it ends. The memory's qubits are the others, in their order: qubit k of the query and of
        every readout is the k-th of them.
    emissions
        The classical bits that the update measures and that can be read after every step; by default all of them. A
        bit that is none is measured and forgotten.
    rates
        The weights that are angles of rates, each with its range at the start; all others start out normal, around 0.

    Raises
    ------
    CircuitError
        If a circuit has a parameter that no list names, a list names a parameter that its circuit lacks, two lists
        or two parameters of a list coincide, or the circuits differ in qubits; if the update feeds back what it
        measures, or an emission is not measured once.
    """

    update: QuantumCircuit
    inputs: Sequence[Parameter]
    weights: Sequence[Parameter]
    query: QuantumCircuit = None  # type: ignore[assignment]  # replaced in __post_init__
    query_angles: Sequence[Parameter] = ()
    ancillas: Sequence[int] = ()
    emissions: Sequence[int] | None = None
    rates: Mapping[Parameter, Rate] = field(default_factory=dict)
    _vectors: dict[int, ParameterVector] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ancillas", _check_bits("ancilla", self.ancillas, self.update.num_qubits))
        emissions = range(self.update.num_clbits) if self.emissions is None else self.emissions
        object.__setattr__(self, "emissions", _check_bits("emission bit", emissions, self.update.num_clbits))
        check_update(self.update, self.emissions)
        if self.num_qubits < 1:
            raise CircuitError("all qubits of the update are ancillas: a memory has at least 1 qubit")
        if self.query is None:
            name = _free_name("alpha", self.update.parameters)
            query, angles = local_rotation(self.num_qubits, name)
            object.__setattr__(self, "query", query)
            object.__setattr__(self, "query_angles", angles)
        for name in ("inputs", "weights", "query_angles"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.query.num_qubits != self.num_qubits:
            kind = "memory" if self.ancillas else "update"
            raise CircuitError(f"the query has {self.query.num_qubits} qubits and the {kind} {self.num_qubits}")
        if self.query.num_clbits:
            raise CircuitError("the query has classical bits: the measurement that follows it is not part of it")
        _check_parameters("update", self.update, (*self.inputs, *self.weights))
        _check_parameters("query", self.query, self.query_angles)
        names = {parameter.name for parameter in (*self.inputs, *self.weights)}
        if shared := [parameter for parameter in self.query_angles if parameter.name in names]:
            raise CircuitError(f"the update and the query both have parameters named {_names(shared)}")
        if unknown := set(self.rates).difference(self.weights):
            raise CircuitError(f"rates are weights, but these are not listed among them: {_names(unknown)}")

    def __repr__(self) -> str:
        kind = f"{self.num_qubits} qubits"
        if self.ancillas:
            kind += f" and {len(self.ancillas)} ancillas"
        return f"<MemoryCircuit {self.update.name}: {kind}, {self.num_inputs} inputs, {self.num_weights} weights>"

    @property
    def num_qubits(self) -> int:
        """Qubits of the memory register, n."""
        return self.update.num_qubits - len(self.ancillas)

    @property
    def memory_qubits(self) -> tuple[int, ...]:
        """The update's qubits that are the memory, in order."""
        return tuple(qubit for qubit in range(self.update.num_qubits) if qubit not in self.ancillas)

    @property
    def num_emissions(self) -> int:
        """Classical bits of one step that can be read, E."""
        return len(self.emissions)

    @cached_property
    def is_open(self) -> bool:
        """Whether the state is a density matrix: there are ancillas, resets, measurements or other channels."""
        circuits = (self.update, self.query)
        return bool(self.ancillas) or any(is_channel(each.operation) for circuit in circuits for each in circuit.data)

    @property
    def num_inputs(self) -> int:
        """Input angles of one step, P."""
        return len(self.inputs)

    @property
    def num_weights(self) -> int:
        """Trainable angles, W."""
        return len(self.weights)

    @property
    def num_query_angles(self) -> int:
        """Angles of one query rotation, A."""
        return len(self.query_angles)

    def driven(self) -> MemoryCircuit:
        """Make a token set the weights too.

        Returns
        -------
        MemoryCircuit
            The same circuit whose weights are inputs too, after its own; only rates remain weights.
        """
        free = [weight for weight in self.weights if weight not in self.rates]
        rates = [weight for weight in self.weights if weight in self.rates]
        return replace(self, inputs=(*self.inputs, *free), weights=rates)

    def sequence_inputs(self, steps: int) -> ParameterVector:
        """Return the input angles of a whole sequence.

        Parameters
        ----------
        steps
            T, the length of the sequence.

        Returns
        -------
        ParameterVector
            T*P parameters ``phi`` (radians); step t owns the slice [t*P, (t+1)*P).

        Raises
        ------
        CircuitError
            For fewer steps than 1.
        """
        if steps < 1:
            raise CircuitError(f"a sequence has at least 1 step, not {steps}")
        if steps not in self._vectors:
            name = _free_name("phi", (*self.weights, *self.query_angles))
            self._vectors[steps] = ParameterVector(name, steps * self.num_inputs)
        return self._vectors[steps]

    def unroll(
        self, steps: int, *, query: bool = True, measure: bool = False, emissions: bool = False
    ) -> QuantumCircuit:
        """Write out a whole sequence as one circuit: ``steps`` updates, then the query rotation, then measurements.

        Nothing measured is fed back into the angles, so all angles of a sequence are known before it runs and the
        sequence is one circuit on hardware too. Its parameters are ``sequence_inputs(steps)``, ``weights`` and
        ``query_angles``. Beyond MOST_PHASED_STEPS steps a symbolic global phase is dropped: no measurement sees it, and
        Qiskit adds up hundreds of expressions in hours.

        Parameters
        ----------
        steps
            T, the length of the sequence.
        query
            Whether the query rotation follows the last step.
        measure
            Measure the memory's n qubits, in order, into the classical register ``meas``.
        emissions
            Measure into the register ``emission`` of T*E bits, step t owning [t*E, (t+1)*E); without it, measurements
            that a reset follows are left out.

        Returns
        -------
        QuantumCircuit
            On the update's qubits.

        Raises
        ------
        CircuitError
            For fewer steps than 1.
        """
        return self.sequence(steps, query=query, measure=measure, emissions=emissions).circuit()

    def sequence(
        self, steps: int, *, query: bool = True, measure: bool = False, emissions: bool = False
    ) -> MemorySequence:
        """Return what :meth:`unroll` writes out, as one step and its repetition.

        Parameters
        ----------
        steps, query, measure, emissions
            As in :meth:`unroll`.

        Returns
        -------
        MemorySequence
            Its ``circuit()`` is what :meth:`unroll` returns.
        """
        phi = self.sequence_inputs(steps)
        step = _inline_lookalikes(self.update)
        if self.is_open:
            step = write_step(step, self.ancillas, self.emissions if emissions else ())
        # Names of our own in between: an input may be called what another input of the sequence will be.
        step, inputs = _rename(_without_phase(step) if steps > MOST_PHASED_STEPS else step, self.inputs)
        step.name = self.update.name
        ending = QuantumCircuit(self.update.num_qubits)
        if query:
            ending.compose(_inline_lookalikes(self.query), self.memory_qubits, inplace=True)
        if measure:
            register = ClassicalRegister(self.num_qubits, "meas")
            ending.add_register(register)
            ending.barrier()
            ending.measure(self.memory_qubits, register)
        return MemorySequence(step, tuple(inputs), ending, steps, phi, self.num_emissions if emissions else 0)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of the gates, their qubits and angles: two templates that compute the same way share it."""
        import hashlib

        groups = (("phi", self.inputs), ("theta", self.weights)), (("alpha", self.query_angles),)
        lines: list[str] = []
        for circuit, roles in zip((self.update, self.query), groups, strict=True):
            renamed, listed = _rename(circuit, [parameter for _, members in roles for parameter in members])
            names = [Parameter(f"{role}_{k}") for role, members in roles for k in range(len(members))]
            lines.extend(_describe(renamed.assign_parameters(dict(zip(listed, names, strict=True)))))
        if self.is_open:
            rates = [k for k, weight in enumerate(self.weights) if weight in self.rates]
            lines.append(f"ancillas {self.ancillas} emissions {self.emissions} rates {rates}")
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:16]


def _check_bits(role: str, listed: Sequence[int], count: int) -> tuple[int, ...]:
    bits = tuple(listed)
    if len(set(bits)) != len(bits) or any(bit not in range(count) for bit in bits):
        raise CircuitError(f"{role}s are different numbers below {count}, not {list(bits)}")
    return bits


def _check_parameters(role: str, circuit: QuantumCircuit, listed: Sequence[Parameter]) -> None:
    if len(set(listed)) != len(listed):
        raise CircuitError(f"the {role} circuit's parameters are listed twice: {_names(listed)}")
    present = set(circuit.parameters)
    if missing := present.difference(listed):
        raise CircuitError(f"the {role} circuit has parameters that no list names: {_names(missing)}")
    if unused := set(listed).difference(present):
        raise CircuitError(f"the {role} circuit lacks these listed parameters: {_names(unused)}")


def _free_name(name: str, taken: Iterable[Parameter]) -> str:
    """Lengthen a vector's name until no other parameter, nor an element of another vector, bears it."""
    others = [parameter.name for parameter in taken]
    while any(other == name or other.startswith(f"{name}[") for other in others):
        name += "_"
    return name


def _without_phase(circuit: QuantumCircuit) -> QuantumCircuit:
    """Drop a symbolic global phase; parameters that stand nowhere else remain in it, so that they can be bound."""
    if not isinstance(circuit.global_phase, ParameterExpression):
        return circuit
    free = circuit.copy()
    free.global_phase = 0
    kept = set(free.parameters)
    free.global_phase = sum(parameter for parameter in circuit.parameters if parameter not in kept)
    return free


def _rename(circuit: QuantumCircuit, parameters: Sequence[Parameter]) -> tuple[QuantumCircuit, list[Parameter]]:
    """Give the listed parameters names that no one else has; returns the circuit and the new parameters in order."""
    from uuid import uuid4

    fresh = [Parameter(f"{uuid4()}") for _ in parameters]
    return circuit.assign_parameters(dict(zip(parameters, fresh, strict=True))), fresh


def _describe(circuit: QuantumCircuit) -> Iterable[str]:
    """Write out gates, qubits and angles, one gate a line, each followed by what its name does not say."""
    yield f"{circuit.num_qubits} {circuit.global_phase}"
    for instruction in circuit.data:
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        yield from _describe_operation(instruction.operation, qubits)
        if instruction.clbits:
            yield f"into {[circuit.find_bit(clbit).index for clbit in instruction.clbits]}"


def _describe_operation(operation: Operation, qubits: Sequence[int]) -> Iterable[str]:
    parameters = getattr(operation, "params", [])
    matrices = [parameter.tobytes().hex() for parameter in parameters if isinstance(parameter, np.ndarray)]
    name = _AUTOMATIC_NAME.sub("circuit", operation.name)
    yield f"{name} {qubits} {matrices or [str(parameter) for parameter in parameters]}"
    if _is_standard(operation) or matrices:
        return
    if isinstance(operation, AnnotatedOperation):
        yield f"{operation.modifiers}"
        yield from _describe_operation(operation.base_op, [])
    elif not isinstance(operation, Instruction):
        yield repr(operation)
    elif operation.definition is not None:
        yield from _describe(operation.definition)


def _inline_lookalikes(circuit: QuantumCircuit) -> QuantumCircuit:
    """Replace gates that only bear a standard gate's name by their definitions: backends go by the name alone."""
    if not any(_hides_lookalike(instruction.operation) for instruction in circuit.data):
        return circuit
    inlined = circuit.copy_empty_like()
    for instruction in circuit.data:
        if _hides_lookalike(instruction.operation):
            definition = _inline_lookalikes(instruction.operation.definition)
            inlined.compose(definition, instruction.qubits, instruction.clbits, inplace=True)
        else:
            inlined.append(instruction)
    return inlined


def _hides_lookalike(operation: Operation) -> bool:
    definition = getattr(operation, "definition", None)
    if definition is None or _is_standard(operation):
        return False
    if operation.name in _standard_gates():
        return True
    return any(_hides_lookalike(instruction.operation) for instruction in definition.data)


def _is_standard(operation: Operation) -> bool:
    standard = _standard_gates().get(operation.name)
    return standard is not None and getattr(operation, "base_class", None) is standard.base_class


_standard_gates = cache(get_standard_gate_name_mapping)


def _names(parameters: Sequence[Parameter] | set[Parameter]) -> str:
    return ", ".join(sorted(parameter.name for parameter in parameters))
