"""Dead rows in the queue, and what the engine makes of them."""

from __future__ import annotations

from typing import Any

from tests.support.engine import Engine

#: Rows that were deleted: a little more than upkeep lets lie before it looks again.
_DUST = b"""
with seen as (select coalesce(max(msg_id), 0) as last from pgmq.q_flowbuilder_tasks),
made as (
    insert into pgmq.q_flowbuilder_tasks (vt, message)
    select flowbuilder.queue_place(flowbuilder.now(), n %% 3 - 1, n %% 40), '{}'
    from generate_series(1, %s) n returning msg_id
)
select max(msg_id) from made
"""
_SWEPT = b"delete from pgmq.q_flowbuilder_tasks where message = '{}'"
_TOLD = b"select pg_stat_force_next_flush()"
_STATE = b"""
select shut::text, empty::text, edge::text, shut = empty as agreed, empty <> '{}' as made,
       cardinality(since) as stretches
from flowbuilder.queue_gaps
"""
#: Messages that a claim would never come to.
_HIDDEN = b"""
select q.msg_id, q.vt::text from pgmq.q_flowbuilder_tasks q
where q.vt < 'infinity' and not exists (
    select from flowbuilder.queue_stretches(flowbuilder.now() + interval '100 years') s
    where q.vt between s.since and s.until)
"""


async def raise_dust(engine: Engine, rows: int = 2100) -> None:
    """Leave dead rows in the queue that stay: nobody clears the table of this database."""
    async with engine.database.connection() as connection:
        await connection.execute(
            b"alter table pgmq.q_flowbuilder_tasks set (autovacuum_enabled = off)"
        )
        await connection.execute(_DUST, (rows,))
        await connection.execute(_SWEPT)
        await connection.execute(_TOLD)


async def gaps(engine: Engine) -> dict[str, Any]:
    """Return what is known of gaps; `made`: there are some that claims step over."""
    row = await engine.database.fetch_one(_STATE)
    assert row is not None
    return row


async def make_gaps(engine: Engine) -> None:
    """Let upkeep step over what is dead."""
    await raise_dust(engine)
    for _ in range(2):
        await engine.store.tick()
    assert (await gaps(engine))["made"]


async def nothing_hidden(engine: Engine) -> None:
    """Assert that every message stands where claims look."""
    assert await engine.database.fetch_all(_HIDDEN) == []
