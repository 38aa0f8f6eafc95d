"""The worker over a real database: flows run to their end, also when things go wrong around it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from flowbuilder.errors import DatabaseUnavailable, InvalidValue
from flowbuilder.executor.database import Database
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.records import Exchange, Outcome, OutcomeKind, RunRow
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import Store
from flowbuilder.executor.worker import Worker
from flowbuilder.flow import Flow
from flowbuilder.settings import Settings
from flowbuilder.tools import Context, ToolRegistry, Wait, tool
from flowbuilder.types import JsonObject, JsonValue
from tests.support.engine import Engine
from tests.support.waiting import eventually

SETTINGS = Settings(
    concurrency=8,
    poll_interval=timedelta(milliseconds=50),
    shutdown_grace=timedelta(seconds=5),
)


class Bench:
    """A database, tools that a test can look into, and workers as it needs them."""

    def __init__(self, database: Database, store: Store | None = None) -> None:
        self.database = database
        self.store = store or Store(database)
        self.called: list[Any] = []
        self.stopped: list[Any] = []
        self.failures: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.registry = ToolRegistry(self._tools())

    def _tools(self) -> list[Any]:  # noqa: C901 - one small function after the other
        @tool("add.one")
        async def add_one(n: int) -> int:
            self.called.append(n)
            return n + 1

        @tool("plain.one")
        def plain_one(n: int) -> int:
            return n + 1

        @tool("fail.first")
        async def fail_first(times: int, context: Context) -> int:
            self.called.append(context.idempotency_key)
            if context.attempt <= times:
                raise ValueError(f"attempt {context.attempt}")
            return context.attempt

        @tool("hang.here")
        async def hang_here(name: str) -> str:
            self.called.append(name)
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.stopped.append(name)
                raise
            return name

        @tool("sleep.durably")
        async def sleep_durably(seconds: float) -> Wait:
            return Wait.for_time(seconds)

        @tool("run.child")
        async def run_child(flow: str, n: int) -> Wait:
            return Wait.for_run(flow, {"n": n})

        @tool("say.progress")
        async def say_progress(context: Context) -> None:
            context.progress(0.25, "a quarter")
            await self.gate.wait()

        @tool("ask.model", needs_model=True)
        async def ask_model() -> str:
            return "model"

        tools = [add_one, plain_one, fail_first, hang_here, sleep_durably, run_child]
        return [*tools, say_progress, ask_model]

    @asynccontextmanager
    async def worker(self, **settings: Any) -> AsyncIterator[Worker]:
        found = SETTINGS.model_copy(update=settings)
        async with (
            Notifications(self.database, poll_interval=found.poll_interval) as notifications,
            Worker(self.store, self.registry, found, notifications=notifications) as worker,
        ):
            yield worker

    async def start(self, *steps: JsonObject, input: JsonValue = None, **flow: Any) -> str:
        document = Flow.model_validate({"flow": "test", "steps": list(steps), **flow})
        version = await self.store.register_version(document, self.registry)
        run, _ = await self.store.start_run(version.id, input, timeout_seconds=600)
        return run.id

    async def ended(self, run_id: str) -> RunRow:
        async def has_ended() -> bool:
            return (await self.store.get_run(run_id)).status.terminal

        await eventually(has_ended, what=f"run {run_id} did not end")
        return await self.store.get_run(run_id)

    async def result(self, run_id: str) -> JsonValue:
        run = await self.ended(run_id)
        assert run.status is RunStatus.COMPLETED, run.error
        await Engine(self.database).trace(run_id)
        await Engine(self.database).at_rest()
        return run.output

    async def events(self, run_id: str, type: str) -> list[EventRow]:
        found = await self.store.events(run_id, limit=100_000)
        return [event for event in found if event.type == type]

    async def happened(self, run_id: str, type: str) -> None:
        async def has() -> bool:
            return bool(await self.events(run_id, type))

        await eventually(has, what=f"no {type} in run {run_id}")


@pytest.fixture
async def bench(database: Database) -> Bench:
    return Bench(database)


# -- flows ------------------------------------------------------------------------------------


async def test_a_chain_runs_in_order_and_hands_values_on(bench: Bench) -> None:
    async with bench.worker():
        run = await bench.start(
            {"id": "a", "tool": "add.one", "args": {"n": "${{ input.n }}"}},
            {"id": "b", "tool": "plain.one", "args": {"n": "${{ steps.a }}"}},
            {"id": "c", "tool": "add.one", "args": {"n": "${{ steps.b }}"}},
            input={"n": 0},
            output={"last": "${{ steps.c }}", "run": "${{ run.id }}"},
        )
        assert await bench.result(run) == {"last": 3, "run": run}
    assert await Engine(bench.database).trace(run) == [
        "workflow_started",
        *(f"task_{what} {step}" for step in "abc" for what in ("started", "completed")),
        "workflow_completed",
    ]


async def test_a_map_keeps_the_order_of_its_elements(bench: Bench) -> None:
    async with bench.worker():
        run = await bench.start(
            {
                "id": "each",
                "tool": "plain.one",
                "for_each": "${{ input.items }}",
                "args": {"n": "${{ item }}"},
            },
            {
                "id": "again",
                "tool": "add.one",
                "for_each": "${{ steps.each }}",
                "args": {"n": "${{ index }}"},
            },
            input={"items": list(range(100, 0, -1))},
            output=["${{ steps.each }}", "${{ steps.again }}"],
        )
        output = await bench.result(run)
    assert output == [list(range(101, 1, -1)), list(range(1, 101))]


async def test_a_failing_attempt_is_repeated_after_its_delay(bench: Bench) -> None:
    async with bench.worker():
        run = await bench.start(
            {
                "id": "a",
                "tool": "fail.first",
                "args": {"times": 2},
                "retry": {"max_attempts": 3, "base_delay": "20ms"},
            },
            output="${{ steps.a }}",
        )
        assert await bench.result(run) == 3
    assert bench.called == [f"{run}:a:0"] * 3
    retries = await bench.events(run, "task_retrying")
    assert [event.data["retry_count"] for event in retries] == [1, 2]
    assert await bench.events(run, "task_failed") == []


async def test_the_last_failing_attempt_fails_the_run_and_names_it(bench: Bench) -> None:
    async with bench.worker():
        run = await bench.start(
            {
                "id": "a",
                "tool": "fail.first",
                "args": {"times": 9},
                "retry": {"max_attempts": 2, "base_delay": 0},
            }
        )
        row = await bench.ended(run)
    assert row.status is RunStatus.FAILED and row.error is not None
    assert (row.error["step"], row.error["attempt"], row.error["code"]) == ("a", 2, "exception")
    assert row.error["message"] == "ValueError: attempt 2"


async def test_a_time_limit_ends_an_attempt_and_stops_its_handler(bench: Bench) -> None:
    async with bench.worker():
        run = await bench.start(
            {
                "id": "a",
                "tool": "hang.here",
                "args": {"name": "a"},
                "timeout": "30ms",
                "retry": {"max_attempts": 1},
            }
        )
        row = await bench.ended(run)
    assert row.error is not None and row.error["code"] == "attempt_timeout"
    assert bench.stopped == ["a"]


async def test_a_waiting_approval_holds_no_slot(bench: Bench) -> None:
    async with bench.worker(concurrency=1) as worker:
        gated = await bench.start(
            {
                "id": "a",
                "tool": "add.one",
                "args": {"n": "${{ input.n }}"},
                "approval": {"by": ["role:approver"]},
            },
            input={"n": 41},
            output="${{ steps.a }}",
        )
        await bench.happened(gated, "approval_requested")
        other = await bench.start({"id": "a", "tool": "add.one", "args": {"n": 1}})
        await bench.result(other)
        assert bench.called == [1]
        assert worker.running == 0
        [asked] = await bench.store.approvals()
        assert asked.args == {"n": 41}
        await bench.store.decide(asked.id, approve=True, by="ada", args_hash=asked.args_hash)
        assert await bench.result(gated) == 42


async def test_a_durable_sleep_and_a_child_run_hold_no_slot(bench: Bench) -> None:
    await bench.start(
        {"id": "a", "tool": "add.one", "args": {"n": "${{ input.n }}"}},
        flow="child",
        output="${{ steps.a }}",
        input={"n": 0},
    )
    async with bench.worker(concurrency=1):
        run = await bench.start(
            {"id": "nap", "tool": "sleep.durably", "args": {"seconds": 0.01}},
            {"id": "sub", "tool": "run.child", "args": {"flow": "child", "n": 5}},
            output="${{ steps.sub }}",
        )
        assert await bench.result(run) == 6


async def test_cancelling_a_run_stops_its_handlers(bench: Bench) -> None:
    async with bench.worker() as worker:
        run = await bench.start({"id": "a", "tool": "hang.here", "args": {"name": "a"}})
        await eventually(lambda: bench.called == ["a"])
        await bench.store.cancel_run(run)
        await eventually(lambda: bench.stopped == ["a"] and worker.running == 0)
    assert (await bench.store.get_run(run)).status is RunStatus.CANCELLED
    assert await bench.events(run, "task_completed") == []


async def test_progress_becomes_events(bench: Bench) -> None:
    async with bench.worker():
        run = await bench.start({"id": "a", "tool": "say.progress"})
        await bench.happened(run, "task_progress")
        bench.gate.set()
        await bench.result(run)
    [event] = await bench.events(run, "task_progress")
    assert (event.data["fraction"], event.data["message"]) == (0.25, "a quarter")


async def test_a_worker_without_a_model_leaves_what_needs_one_to_others(bench: Bench) -> None:
    async with bench.worker():
        run = await bench.start({"id": "a", "tool": "ask.model"}, output="${{ steps.a }}")
        await bench.ended(await bench.start({"id": "a", "tool": "add.one", "args": {"n": 1}}))
        assert (await bench.store.get_run(run)).status is RunStatus.QUEUED
        async with bench.worker(model="openai/any"):
            assert await bench.result(run) == "model"


# -- faults -----------------------------------------------------------------------------------


class FaultyStore(Store):
    """Fails exchanges as a test asks for: before anything happens, or after the commit."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.before = 0
        self.after = 0
        self.refused: JsonValue = "nothing"
        self.rejected: list[int] = []

    async def exchange(self, worker_id: str, **given: Any) -> Exchange:
        outcomes: Sequence[Outcome] = given["outcomes"]
        if self.before > 0:
            self.before -= 1
            raise DatabaseUnavailable("the test cut the connection")
        if any(outcome.output == self.refused for outcome in outcomes):
            self.rejected.append(len(outcomes))
            raise InvalidValue("the test refuses a value", code="value_refused")
        answer = await super().exchange(worker_id, **given)
        if self.after > 0 and (outcomes or answer.tasks):
            self.after -= 1
            raise DatabaseUnavailable("the test lost the reply")
        return answer


def mapped(count: int, name: str = "add.one") -> JsonObject:
    items: list[JsonValue] = list(range(count))
    return {"id": "each", "tool": name, "for_each": items, "args": {"n": "${{ item }}"}}


@pytest.mark.parametrize("kind", ["before", "after"])
async def test_an_outage_loses_no_outcome_and_doubles_none(database: Database, kind: str) -> None:
    store = FaultyStore(database)
    bench = Bench(database, store)
    setattr(store, kind, 4)
    async with bench.worker():
        run = await bench.start(mapped(20), output="${{ steps.each }}")
        assert await bench.result(run) == list(range(1, 21))
    assert getattr(store, kind) == 0
    assert sorted(bench.called) == list(range(20))
    done = Counter(event.task_id for event in await bench.events(run, "task_completed"))
    assert len(done) == 20 and set(done.values()) == {1}


async def test_one_refused_value_fails_its_task_and_no_other(database: Database) -> None:
    store = FaultyStore(database)
    store.refused = 13
    bench = Bench(database, store)
    async with bench.worker(concurrency=20):
        run = await bench.start({**mapped(20), "on_error": "continue"}, output="${{ steps.each }}")
        expected = [None if n == 13 else n for n in range(1, 21)]
        assert await bench.result(run) == expected
    [failed] = await bench.events(run, "task_failed")
    assert isinstance(failed.data["error"], dict)
    assert failed.data["error"]["code"] == "outcome_rejected"
    assert store.rejected[-1] == 1


async def test_a_worker_that_was_given_up_drops_everything_and_joins_again(bench: Bench) -> None:
    async with bench.worker() as worker:
        before = worker.id
        run = await bench.start(
            {"id": "a", "tool": "hang.here", "args": {"name": "a"}}, output="${{ steps.a }}"
        )
        await eventually(lambda: bench.called == ["a"])
        await bench.database.execute(
            b"select flowbuilder.retire_worker(%s::uuid, 'dead')", (before,)
        )
        await eventually(lambda: bench.stopped == ["a"] and bench.called == ["a", "a"])
        bench.gate.set()
        assert await bench.result(run) == "a"
        assert worker.id == before
    [completed] = await bench.events(run, "task_completed")
    assert completed.attempt == 1


async def test_a_worker_that_could_not_join_can_be_started_again(
    database: Database, tmp_path: Path
) -> None:
    way = tmp_path / "sockets"
    sockets = conninfo_to_dict(database.dsn)["host"]
    way.symlink_to(str(sockets))
    direct = make_conninfo(database.dsn, host=str(way))
    async with await Database.open(database.dsn, direct=direct) as shared:
        bench = Bench(shared)
        async with Notifications(database, poll_interval=SETTINGS.poll_interval) as notifications:
            worker = Worker(bench.store, bench.registry, SETTINGS, notifications=notifications)
            way.unlink()
            with pytest.raises(DatabaseUnavailable):
                await worker.start()
            way.symlink_to(str(sockets))
            async with worker:
                run = await bench.start(
                    {"id": "a", "tool": "add.one", "args": {"n": 7}}, output="${{ steps.a }}"
                )
                assert await bench.result(run) == 8


async def test_exchanges_wait_for_no_connection_that_others_hold(bench: Bench) -> None:
    hang: JsonObject = {"id": "a", "tool": "hang.here", "args": {"name": "a"}}
    after: JsonObject = {"id": "b", "tool": "add.one", "args": {"n": 7}, "depends_on": ["a"]}
    async with bench.worker(), AsyncExitStack() as held:
        run = await bench.start(hang, after)
        await eventually(lambda: bench.called == ["a"])
        for _ in range(bench.database.pool_stats()["pool_max"]):
            await held.enter_async_context(bench.database.connection())
        bench.gate.set()
        await eventually(lambda: bench.called == ["a", 7])
        await held.aclose()
        await bench.result(run)


class SilentStore(Store):
    """A store whose database does not answer any more once it is `silent`."""

    silent = False
    asked_to_leave = False

    async def exchange(self, worker_id: str, **given: Any) -> Exchange:
        if self.silent:
            await asyncio.Event().wait()
        return await super().exchange(worker_id, **given)

    async def stop_worker(self, worker_id: str) -> list[str]:
        self.asked_to_leave = True
        await asyncio.Event().wait()
        return []


@pytest.mark.parametrize("silent", [True, False])
async def test_stopping_waits_for_no_database_that_does_not_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr("flowbuilder.executor.worker._LEAVING_SECONDS", 0.05)
    if silent:  # one that does answer gets its usual time, however busy the machine is
        monkeypatch.setattr("flowbuilder.executor.worker.CLEAN_UP_SECONDS", 0.05)
    store = SilentStore(database)
    bench = Bench(database, store)
    async with Notifications(database, poll_interval=SETTINGS.poll_interval) as notifications:
        worker = Worker(store, bench.registry, SETTINGS, notifications=notifications)
        await worker.start()
        await bench.start({"id": "a", "tool": "hang.here", "args": {"name": "a"}})
        await eventually(lambda: bench.called == ["a"])
        store.silent = silent
        async with asyncio.timeout(SETTINGS.lease.total_seconds()):  # it would hang for ever
            await worker.stop(grace=0.05)
    assert store.asked_to_leave is not silent
    assert bench.stopped == ["a"]


async def test_stopping_hands_unfinished_work_back_at_no_cost(bench: Bench) -> None:
    run = await bench.start(
        {"id": "a", "tool": "hang.here", "args": {"name": "a"}, "retry": {"max_attempts": 1}},
        output="${{ steps.a }}",
    )
    async with bench.worker(shutdown_grace=timedelta(0)):
        await eventually(lambda: bench.called == ["a"])
    assert bench.stopped == ["a"]
    bench.gate.set()
    async with bench.worker():
        assert await bench.result(run) == "a"
    [completed] = await bench.events(run, "task_completed")
    assert completed.attempt == 1
    assert {row.status for row in await bench.store.workers()} == {"stopped"}


async def test_stopping_lets_handlers_end_within_the_grace(bench: Bench) -> None:
    run = await bench.start({"id": "a", "tool": "hang.here", "args": {"name": "a"}})
    async with bench.worker() as worker:
        await eventually(lambda: bench.called == ["a"])
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)
        bench.gate.set()
        await stopping
    assert bench.stopped == []
    assert await bench.result(run) == {"a": "a"}


class HeldBackStore(Store):
    """Keeps the first answer that brings tasks back until the test lets it through."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.holding = asyncio.Event()
        self.let_through = asyncio.Event()

    async def exchange(self, worker_id: str, **given: Any) -> Exchange:
        answer = await super().exchange(worker_id, **given)
        if answer.tasks:
            self.holding.set()
            await self.let_through.wait()
        return answer


async def test_what_an_answer_brings_while_stopping_gets_the_grace_too(database: Database) -> None:
    store = HeldBackStore(database)
    bench = Bench(database, store)
    run = await bench.start({"id": "a", "tool": "hang.here", "args": {"name": "a"}})
    async with bench.worker() as worker:
        await store.holding.wait()
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)
        store.let_through.set()
        await eventually(lambda: bench.called == ["a"])
        bench.gate.set()
        await stopping
    assert (bench.called, bench.stopped) == (["a"], [])
    assert await bench.result(run) == {"a": "a"}


async def test_a_broken_session_is_locked_again_before_the_worker_counts_as_dead(
    bench: Bench,
) -> None:
    async with bench.worker() as worker:
        before = worker.id
        killed = await bench.database.fetch_one(
            b"select pg_terminate_backend(pid) as done from pg_stat_activity"
            b" where application_name = 'flowbuilder-worker' and datname = current_database()"
        )
        assert killed == {"done": True}

        async def locked() -> bool:
            row = await bench.database.fetch_one(
                b"select flowbuilder.is_locked(%s::uuid) as locked", (worker.id,)
            )
            return bool(row and row["locked"])

        await eventually(locked)
        await bench.result(await bench.start({"id": "a", "tool": "add.one", "args": {"n": 1}}))
        assert worker.id == before


async def test_a_worker_is_known_to_hold_its_lock_before_it_gets_any_work(bench: Bench) -> None:
    async with bench.worker(poll_interval=timedelta(hours=1)) as worker:
        row = await bench.database.fetch_one(
            b"select lock_seen from flowbuilder.workers where id = %s::uuid", (worker.id,)
        )
    assert row == {"lock_seen": True}


async def test_a_handler_that_holds_up_the_loop_keeps_its_lease(bench: Bench, dsn: str) -> None:
    @tool("block.loop")
    async def block_loop() -> bool:
        """Hold up the event loop until the lease has been extended from elsewhere."""
        with psycopg.connect(dsn, autocommit=True) as own:
            lease = "select lease_until from flowbuilder.tasks where status = 'running'"
            first = own.execute(lease).fetchone()
            for _ in range(6000):
                if own.execute(lease).fetchone() != first:
                    return True
                time.sleep(0.005)  # noqa: ASYNC251 - that is what it is about
        return False

    bench.registry.add(block_loop)
    async with bench.worker(lease=timedelta(seconds=1)):
        run = await bench.start({"id": "a", "tool": "block.loop"}, output="${{ steps.a }}")
        assert await bench.result(run) is True
    [started] = await bench.events(run, "task_started")
    assert started.attempt == 1


async def test_lost_notifications_only_cost_time(bench: Bench) -> None:
    async with bench.worker() as worker:
        if worker._unhear is not None:
            worker._unhear()  # deaf from now on, and nobody announces the run either
        run = await bench.start(mapped(30), output="${{ steps.each }}")
        assert await bench.result(run) == list(range(1, 31))


async def test_two_workers_share_a_run_and_no_task_completes_twice(bench: Bench) -> None:
    async with bench.worker(concurrency=3), bench.worker(concurrency=3):
        run = await bench.start(mapped(60), output="${{ steps.each }}")
        assert await bench.result(run) == list(range(1, 61))
    assert sorted(bench.called) == list(range(60))


async def test_the_loop_survives_what_nobody_thought_of(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [ZeroDivisionError("a bug"), ZeroDivisionError("another")]
    exchange = bench.store.exchange

    async def broken(*args: Any, **kwargs: Any) -> Exchange:
        with contextlib.suppress(IndexError):
            raise failures.pop()
        return await exchange(*args, **kwargs)

    monkeypatch.setattr(bench.store, "exchange", broken)
    async with bench.worker():
        await bench.result(await bench.start({"id": "a", "tool": "add.one", "args": {"n": 1}}))
    assert "the worker's loop failed" in caplog.text


def test_a_released_outcome_carries_nothing_else() -> None:
    outcome = Outcome(task_id=1, run_id="a run", fence=2, kind=OutcomeKind.RELEASED)
    assert outcome.as_json() == {
        "task_id": 1,
        "run_id": "a run",
        "fence": 2,
        "kind": "released",
    }
