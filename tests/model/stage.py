"""Where the state machine works: a database whose clock stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import TypeVar

import psycopg

from flowbuilder.executor.database import Database
from tests.support.engine import Engine, flow_of
from tests.support.transitions import NOTING

T = TypeVar("T")

#: The clock stands still, and only `flowbuilder.clock` moves it.
_STILL = """
create or replace function flowbuilder.now() returns timestamptz
language sql stable set search_path = ''
as $$ select '2030-01-01 00:00+00'::timestamptz + c.offset_by from flowbuilder.clock c $$
"""
_CLEAR = """
truncate flowbuilder.runs, flowbuilder.run_steps, flowbuilder.tasks, flowbuilder.approvals,
    flowbuilder.events, flowbuilder.workers, flowbuilder.outbox, pgmq.q_flowbuilder_tasks;
update flowbuilder.clock set offset_by = '0';
"""


class Stage:
    """A database, and sessions that hold the locks of workers."""

    def __init__(self, dsn: str) -> None:
        self._runner = asyncio.Runner()
        self.control = psycopg.connect(dsn, autocommit=True)
        self.control.execute(_STILL)
        self.control.execute(NOTING)
        self.database: Database = self.run(Database.open(dsn, size=1))
        self.engine = Engine(self.database)
        self.child = self.run(self.engine.store.register_version(
            flow_of({"id": "x", "retry": {"max_attempts": 2}}, slug="child"), self.engine.registry
        ))  # fmt: skip
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
