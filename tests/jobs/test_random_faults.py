"""Randomized schedules of faults and kills: nothing lost, doubled, wrong or leaked, whatever happens in whatever order.

``python -m tests.jobs.schedules --count 300 --seed 0`` runs as many as are wanted, as does the variable
QLAM_SCHEDULES here.
"""

import os

import pytest

from tests.jobs.schedules import Schedules, checks_identity, make_pubs

CHUNKS = 4
CHUNK = int(os.environ.get("QLAM_SCHEDULES", "36")) // CHUNKS


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_nothing_is_lost_doubled_wrong_or_leaked(chunk, server, open_service, tiny_pub, tmp_path):
    # Transpiled in advance, because the transpiler's threads do not survive a fork.
    schedules = Schedules(server.state, open_service, make_pubs(open_service(), tiny_pub), checks_identity())
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        schedules.run(seed, tmp_path / str(seed))
    assert schedules.complaints == [], schedules.summary()
    # The schedules were worth something: most got as far as the ledger, and processes were killed.
    counts = schedules.counts
    assert counts["submissions"] > CHUNK // 2 and counts["kills"] >= 2 and counts["faults"] > CHUNK
