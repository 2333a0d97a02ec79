"""Lays logical pubs out on a device: which samples share an execution, and on which chains they run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from qiskit import QuantumCircuit
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import Target

from qlam_qiskit.backends import OpenBackend, ServiceLimits
from qlam_qiskit.planning.budget import Usage, fidelity_of, survival, usage_of
from qlam_qiskit.planning.chains import Chain, find_chains, typical_chain
from qlam_qiskit.planning.limits import Demand, demand_of, excess_of
from qlam_qiskit.planning.tiling import ChainWriter, Tile, deal, make_tile, sampler_pub, tiled

# Chains for circuits that reset qubits are compared by what is lost between so many resets of one.
_REMEMBERED_RESETS = 16


@dataclass(frozen=True)
class LaidOut:
    """A physical pub with the tiles in it, the usage of the slowest tile, and the fidelity predicted for each."""

    pub: SamplerPub
    tiles: tuple[Tile, ...]
    usage: Usage
    fidelities: tuple[float, ...]
    writers: Mapping[int, ChainWriter] = field(default_factory=dict)
    usages: tuple[Usage, ...] = ()

    @cached_property
    def demand(self) -> Demand:
        """What the pub asks of a job, but for its time; encoding it takes long, and is done once."""
        return demand_of(self.pub, 0.0, 0.0, self.usages)

    def priced(self, rep_delay_s: float) -> Demand:
        """Return what the pub asks of a job, executed with a delay."""
        return replace(self.demand, row_seconds=self.pub.shots * (rep_delay_s + self.usage.duration_s))

    def apart(self) -> list[LaidOut]:
        """Return every tile as a physical pub of its own, on the chain that it has among the others."""
        singles = []
        for tile, fidelity in zip(self.tiles, self.fidelities, strict=True):
            own = replace(tile, prefix="")
            pub = tiled(self.pub.circuit.num_qubits, (own,), self.writers, self.pub.shots)
            singles.append(LaidOut(pub, (own,), self.usage, (fidelity,), self.writers))
        return singles


def lay_out(
    pubs: Sequence[SamplerPub],
    target: Target,
    *,
    limits: ServiceLimits,
    most: int | None = None,
    min_fidelity: float = 0.0,
) -> list[LaidOut]:
    """Put the pubs' samples on disjoint chains, those of equal width and shots together.

    ``most`` bounds how many samples share an execution, as do the ``limits`` of a job; chains under
    ``min_fidelity`` are avoided. Raises PlanningError when the device has no chain that is long enough.
    """
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, pub in enumerate(pubs):
        if pub.size:
            groups[pub.circuit.num_qubits, pub.shots].append(index)
    laid = []
    for (width, _), members in groups.items():
        writers = {index: ChainWriter(pubs[index], target) for index in members}
        trial = typical_chain(width, target)
        circuits = [writers[index].on(trial).circuit for index in members]
        heaviest = usage_of(max(circuits, key=QuantumCircuit.num_nonlocal_gates), target)
        if heaviest.resets > _REMEMBERED_RESETS:
            # Errors are forgotten; the product over thousands of gates would leave no chain but the best.
            heaviest, min_fidelity = heaviest.part(_REMEMBERED_RESETS / heaviest.resets), 0.0
        choose = partial(find_chains, target, heaviest, min_fidelity=min_fidelity)
        laid += _fill(writers, target, choose, most, limits)
    return laid


def lay_out_transpiled(pubs: Sequence[SamplerPub], opened: OpenBackend) -> list[LaidOut]:
    """Have the backend transpile each pub's circuit as it likes; one sample per execution."""
    laid = []
    for index, pub in enumerate(pubs):
        if not pub.size:
            continue
        circuit = opened.isa(pub.circuit)
        values = pub.parameter_values.as_array(circuit.parameters).reshape(pub.size, -1)
        tile = make_tile(index, 0, pub.size, (), circuit)
        target = opened.backend.target
        laid.append(
            LaidOut(
                sampler_pub(circuit, values, pub.shots),
                (tile,),
                usage_of(circuit, target, range(circuit.num_qubits)),
                (fidelity_of(circuit, target),),
            )
        )
    return laid


def _fill(
    writers: Mapping[int, ChainWriter],
    target: Target,
    choose: Callable[..., Sequence[Chain]],
    most: int | None,
    limits: ServiceLimits,
) -> list[LaidOut]:
    """Tile as many pubs at a time as there are chains, on fewer chains where an execution would outgrow a job."""
    laid = []
    chains = choose(at_most=most)
    members = list(writers)
    while members:
        item = _tile(writers, members[: len(chains)], target, chains, choose)
        excess = excess_of(item.demand, limits)
        if excess > 1 and len(chains) > 1:
            chains = chains[: max(1, int(min(len(chains) - 1, len(item.tiles) / excess)))]
            continue
        laid.append(item)
        members = members[len(chains) :]
    return laid


def _tile(
    writers: Mapping[int, ChainWriter],
    members: Sequence[int],
    target: Target,
    chains: Sequence[Chain],
    choose: Callable[..., Sequence[Chain]],
) -> LaidOut:
    rows = {index: writers[index].pub.size for index in members}
    dealt = deal(rows, chains)
    if len(dealt) < len(chains):
        # Fewer chains are needed than there is room for: they may lie where they are best.
        better = choose(at_most=len(dealt))
        dealt = deal(rows, better if len(better) == len(dealt) else chains)
    tiles = tuple(
        make_tile(index, start, rows, chain.qubits, writers[index].on(chain.qubits).circuit, f"t{number}_")
        for number, (index, start, rows, chain) in enumerate(dealt)
    )
    pub = tiled(target.num_qubits, tiles, writers, writers[members[0]].pub.shots)
    usages = [writers[tile.pub].usage(tile.chain) for tile in tiles]
    return LaidOut(
        pub,
        tiles,
        max(usages, key=lambda usage: usage.duration_s),
        tuple(
            survival(usage, target, chain.qubits) if usage.resets else chain.fidelity
            for usage, (*_, chain) in zip(usages, dealt, strict=True)
        ),
        writers,
        tuple(usages),
    )
