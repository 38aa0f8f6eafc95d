"""The database is away while the worker asks it something on behalf of a task: that costs the task
no attempt, and a handler that has been called is not called again for it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor.database import Connection, Database
from flowbuilder.executor.records import ApprovalRow, Exchange, OutcomeKind
from flowbuilder.executor.store import Store
from flowbuilder.flow import Flow
from flowbuilder.tools import Context, ToolRegistry, tool
from flowbuilder.types import JsonObject
from tests.integration.test_worker import Bench
from tests.support.waiting import eventually

ONCE: JsonObject = {"max_attempts": 1}


class AwayStore(Store):
    """Is away for so many of the calls of a name."""

    def __init__(self, database: Database, **away: int) -> None:
        super().__init__(database)
        self.away = Counter(away)
        self.released = 0

    def _ask(self, name: str) -> None:
        if self.away[name] > 0:
            self.away[name] -= 1
            raise DatabaseUnavailable("The database cannot be reached: gone")

    async def of_run(self, run_id: str) -> Store:
        self._ask("child")
        return await super().of_run(run_id)

    async def gate_of_task(self, run_id: str, task_id: int) -> ApprovalRow | None:
        self._ask("gate")
        return await super().gate_of_task(run_id, task_id)

    async def exchange(self, worker_id: str, **given: Any) -> Exchange:
        self.released += sum(one.kind is OutcomeKind.RELEASED for one in given["outcomes"])
        return await super().exchange(worker_id, **given)


async def child_is_there(bench: Bench) -> None:
    steps = [{"id": "a", "tool": "plain.one", "args": {"n": "${{ input.n }}"}}]
    kid = {"flow": "kid", "steps": steps, "output": "${{ steps.a }}"}
    await bench.store.register_version(Flow.model_validate(kid), bench.registry)


CHILD: JsonObject = {"id": "a", "tool": "run.child", "args": {"flow": "kid", "n": 1}}
GATE: JsonObject = {"id": "a", "tool": "add.one", "args": {"n": 1}, "approval": {"message": "?"}}


async def approve(bench: Bench) -> None:
    async def asked() -> bool:
        return bool(await bench.store.approvals())

    await eventually(asked)
    [approval] = await bench.store.approvals()
    await bench.store.decide(approval.id, approve=True, by="user:ada")


@pytest.mark.parametrize(("step", "name"), [(CHILD, "child"), (GATE, "gate")])
async def test_a_short_one_is_waited_for(database: Database, step: JsonObject, name: str) -> None:
    store = AwayStore(database, **{name: 3})
    bench = Bench(database, store)
    await child_is_there(bench)
    async with bench.worker():
        run = await bench.start({**step, "retry": ONCE}, output="${{ steps.a }}")
        if name == "gate":
            await approve(bench)
        assert await bench.result(run) == 2
    assert store.away[name] == 0 and store.released == 0


async def test_one_that_is_longer_than_a_lease_hands_the_task_back(database: Database) -> None:
    store = AwayStore(database, child=1_000_000)
    bench = Bench(database, store)
    await child_is_there(bench)
    async with bench.worker(lease=timedelta(seconds=1)):
        run = await bench.start({**CHILD, "retry": ONCE}, output="${{ steps.a }}")
        await eventually(lambda: store.released > 0, what="it was not handed back")
        store.away.clear()
        assert await bench.result(run) == 2
    assert not await bench.events(run, "task_retrying")
    assert not await bench.events(run, "task_failed")


async def test_a_transaction_begins_when_it_is_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(database)

    @tool("effect.none", effects="write", transactional=True)
    async def nothing(context: Context) -> int:
        bench.called.append(context.attempt)
        return context.attempt

    bench.registry = ToolRegistry([nothing])
    dedicated, failures = database.dedicated, iter(range(3))

    async def away(**options: Any) -> Connection:
        if options["application_name"] == "flowbuilder transaction":
            for _ in failures:
                raise DatabaseUnavailable("The database cannot be reached: gone")
        return await dedicated(**options)

    monkeypatch.setattr(database, "dedicated", away)
    async with bench.worker():
        run = await bench.start(
            {"id": "a", "tool": "effect.none", "retry": ONCE}, output="${{ steps.a }}"
        )
        assert await bench.result(run) == 1
    assert bench.called == [1] and not list(failures)
