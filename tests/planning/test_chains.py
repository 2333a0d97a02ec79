"""Chains: disjoint paths of working qubits, the best that the calibration offers, found in no time."""

import itertools
import time

import numpy as np
import pytest
from planning import broken, samples, sequence
from qiskit_ibm_runtime.fake_provider import FakeBoston, FakeBrisbane, FakeGuadalupeV2, FakeKingston, FakeTorino

from qlam_qiskit.errors import PlanningError
from qlam_qiskit.planning.budget import edge_losses, fidelity_of, qubit_losses
from qlam_qiskit.planning.chains import find_chains, typical_chain
from qlam_qiskit.planning.tiling import ChainWriter, Tiling, make_tile
from qlam_qiskit.planning.usage import usage_of


def usage(target, qubits: int, steps: int = 10):
    writer = ChainWriter(samples(sequence("line", qubits, steps), 1, 10), target)
    trial = typical_chain(qubits, target)
    return usage_of(writer.on(trial).circuit, target)


@pytest.mark.parametrize("device", [FakeTorino, FakeBoston, FakeKingston, FakeBrisbane])
@pytest.mark.parametrize("qubits", [1, 4, 6, 10])
def test_chains_are_disjoint_paths_found_in_less_than_a_second(device, qubits):
    target = device().target
    needed = usage(target, qubits)
    started = time.process_time()
    chains = find_chains(target, needed)
    assert time.process_time() - started < 1
    used = [qubit for chain in chains for qubit in chain.qubits]
    assert len(used) == len(set(used)) == qubits * len(chains)
    edges = {tuple(sorted(edge)) for edge in target.build_coupling_map().get_edges()}
    for chain in chains:
        assert all(tuple(sorted(edge)) in edges for edge in itertools.pairwise(chain.qubits))
    assert [chain.fidelity for chain in chains] == sorted((chain.fidelity for chain in chains), reverse=True)
    assert chains == find_chains(target, needed)


def test_six_qubits_fit_on_a_heron_at_least_eight_times():
    for device in (FakeTorino, FakeKingston, FakeBoston):
        assert len(find_chains(device().target, usage(device().target, 6, 28))) >= 8


def test_the_fidelity_of_a_chain_is_the_product_of_what_its_gates_keep():
    target = FakeTorino().target
    writers = {0: ChainWriter(samples(sequence("line", 4, 10), 1, 10), target)}
    chain = find_chains(target, usage(target, 4), at_most=1)[0]
    tile = make_tile(0, 0, 1, chain.qubits, writers[0].on(chain.qubits).measured())
    placed = Tiling(target.num_qubits, [tile], writers, 10).circuit()
    busy = fidelity_of(placed, target)
    # The chain's own figure also counts what waiting costs: microseconds against lifetimes of a hundred.
    assert 0.9 * busy < chain.fidelity < busy


def test_the_best_set_of_chains_is_found_where_all_can_be_tried():
    target = FakeGuadalupeV2().target
    needed = usage(target, 3)
    everything = find_all_paths(target, 3)
    score = {path: loss_of(needed, target, path) for path in everything}
    best = min(score.values())
    worth = {path: np.exp(2 * (best - loss)) for path, loss in score.items()}
    found = find_chains(target, needed, worst=0.0)
    assert found[0].fidelity <= np.exp(-best) * (1 + 1e-9)
    total = sum(max(worth[chain.qubits], worth[chain.qubits[::-1]]) for chain in found)
    assert total >= (1 - 2e-3) * most_worth(frozenset(range(target.num_qubits)), worth, {})
    assert find_chains(target, needed, at_most=1)[0].fidelity == pytest.approx(np.exp(-best))


def find_all_paths(target, length: int) -> list[tuple[int, ...]]:
    linked = {q: set() for q in range(target.num_qubits)}
    for a, b in target.build_coupling_map().get_edges():
        linked[a].add(b)
        linked[b].add(a)
    paths = [(q,) for q in linked]
    for _ in range(length - 1):
        paths = [(*path, q) for path in paths for q in linked[path[-1]] if q not in path]
    return paths


def loss_of(needed, target, path) -> float:
    of_qubit, of_edge = qubit_losses(needed, target), edge_losses(needed, target)
    return sum(of_qubit[k, q] for k, q in enumerate(path)) + sum(
        of_edge[k, a, b] for k, (a, b) in enumerate(itertools.pairwise(path))
    )


def most_worth(free, worth, known) -> float:
    """Try every set of disjoint paths, taking the lowest free qubit first: by a path through it, or not at all."""
    if not free:
        return 0.0
    if free not in known:
        lowest = min(free)
        known[free] = most_worth(free - {lowest}, worth, known)
        for path, value in worth.items():
            if lowest in path and free.issuperset(path):
                known[free] = max(known[free], value + most_worth(free - set(path), worth, known))
    return known[free]


def test_broken_qubits_and_edges_are_avoided():
    device = FakeTorino()
    good = find_chains(device.target, usage(device.target, 6), at_most=1)[0].qubits
    edge = tuple(sorted(good[2:4]))
    target = broken(device, qubits=(good[0],), edges=(edge,))
    for chain in find_chains(target, usage(target, 6)):
        assert good[0] not in chain.qubits
        assert edge not in {tuple(sorted(pair)) for pair in itertools.pairwise(chain.qubits)}


def test_chains_far_worse_than_the_best_or_than_asked_are_left_out():
    target = FakeTorino().target
    needed = usage(target, 4)
    best = find_chains(target, needed, at_most=1)[0].fidelity
    assert all(chain.fidelity >= 0.5 * best for chain in find_chains(target, needed))
    asked = 0.9 * best
    few = find_chains(target, needed, min_fidelity=asked)
    assert 0 < len(few) < len(find_chains(target, needed))
    assert all(chain.fidelity >= asked for chain in few)
    # What no chain reaches excludes none: the plan says that it does not fit.
    assert find_chains(target, needed, min_fidelity=1.0) == find_chains(target, needed)


def test_a_device_without_a_chain_that_long_is_an_error():
    target = broken(FakeGuadalupeV2(), qubits=(1, 5, 8, 11, 12))
    with pytest.raises(PlanningError, match="no chain of 6 working qubits"):
        typical_chain(6, target)
