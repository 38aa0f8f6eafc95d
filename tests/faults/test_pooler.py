"""A pooler in transaction mode between the workers and the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.types import JsonObject
from tests.faults.harness.arena import Arena, chain, fan, flow, sized
from tests.faults.harness.invariants import all_events
from tests.faults.harness.pooler import PROGRAM, transaction_pooler
from tests.faults.harness.server import through

_CHILD = flow(
    "child",
    [{"id": "pass", "tool": "fault.work", "args": {"value": "${{ input.n }}"}}],
    output="${{ steps.pass }}",
)
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


async def test_f61_every_kind_of_step_and_call_works_through_a_pooler(
    arena: Arena, tmp_path: Path
) -> None:
    """F61: transactional steps, sleeps, events, approvals, child runs, progress, retries, limits,
    pauses, cancels and streams, with client and workers behind the pooler."""
    with transaction_pooler(arena.server, tmp_path) as port:
        dsn = through(arena.dsn, port)
        workers = [arena.worker(dsn=dsn) for _ in range(2)]
        async with await Database.open(dsn, application_name="faults", size=4) as database:
            direct, arena.store.database = arena.store.database, database
            for _ in range(sized(1, 10)):
                await _everything(arena)
            arena.store.database = direct
        for worker in workers:
            worker.terminate()
            await worker.gone()
    arena.fired("run behind a pooler", len(arena.acknowledged))
    await arena.check()
    rows = await arena.database.fetch_all(b"select key from public.effects")
    assert len(rows) == len({row["key"] for row in rows}) == 3 * sized(1, 10)


async def _everything(arena: Arena) -> None:
    """Start a run of all kinds of steps, steer it to its end, and cancel another one."""
    store, number = arena.store, len(arena.acknowledged)
    await store.register_version(_CHILD, arena.registry)
    await store.set_limit("fault.plain", concurrency=1, rate=None)
    steps: list[JsonObject] = [
        {"id": "within", "tool": "fault.within", "for_each": [1, 2, 3],
         "args": {"value": "${{ item }}"}},
        {"id": "nap", "tool": "fault.nap", "args": {"seconds": 0.2}},
        {"id": "hear", "tool": "fault.listen", "args": {"name": "go", "key": str(number)}},
        {"id": "ask", "tool": "fault.work", "approval": {}, "args": {"value": 5}},
        {"id": "call", "tool": "fault.child", "args": {"flows": ["child"], "value": {"n": 7}}},
        {"id": "tell", "tool": "fault.progress", "args": {"times": 3}},
        {"id": "again", "tool": "fault.stumble", "args": {"times": 1, "value": 9},
         "retry": {"max_attempts": 2}},
        {"id": "one", "tool": "fault.plain", "for_each": [1, 2], "args": {"ms": 1, "value": 0}},
    ]  # fmt: skip
    output: JsonObject = {
        name: f"${{{{ steps.{name} }}}}"
        for name in (str(one["id"]) for one in steps[:1] + steps[2:])
    }
    run_id = await arena.start(flow("everything", steps, output=output))
    await store.pause_run(run_id)
    await store.resume_run(run_id)
    asked: list[ApprovalRow] = []

    async def pending() -> bool:
        asked[:] = await store.approvals()
        return bool(asked)

    await arena.hold(pending, what="nothing is asked")
    await store.decide(asked[0].id, approve=True, by="user:ada")
    await store.emit("go", str(number), {"n": number}, keep_seconds=600)
    doomed = await arena.start(
        flow("doomed", [{"id": "ask", "tool": "fault.work", "approval": {}}])
    )
    await store.cancel_run(doomed)
    await arena.ended()
    run = await store.get_run(run_id)
    assert run.error is None
    assert run.output == {
        "within": [1, 2, 3], "hear": {"n": number}, "ask": 5, "call": 7, "tell": 3,
        "again": 9, "one": [0, 0],
    }  # fmt: skip
    assert (await store.get_run(doomed)).status.value == "cancelled"
    seen = await all_events(store, run_id)
    assert {"task_progress", "task_retrying", "approval_decided"} <= {one.type for one in seen}


async def test_f61_past_the_pooler_work_is_heard_of_and_the_dead_are_missed(
    arena: Arena, tmp_path: Path
) -> None:
    """F61: LISTEN and the session's lock go by a DSN of their own: nobody polls for a minute, and
    leases are longer still."""
    with transaction_pooler(arena.server, tmp_path) as port:
        orders: dict[str, Any] = {
            "dsn": through(arena.dsn, port),
            "direct": arena.dsn,
            "lease": 300.0,
        }
        victim = arena.worker(**orders)
        await arena.joined(victim)
        gate = arena.folder / "gate"
        await arena.start(fan(4, tool="fault.hold", args={"gate": str(gate)}))
        await arena.hold(lambda: arena.ledger.count() == 4, what="it does not begin")
        victim.kill()
        gate.touch()
        await arena.joined(arena.worker(**orders))
        await arena.outputs()
        times = arena.ledger.recoveries(arena.kills)
        arena.figure(recovery_worst=round(max(times), 2))
        arena.workers[-1].terminate()
        await arena.workers[-1].gone()

        listener = arena.worker(**orders, poll=60.0)
        await arena.joined(listener)
        await arena.hold(lambda: _sessions(arena, "flowbuilder-listen"), what="nobody listens")
        async with Notifications(arena.database) as notifications:
            run_id = await arena.start(chain(2), 1)
            await notifications.announce([run_id], ready=True)
            await arena.outputs(seconds=30)
        listener.terminate()
        await listener.gone()
    await arena.check()


async def _sessions(arena: Arena, name: str) -> bool:
    """Whether there is a session of this name that the pooler has no part in."""
    rows = await arena.database.fetch_all(
        b"select 1 from pg_stat_activity where application_name = %s and query ilike 'listen%%'"
        b" and datname = current_database()",
        (name,),
    )
    return bool(rows)
