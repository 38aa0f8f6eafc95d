"""Where the state machine works: a database whose clock stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import TypeVar

import psycopg

from flowbuilder.executor.database import Database
from tests.model.flows import document_of
from tests.model.rows import Plan
from tests.support.engine import Engine, flow_of
from tests.support.still_clock import STILL
from tests.support.transitions import NOTING

T = TypeVar("T")

#: The flow of child runs: a step that can be undone, and another one.
CHILD = [
    Plan(
        name=name, before=before, rule="all_success", on_error="fail", max_attempts=2, when=False,
        elements=None, window=None, undo=undo,
    )
    for name, before, undo in (("x0", (), 2), ("x1", ("x0",), None))
]  # fmt: skip

_CLEAR = """
truncate flowbuilder.runs, flowbuilder.run_steps, flowbuilder.tasks, flowbuilder.approvals,
    flowbuilder.approval_acts, flowbuilder.approval_links, flowbuilder.approval_notices,
    flowbuilder.events, flowbuilder.workers, flowbuilder.outbox, flowbuilder.leases,
    flowbuilder.run_holds, flowbuilder.event_slots, flowbuilder.tool_limits,
    flowbuilder.limit_slots, flowbuilder.slot_uses, flowbuilder.slot_news,
    pgmq.q_flowbuilder_tasks;
delete from flowbuilder.flow_versions where origin = 'run';
update flowbuilder.clock set offset_by = '0';
"""


class Stage:
    """A database, and sessions that hold the locks of workers."""

    def __init__(self, dsn: str) -> None:
        self._runner = asyncio.Runner()
        self.control = psycopg.connect(dsn, autocommit=True)
        self.control.execute(STILL)
        self.control.execute(NOTING)
        self.database: Database = self.run(Database.open(dsn, size=1))
        self.engine = Engine(self.database)
        child = flow_of(*(document_of(plan) for plan in CHILD), slug="child")
        self.child = self.run(self.engine.store.register_version(child, self.engine.registry))
        self.told: Counter[str] = Counter()
        """How often what was said and done, over all examples."""

    def run(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        return self._runner.run(wait())

    def clear(self) -> None:
        self.control.execute("select pg_advisory_unlock_all()")
        self.control.execute(_CLEAR)

    def close(self) -> None:
        self.run(self.database.__aexit__(None, None, None))
        self._runner.close()
        self.control.close()
