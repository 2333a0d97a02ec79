"""Cuts laid-out circuits into jobs: as few as a service's limits allow, or small ones for what runs here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.backends import OpenBackend, ServiceLimits
from qlam_qiskit.planning.device import rep_delay_s
from qlam_qiskit.planning.executions import executions_of_row
from qlam_qiskit.planning.layout import LaidOut
from qlam_qiskit.planning.limits import Demand, Share, job_payload_mb, job_seconds, split_into_jobs
from qlam_qiskit.planning.tiling import Tile, logical_values, sampler_pub

_LOCAL_ROWS = 100


@dataclass(frozen=True)
class PlannedJob:
    """One job: its pubs are sent as they are. ``executions`` counts rows times shots as they are run."""

    make_pubs: Callable[[], tuple[SamplerPub, ...] | tuple[EstimatorPub, ...]] = field(repr=False, compare=False)
    executions: int
    qpu_seconds: float
    payload_mb: float

    @cached_property
    def pubs(self) -> tuple[SamplerPub, ...] | tuple[EstimatorPub, ...]:
        """What is sent, written out when it is first asked for."""
        return self.make_pubs()


@dataclass(frozen=True)
class Jobs:
    """Jobs, the tiles of each pub of each job, and what does not fit into any job."""

    jobs: tuple[PlannedJob, ...]
    tiles: tuple[tuple[tuple[Tile, ...], ...], ...]
    excesses: tuple[str, ...] = ()


def service_jobs(
    laid: Sequence[LaidOut], opened: OpenBackend, limits: ServiceLimits, max_seconds: float | None
) -> Jobs:
    """Fill jobs up to the service's limits and price them."""
    chosen = getattr(opened.spec, "rep_delay", None)
    delay = rep_delay_s(opened.backend) if chosen is None else chosen
    demands = [_twirled(item.priced(delay), opened) for item in laid]
    jobs, excesses = split_into_jobs(demands, limits, max_seconds)
    return _cut(laid, demands, jobs, tuple(excesses), paid=True)


def local_jobs(laid: Sequence[LaidOut]) -> Jobs:
    """Cut what runs here into jobs of one circuit and a hundred samples each; they cost no QPU time."""
    demands = [item.priced(0.0) for item in laid]
    jobs = [
        [Share(number, first, min(demand.rows, first + _LOCAL_ROWS))]
        for number, demand in enumerate(demands)
        for first in range(0, demand.rows, _LOCAL_ROWS)
    ]
    return _cut(laid, demands, jobs, (), paid=False)


def _cut(
    laid: Sequence[LaidOut],
    demands: Sequence[Demand],
    jobs: Sequence[Sequence[Share]],
    excesses: tuple[str, ...],
    *,
    paid: bool,
) -> Jobs:
    planned, tiles = [], []
    for shares in jobs:
        planned.append(
            PlannedJob(
                make_pubs=partial(_pubs_of, laid, shares),
                executions=sum((share.last - share.first) * demands[share.pub].shots for share in shares),
                qpu_seconds=job_seconds(shares, demands) if paid else 0.0,
                payload_mb=job_payload_mb(shares, demands),
            )
        )
        parts = ([tile.part(share.first, share.last) for tile in laid[share.pub].tiles] for share in shares)
        tiles.append(tuple(tuple(tile for tile in part if tile is not None) for part in parts))
    return Jobs(tuple(planned), tuple(tiles), excesses)


def _twirled(demand: Demand, opened: OpenBackend) -> Demand:
    """Return the demand with shots rounded up to whole randomizations, where the entry twirls."""
    shots = executions_of_row(opened.spec, demand.shots)
    return replace(demand, shots=shots, row_seconds=demand.row_seconds * shots / demand.shots)


def _pubs_of(laid: Sequence[LaidOut], shares: Sequence[Share]) -> tuple[SamplerPub, ...]:
    return tuple(_rows_of(laid[share.pub].pub, share) for share in shares)


def _rows_of(pub: SamplerPub, share: Share) -> SamplerPub:
    if (share.first, share.last) == (0, pub.size):
        return pub
    return sampler_pub(pub.circuit, logical_values(pub)[share.first : share.last], pub.shots)
