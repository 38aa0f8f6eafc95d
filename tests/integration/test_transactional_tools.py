"""Transactional tools: what a handler writes is there once, if and only if its task has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flowbuilder.errors import DefinitionError
from flowbuilder.executor.database import Database
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.records import OutcomeKind, RunRow
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import Store
from flowbuilder.executor.worker import Worker
from flowbuilder.flow import Flow
from flowbuilder.settings import Settings
from flowbuilder.tools import Context, Fail, Retry, ToolRegistry, Wait, tool
from flowbuilder.types import JsonObject
from tests.support import transactional_worker as dying
from tests.support.engine import Engine
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SETTINGS = Settings(concurrency=20, poll_interval=timedelta(milliseconds=50))


#: What the handler raises at its first attempt.
RAISED = {
    "raise": ValueError("no"),
    "retry": Retry("again", after=0.01),
    "fail": Fail("never", code="never"),
}


async def _misbehave(what: str, connection: psycopg.AsyncConnection[Any]) -> None:
    """Do something to the transaction that was lent."""
    if what == "commit":
        await connection.commit()
    elif what == "close":
        await connection.close()
    elif what == "broken":
        with pytest.raises(psycopg.Error):
            await connection.execute("select 1 / 0")
    elif what == "savepoint":
        with pytest.raises(psycopg.Error):
            async with connection.transaction():
                await connection.execute("select 1 / 0")
    elif what.startswith("raw "):
        for statement in what.removeprefix("raw ").split(" and "):
            await connection.execute(statement.encode())


class Workshop:
    """Tools that write into a table of their own, and a worker for them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store = Store(database)
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.connections: list[int] = []
        self.registry = ToolRegistry(self._tools())

    def _tools(self) -> list[Any]:
        @tool("effect.note", effects="write", transactional=True)
        async def note(value: Any, context: Context) -> Any:
            await self._write(context)
            return value

        @tool("effect.then", effects="write", transactional=True)
        async def then(what: str, context: Context) -> Any:
            """Write, and then do something else."""
            await self._write(context)
            self.entered.set()
            if context.attempt == 1 and what in RAISED:
                raise RAISED[what]
            if what in ("hang", "gate"):
                await (asyncio.Event() if what == "hang" else self.go_on).wait()
            await _misbehave(what, context.connection)
            return Wait.for_time(1) if what == "wait" else what

        @tool("effect.dirty", transactional=True)
        async def dirty(context: Context, lock: bool) -> list[Any]:
            """Say what the session was like, and leave it in a mess."""
            self.connections.append(context.connection.info.backend_pid)
            cursor = await context.connection.execute(
                "select current_setting('work_mem'), to_regclass('pg_temp.left_over')::text, "
                "(select count(*) from pg_locks where locktype = 'advisory' "
                " and pid = pg_backend_pid())"
            )
            found = await cursor.fetchone()
            await context.connection.execute("set session work_mem = '77MB'")
            await context.connection.execute("create temp table left_over (n integer)")
            if lock:
                await context.connection.execute("select pg_advisory_lock(77)")
            return list(found or ())

        @tool("plain.note")
        async def plain(context: Context) -> str:
            await context.connection.execute("select 1")
            return "unreachable"

        return [note, then, dirty, plain]

    async def _write(self, context: Context) -> None:
        await context.connection.execute(
            "insert into public.effects values (%s, %s)", (context.idempotency_key, context.attempt)
        )

    @asynccontextmanager
    async def working(self, **options: Any) -> AsyncIterator[Worker]:
        """Give it a worker."""
        settings = SETTINGS.model_copy(update=options)
        async with (
            Notifications(self.database) as notifications,
            Worker(self.store, self.registry, settings, notifications=notifications) as worker,
        ):
            yield worker

    async def start(self, *steps: JsonObject, **rest: Any) -> str:
        flow = Flow.model_validate({"flow": "effects", "steps": list(steps), **rest})
        version = await self.store.register_version(flow, self.registry)
        run, _ = await self.store.start_run(version.id, None, timeout_seconds=600)
        return run.id

    async def ended(self, run_id: str) -> RunRow:
        async def has_ended() -> bool:
            return (await self.store.get_run(run_id)).status.terminal

        await eventually(has_ended, what="the run did not end")
        return await self.store.get_run(run_id)

    async def ran(self, what: str, **policies: Any) -> RunRow:
        """Run one step of `effect.then` to its end."""
        step = {"id": "one", "tool": "effect.then", "args": {"what": what}, **policies}
        async with self.working():
            return await self.ended(await self.start(step))

    async def effects(self) -> list[tuple[str, int]]:
        """Return what was written, without the run's id: `(step and index, attempt)`."""
        found = await self.database.fetch_all(b"select * from public.effects order by 1, 2")
        return [(row["key"].partition(":")[2], row["attempt"]) for row in found]


@pytest.fixture
async def workshop(database: Database) -> Workshop:
    await database.execute(dying.EFFECTS)
    return Workshop(database)


async def test_what_a_handler_writes_and_its_result_are_there_together(workshop: Workshop) -> None:
    async with workshop.working():
        run = await workshop.ended(
            await workshop.start(
                {"id": "one", "tool": "effect.note", "args": {"value": 0}},
                {"id": "two", "tool": "effect.note", "args": {"value": "${{ steps.one }}"}},
                output="${{ steps.two }}",
            )
        )
    assert run.output == 0 and run.error is None
    assert await workshop.effects() == [("one:0", 1), ("two:0", 1)]
    engine = Engine(workshop.database)
    assert (await engine.trace(run.id)).count("task_completed one") == 1
    await engine.at_rest()


async def test_every_element_of_a_map_is_a_transaction_of_its_own(workshop: Workshop) -> None:
    async with workshop.working():
        run = await workshop.ended(
            await workshop.start(
                {
                    "id": "each",
                    "tool": "effect.note",
                    "for_each": list(range(60)),
                    "args": {"value": "${{ item }}"},
                }
            )
        )
    assert run.output == {"each": list(range(60))}
    assert sorted(await workshop.effects()) == sorted((f"each:{n}", 1) for n in range(60))
    await Engine(workshop.database).at_rest()


@pytest.mark.parametrize("what", ["raise", "retry"])
async def test_a_failed_attempt_leaves_nothing_and_is_tried_again(
    workshop: Workshop, what: str
) -> None:
    run = await workshop.ran(what, retry={"base_delay": 0})
    assert run.output == {"one": what}
    assert await workshop.effects() == [("one:0", 2)]


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("fail", "never"),
        ("wait", "wait_invalid"),
        ("broken", "transaction_aborted"),
        ("commit", "exception"),
        ("close", "database_unavailable"),
    ],
)
async def test_whatever_goes_wrong_is_rolled_back(workshop: Workshop, what: str, code: str) -> None:
    run = await workshop.ran(what, retry={"max_attempts": 1})
    assert run.status is RunStatus.FAILED
    assert run.error is not None and run.error["code"] == code
    assert await workshop.effects() == []
    await Engine(workshop.database).at_rest()


@pytest.mark.parametrize("what", ["raw commit", "raw commit and begin"])
async def test_a_handler_that_commits_by_itself_does_not_complete_its_task(
    workshop: Workshop, what: str
) -> None:
    run = await workshop.ran(what)
    assert run.error is not None and run.error["code"] == "transaction_ended"
    assert await workshop.effects() == [("one:0", 1)]  # its own doing, and told


async def test_a_savepoint_is_a_handlers_own_business(workshop: Workshop) -> None:
    assert (await workshop.ran("savepoint")).output == {"one": "savepoint"}
    assert await workshop.effects() == [("one:0", 1)]


async def test_the_time_limit_rolls_back(workshop: Workshop) -> None:
    run = await workshop.ran("hang", timeout="200ms", retry={"max_attempts": 1})
    assert run.error is not None and run.error["code"] == "attempt_timeout"
    assert await workshop.effects() == []


async def test_a_cancelled_run_rolls_back(workshop: Workshop) -> None:
    async with workshop.working():
        run_id = await workshop.start(
            {"id": "one", "tool": "effect.then", "args": {"what": "hang"}, "timeout": "10m"}
        )
        await workshop.entered.wait()
        await workshop.store.cancel_run(run_id)
        await eventually(lambda: _no_transaction(workshop.database))
    assert await workshop.effects() == []


async def _no_transaction(database: Database) -> bool:
    rows = await database.fetch_all(
        b"select 1 from pg_stat_activity where application_name = 'flowbuilder transaction' "
        b"and datname = current_database() and state <> 'idle'"
    )
    return not rows


async def test_the_run_is_not_locked_while_the_handler_works(workshop: Workshop) -> None:
    async with workshop.working():
        run_id = await workshop.start(
            {"id": "one", "tool": "effect.then", "args": {"what": "gate"}},
            {"id": "two", "tool": "effect.note", "args": {"value": 2}},
        )
        await workshop.entered.wait()

        async def two_is_done() -> bool:
            return (await workshop.store.run_steps(run_id))[1].status == "completed"

        await eventually(two_is_done)
        await workshop.store.pause_run(run_id)
        assert await workshop.effects() == [("two:0", 1)]
        await workshop.store.resume_run(run_id)
        workshop.go_on.set()
        assert (await workshop.ended(run_id)).output == {"one": "gate", "two": 2}
    assert await workshop.effects() == [("one:0", 1), ("two:0", 1)]


async def test_a_fenced_attempt_rolls_back_and_changes_nothing(workshop: Workshop) -> None:
    """Its worker is given up while the handler works; another one does the task meanwhile."""
    engine = Engine(workshop.database, workshop.registry)
    async with workshop.working() as worker:
        run_id = await workshop.start(
            {"id": "one", "tool": "effect.then", "args": {"what": "gate"}}
        )
        await workshop.entered.wait()
        await workshop.database.execute(
            b"select flowbuilder.retire_worker(%s::uuid, 'dead')", (worker.id,)
        )
        await engine.join()
        [task] = (await engine.exchange()).tasks
        assert task.fence == 2
        workshop.go_on.set()
        await eventually(lambda: worker.running == 0)
        await eventually(lambda: _no_transaction(workshop.database))
        assert await workshop.effects() == []
        await engine.exchange([task.outcome(OutcomeKind.COMPLETED, output="by another")])
        assert (await workshop.ended(run_id)).output == {"one": "by another"}
    assert await workshop.effects() == []
    await engine.at_rest()


@pytest.mark.parametrize("lock", [False, True])
async def test_a_session_is_cleaned_before_the_next_attempt_gets_it(
    workshop: Workshop, lock: bool
) -> None:
    step: JsonObject = {"tool": "effect.dirty", "args": {"lock": lock}}
    used = workshop.connections
    async with workshop.working(concurrency=1):
        # One that is slow to clean is closed, so that on a busy machine a run or two pass without.
        for _ in range(2 if lock else 20):
            run = await workshop.ended(
                await workshop.start(
                    {**step, "id": "one"}, {**step, "id": "two", "depends_on": ["one"]}
                )
            )
            assert run.output is not None
            steps = await workshop.store.run_steps(run.id)
            assert isinstance(steps[1].output, list)
            assert steps[0].output == steps[1].output
            assert steps[1].output[1:] == [None, 0]
            if len(set(used)) < len(used):
                break
    # Locks of a session go with it, because a pooler may have given it those of somebody else.
    assert (len(set(used)) == len(used)) is lock


async def test_other_tools_have_no_connection(workshop: Workshop) -> None:
    async with workshop.working():
        run = await workshop.ended(await workshop.start({"id": "one", "tool": "plain.note"}))
    assert run.error is not None and run.error["code"] == "no_connection"
    assert "transactional=True" in str(run.error["hint"])


def test_a_plain_function_or_process_cannot_be_transactional() -> None:
    def write(context: Context) -> None: ...

    with pytest.raises(DefinitionError, match="async function"):
        tool("effect.plain", transactional=True)(write)
    with pytest.raises(DefinitionError, match="async function"):
        tool("effect.process", transactional=True, process=True)(write)


async def test_a_dead_connection_is_not_used_again(workshop: Workshop) -> None:
    async with workshop.working():
        first = await workshop.start({"id": "one", "tool": "effect.note", "args": {"value": 1}})
        await workshop.ended(first)
        await workshop.database.execute(
            b"select pg_terminate_backend(pid) from pg_stat_activity "
            b"where application_name = 'flowbuilder transaction' and datname = current_database()"
        )
        second = await workshop.start(
            {"id": "one", "tool": "effect.note", "args": {"value": 2}, "retry": {"max_attempts": 1}}
        )
        assert (await workshop.ended(second)).output == {"one": 2}
    assert len(await workshop.effects()) == 2
