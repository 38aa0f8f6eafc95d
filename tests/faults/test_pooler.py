"""A pooler in transaction mode between the workers and the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness.arena import Arena, chain, fan, sized
from tests.faults.harness.pooler import PROGRAM, transaction_pooler
from tests.faults.harness.server import through

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


async def test_f61_everything_works_through_a_transaction_pooler(
    arena: Arena, tmp_path: Path
) -> None:
    """F61: no session of its own, no LISTEN: slower, but correct, also when a worker is killed."""
    with transaction_pooler(arena.server, tmp_path) as port:
        dsn = through(arena.dsn, port)
        workers = [arena.worker(dsn=dsn, lease=2.0) for _ in range(2)]
        for _ in range(sized(3, 30)):
            await arena.start(chain(4, ms=10), 1)
            await arena.start(fan(20, ms=20))
        await arena.hold(lambda: arena.ledger.count() > 20, seconds=20, what="no progress")
        workers[0].kill()
        await arena.outputs(seconds=sized(60, 180))
        await arena.ended()
        for worker in workers[1:]:
            worker.terminate()
            await worker.gone()
    await arena.check()
