"""Lays logical pubs out on a device: which samples share an execution, and on which chains they run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import Target

from qlam_qiskit.backends import AerSpec, OpenBackend, ServiceLimits
from qlam_qiskit.planning.budget import fidelity_of, survival
from qlam_qiskit.planning.chains import Chain, find_chains, typical_chain
from qlam_qiskit.planning.economy import check_operations, read_at_the_end
from qlam_qiskit.planning.limits import Demand, demand_of, demand_of_tiles, excess_of
from qlam_qiskit.planning.repetition import SequenceWriter
from qlam_qiskit.planning.sequence_pub import LogicalPub, num_qubits, outline
from qlam_qiskit.planning.tiling import ChainWriter, Tile, Tiling, deal, make_tile, sampler_pub
from qlam_qiskit.planning.usage import Usage, usage_of

# Chains for circuits that reset qubits are compared by what is lost between so many resets of one.
_REMEMBERED_RESETS = 16


@dataclass(frozen=True)
class LaidOut:
    """Tiles that share executions, the usage of the slowest one, and the fidelity predicted for each.

    The physical pub is ``given``, or written from ``tiling`` when it is first asked for; ``usages`` are the tiles'.
    """

    tiles: tuple[Tile, ...]
    usage: Usage
    fidelities: tuple[float, ...]
    given: SamplerPub | EstimatorPub | None = None
    tiling: Tiling | None = None
    usages: tuple[Usage, ...] = ()

    @cached_property
    def pub(self) -> SamplerPub | EstimatorPub:
        """What is to be run."""
        return self.tiling.pub() if self.given is None else self.given

    @cached_property
    def demand(self) -> Demand:
        """What the pub asks of a job, but for its time; encoding it takes long, and is done once."""
        if self.given is not None:
            return demand_of(self.given, 0.0, 0.0, self.usages)
        return demand_of_tiles(self.tiling, self.usages)

    def priced(self, rep_delay_s: float) -> Demand:
        """Return what the pub asks of a job, executed with a delay."""
        return replace(self.demand, row_seconds=self.demand.shots * (rep_delay_s + self.usage.duration_s))

    def apart(self) -> list[LaidOut]:
        """Return every tile as a physical pub of its own, on the chain that it has among the others."""
        singles = []
        for tile, fidelity, usage in zip(self.tiles, self.fidelities, self.usages, strict=True):
            own = replace(tile, prefix="")
            singles.append(
                LaidOut((own,), usage, (fidelity,), tiling=replace(self.tiling, tiles=(own,)), usages=(usage,))
            )
        return singles


def lay_out(
    pubs: Sequence[LogicalPub],
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
            groups[num_qubits(pub), pub.shots].append(index)
    laid, sequences = [], SequenceWriter()
    for (width, _), members in groups.items():
        writers = {index: ChainWriter(pubs[index], target, sequences) for index in members}
        trial = typical_chain(width, target)
        circuits = [writers[index].on(trial) for index in members]
        heaviest = max(circuits, key=lambda circuit: circuit.num_nonlocal_gates()).usage(target)
        if heaviest.resets > _REMEMBERED_RESETS:
            # Errors are forgotten; the product over thousands of gates would leave no chain but the best.
            heaviest, min_fidelity = heaviest.part(_REMEMBERED_RESETS / heaviest.resets), 0.0
        choose = partial(find_chains, target, heaviest, min_fidelity=min_fidelity)
        laid += _fill(writers, target, choose, most, limits)
    return laid


def lay_out_transpiled(pubs: Sequence[LogicalPub], opened: OpenBackend) -> list[LaidOut]:
    """Have the backend transpile each pub's circuit as it likes; one sample per execution."""
    laid = []
    for index, pub in enumerate(pubs):
        if not pub.size:
            continue
        if not isinstance(opened.spec, AerSpec):
            check_operations(outline(pub), opened.backend.target)
        circuit = opened.isa(pub.circuit)
        values = pub.parameter_values.as_array(circuit.parameters).reshape(pub.size, -1)
        tile = make_tile(index, 0, pub.size, (), read_at_the_end(circuit))
        target = opened.backend.target
        usage = usage_of(circuit, target, range(circuit.num_qubits))
        fidelities = (fidelity_of(circuit, target),)
        laid.append(LaidOut((tile,), usage, fidelities, given=sampler_pub(circuit, values, pub.shots)))
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
        make_tile(index, start, rows, chain.qubits, writers[index].on(chain.qubits).measured(), f"t{number}_")
        for number, (index, start, rows, chain) in enumerate(dealt)
    )
    usages = [writers[tile.pub].usage(tile.chain) for tile in tiles]
    return LaidOut(
        tiles,
        max(usages, key=lambda usage: usage.duration_s),
        tuple(
            survival(usage, target, chain.qubits) if usage.resets else chain.fidelity
            for usage, (*_, chain) in zip(usages, dealt, strict=True)
        ),
        tiling=Tiling(target.num_qubits, tiles, writers, writers[members[0]].pub.shots),
        usages=tuple(usages),
    )
