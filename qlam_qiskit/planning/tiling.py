"""Puts many samples side by side on disjoint chains of one device, and takes their results apart again.

One execution of a tiled circuit serves one sample on each of its chains, so that the device's time is shared::

    samples of circuit 0:   0 1 2 3 4 5 6          tile 0 (chain A):  0 1 2
    on three chains, in                       ->   tile 1 (chain B):  3 4
    three executions                               tile 2 (chain C):  5 6

Every tile has classical registers of its own, and every row of its samples is one row of the tiled circuit's
parameter values; rows that are left over repeat a sample and are thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives.containers import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import Target

from qlam_qiskit.backends import part_of_target
from qlam_qiskit.errors import PlanningError
from qlam_qiskit.planning.economy import EconomicalCircuit, economize
from qlam_qiskit.planning.repetition import EconomicalSequence, SequenceWriter
from qlam_qiskit.planning.sequence_pub import LogicalPub, SequencePub
from qlam_qiskit.planning.usage import Usage

Registers = Mapping[str, BitArray]
ChainT = TypeVar("ChainT")


@dataclass(frozen=True)
class Tile:
    """Consecutive samples of one logical pub on one chain.

    Attributes
    ----------
    pub
        Which logical pub.
    start, rows
        Its (flattened) rows start .. start + rows - 1; execution e of the tiled circuit runs row start + e.
    prefix
        The tile's registers are the logical circuit's, with this before their names.
    chain
        Physical qubits, in the order of the chain; empty where the backend has no chains.
    measured
        The physical qubit that each bit of each logical register is read from at the end of the circuit; None for a bit
        that is read before, or not at all.
    """

    pub: int
    start: int
    rows: int
    prefix: str
    chain: tuple[int, ...]
    measured: Mapping[str, tuple[int | None, ...]]

    def part(self, first: int, last: int) -> Tile | None:
        """Return the tile of executions ``first`` to ``last`` - 1 alone; None when it has no samples there."""
        rows = min(self.rows, last) - first
        return replace(self, start=self.start + first, rows=rows) if rows > 0 else None


@dataclass(frozen=True)
class Placement:
    """Where every row of every logical pub runs: job by job, pub by pub, tile by tile.

    ``shapes`` are the logical pubs' shapes and ``registers`` the sizes (bits) of their registers.
    """

    shapes: tuple[tuple[int, ...], ...]
    registers: tuple[Mapping[str, int], ...]
    jobs: tuple[tuple[tuple[Tile, ...], ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for the ledger."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Placement:
        """Read what :meth:`to_json` wrote, after a round through JSON too."""
        jobs = tuple(tuple(tuple(_tile_from_json(tile) for tile in tiles) for tiles in job) for job in values["jobs"])
        return cls(tuple(tuple(shape) for shape in values["shapes"]), tuple(values["registers"]), jobs)

    def collect(
        self, results: Sequence[PrimitiveResult | Sequence[Registers]] | Mapping[int, Any]
    ) -> list[SamplerPubResult]:
        """Give the results back to the logical pubs, as if each had been run alone.

        ``results`` holds for every job its PrimitiveResult, or for every pub of it the registers by name. Raises
        PlanningError when something is missing or has another shape than was planned.
        """
        rows: list[dict[str, list[BitArray | None]]] = [
            {name: [None] * int(np.prod(shape)) for name in registers}
            for shape, registers in zip(self.shapes, self.registers, strict=True)
        ]
        for number, job in enumerate(self.jobs):
            try:
                result = results[number]
            except (IndexError, KeyError):
                raise PlanningError(f"the result of job {number} is missing") from None
            if len(result) != len(job):
                raise PlanningError(f"job {number} has {len(result)} results, and {len(job)} were planned")
            for tiles, pub_result in zip(job, result, strict=True):
                registers = getattr(pub_result, "data", pub_result)
                for tile in tiles:
                    self._take(tile, registers, rows[tile.pub], number)
        return [self._assemble(pub, of_pub) for pub, of_pub in enumerate(rows)]

    def _take(self, tile: Tile, registers: Registers, rows: dict[str, list[BitArray | None]], number: int) -> None:
        for name, bits in self.registers[tile.pub].items():
            try:
                read = registers[tile.prefix + name]
            except KeyError:
                raise PlanningError(f"job {number} has no register {tile.prefix + name}") from None
            flat = read.reshape(int(np.prod(read.shape)))
            if flat.num_bits != bits or flat.size < tile.rows:
                raise PlanningError(
                    f"job {number}, register {tile.prefix + name}: {flat.size} rows of {flat.num_bits} bits, "
                    f"and {tile.rows} of {bits} were planned"
                )
            rows[name][tile.start : tile.start + tile.rows] = [flat[row] for row in range(tile.rows)]

    def _assemble(self, pub: int, rows: dict[str, list[BitArray | None]]) -> SamplerPubResult:
        shape, data = self.shapes[pub], {}
        for name, read in rows.items():
            if any(row is None for row in read):
                raise PlanningError(f"circuit {pub}: rows are missing from the results")
            shots = {row.num_shots for row in read}
            if len(shots) > 1:
                raise PlanningError(f"circuit {pub}: jobs came back with different shots: {sorted(shots)}")
            packed = np.stack([row.array for row in read]) if read else np.zeros((0, 1, 1), dtype=np.uint8)
            data[name] = BitArray(packed.reshape(*shape, *packed.shape[1:]), self.registers[pub][name])
        return SamplerPubResult(DataBin(**data, shape=shape))


class ChainWriter:
    """Writes one logical pub for chains of a device; chains whose edges are alike share one circuit.

    Writers of one device may share ``sequences``, for what their circuits have in common.
    """

    def __init__(self, pub: LogicalPub, target: Target, sequences: SequenceWriter | None = None) -> None:
        self.pub = pub
        self._target = target
        self._sequences = sequences or SequenceWriter()
        self._usages: dict[tuple[int, tuple[float | None, ...]], Usage] = {}
        self._written: dict[Any, EconomicalCircuit | EconomicalSequence] = {}
        self._values: dict[int, NDArray[np.float64]] = {}

    def on(self, chain: Sequence[int]) -> EconomicalCircuit | EconomicalSequence:
        """Return the circuit for ``chain``, on qubits 0..n-1 that stand for the chain's."""
        edges = tuple(_gates_between(self._target, *edge) for edge in pairwise(chain))
        if edges not in self._written:
            part = part_of_target(self._target, chain)
            if isinstance(self.pub, SequencePub):
                self._written[edges] = self._sequences.write(self.pub.sequence, part, edges)
            else:
                self._written[edges] = economize(self.pub.circuit, part)
        return self._written[edges]

    def usage(self, chain: Sequence[int]) -> Usage:
        """Return what the circuit uses on ``chain``; chains whose gates take equally long share it."""
        written = self.on(chain)
        lasting = tuple(_durations(self._target, chain))
        if (known := self._usages.get((id(written), lasting))) is None:
            known = self._usages[id(written), lasting] = written.usage(self._target, chain)
        return known

    def values(self, chain: Sequence[int], first: int, last: int) -> NDArray[np.float64]:
        """Return the values of that circuit's angles for rows ``first`` to ``last`` - 1 of the pub, (rows, angles)."""
        written = self.on(chain)
        if isinstance(written, EconomicalSequence):
            rows = slice(first, last)
            return written.values(self.pub.phi[rows], self.pub.queries[rows], self.pub.parameters)
        if id(written) not in self._values:
            self._values[id(written)] = written.values(logical_values(self.pub))
        return self._values[id(written)][first:last]


def deal(rows: Mapping[int, int], chains: Sequence[ChainT]) -> list[tuple[int, int, int, ChainT]]:
    """Share chains, the best first, among pubs of so many rows: (pub, start, rows, chain) for each tile.

    There are as few executions as the chains allow, which is the largest number of rows in a tile, and no more tiles
    than that takes. Pubs take turns, so that none gets all the good chains. Needs a chain for each pub at least.
    """
    executions = max(1, -(-sum(rows.values()) // len(chains)))
    while sum(-(-count // executions) for count in rows.values()) > len(chains):
        executions += 1
    tiles = []
    for pub, count in rows.items():
        pieces = -(-count // executions)
        borders = [count * piece // pieces for piece in range(pieces + 1)]
        tiles += [(turn, pub, first, last - first) for turn, (first, last) in enumerate(pairwise(borders))]
    dealt = zip(sorted(tiles), chains, strict=False)
    return [(pub, start, count, chain) for (_, pub, start, count), chain in dealt]


@dataclass(frozen=True, eq=False)
class Tiling:
    """Tiles that share the executions of one circuit on a device of ``num_qubits`` qubits.

    ``writers`` write the tiles' pubs, by their numbers.
    """

    num_qubits: int
    tiles: Sequence[Tile]
    writers: Mapping[int, ChainWriter]
    shots: int

    @property
    def executions(self) -> int:
        """Rows of values: one for each row of the largest tile."""
        return max(tile.rows for tile in self.tiles)

    @property
    def num_angles(self) -> int:
        """Parameters of the circuit."""
        return sum(written.num_angles for written in self._written)

    @property
    def steps(self) -> list[int]:
        """Steps of each tile whose circuit is a repetition of steps."""
        return [written.steps for written in self._written if isinstance(written, EconomicalSequence)]

    def circuit(self, most_steps: int | None = None) -> QuantumCircuit:
        """Write the circuit, or one whose sequences end after ``most_steps`` steps."""
        written = self._written
        if most_steps is not None:
            written = [
                each.of_steps(min(each.steps, most_steps)) if isinstance(each, EconomicalSequence) else each
                for each in written
            ]
        angles = ParameterVector("a", sum(each.num_angles for each in written))
        circuit = QuantumCircuit(self.num_qubits)
        first = 0
        for tile, each in zip(self.tiles, written, strict=True):
            registers = [ClassicalRegister(size, tile.prefix + name) for name, size in each.registers.items()]
            circuit.add_register(*registers)
            clbits = [bit for register in registers for bit in register]
            each.append_to(circuit, tile.chain, clbits, angles[first : first + each.num_angles])
            first += each.num_angles
        return circuit

    def values(self, executions: int | None = None) -> NDArray[np.float64]:
        """Return the values of the circuit's parameters for the first executions, or for all."""
        executions = self.executions if executions is None else executions
        columns = []
        for tile in self.tiles:
            rows = min(executions, tile.rows)
            own = self.writers[tile.pub].values(tile.chain, tile.start, tile.start + rows)
            columns.append(own[np.minimum(np.arange(executions), rows - 1)])
        return np.concatenate(columns, axis=1)

    def pub(self) -> SamplerPub:
        """Write the circuit with a row for every execution."""
        return sampler_pub(self.circuit(), self.values(), self.shots)

    @property
    def _written(self) -> list[EconomicalCircuit | EconomicalSequence]:
        return [self.writers[tile.pub].on(tile.chain) for tile in self.tiles]


def make_tile(
    pub: int,
    start: int,
    rows: int,
    chain: Sequence[int],
    measured: Mapping[str, Sequence[int | None]],
    prefix: str = "",
) -> Tile:
    """Describe a tile whose circuit reads each bit from qubit k of ``chain``, or of the device where that is empty."""
    read = {
        name: tuple(chain[qubit] if chain and qubit is not None else qubit for qubit in qubits)
        for name, qubits in measured.items()
    }
    return Tile(pub, start, rows, prefix, tuple(chain), read)


def logical_values(pub: LogicalPub) -> NDArray[np.float64]:
    """Return a pub's parameter values with its shape flattened, (rows, parameters)."""
    return pub.parameter_values.as_array(pub.circuit.parameters).reshape(pub.size, -1)


def sampler_pub(circuit: QuantumCircuit, values: NDArray[np.float64], shots: int | None) -> SamplerPub:
    """Make a pub of a row for each execution, also where the circuit has no parameters."""
    if not circuit.num_parameters:
        return SamplerPub(circuit, BindingsArray(shape=(len(values),)), shots)
    return SamplerPub.coerce((circuit, values, shots))


def _durations(target: Target, chain: Sequence[int]) -> Iterator[float | None]:
    """Yield how long every operation on a chain's qubits and edges takes."""
    for name in target.operation_names:
        placed = target[name]
        for qubits in (*((qubit,) for qubit in chain), *pairwise(chain), *((b, a) for a, b in pairwise(chain))):
            yield getattr((placed or {}).get(qubits), "duration", None)


def _gates_between(target: Target, first: int, second: int) -> frozenset[tuple[str, bool]]:
    """List the gates of an edge with their directions."""
    return frozenset(
        (name, qubits == (first, second))
        for qubits in ((first, second), (second, first))
        if qubits in target.qargs
        for name in target.operation_names_for_qargs(qubits)
    )


def _tile_from_json(values: Mapping[str, Any]) -> Tile:
    measured = {name: tuple(qubits) for name, qubits in values["measured"].items()}
    return Tile(**{**values, "chain": tuple(values["chain"]), "measured": measured})
