"""Workers that poll once an hour: what they do at once, nobody has to wait for a poll to see; and
functions and values that must come through whatever happens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flowbuilder import FlowBuilder, InvalidValue, Settings, tool
from flowbuilder.executor import announcer
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import Exchange, Outcome
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import RELAYS_PER_TICK, Store
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject
from tests.integration.test_worker import Bench, mapped
from tests.support.waiting import eventually

HOURLY = timedelta(hours=1)
WAIT = 60.0


class WatchedStore(Store):
    """Counts exchanges, and spoils the result 13 on its way to the database."""

    exchanges = 0
    instead: Any = 13

    async def exchange(
        self, worker_id: str, *, outcomes: Sequence[Outcome], **rest: Any
    ) -> Exchange:
        self.exchanges += 1
        sent = [replace(one, output=self.instead) if one.output == 13 else one for one in outcomes]
        return await super().exchange(worker_id, outcomes=sent, **rest)


async def test_the_end_of_a_child_run_is_noticed_without_a_poll(database: Database) -> None:
    bench = Bench(database)
    child = Flow.model_validate(
        {
            "flow": "child",
            "steps": [{"id": "a", "tool": "add.one", "args": {"n": "${{ input.n }}"}}],
            "output": "${{ steps.a }}",
        }
    )
    await bench.store.register_version(child, bench.registry)
    run = await bench.start(
        {"id": "one", "tool": "run.child", "args": {"flow": "child", "n": 5}},
        {"id": "two", "tool": "run.child", "args": {"flow": "child", "n": "${{ steps.one }}"}},
        output="${{ steps.two }}",
    )
    async with bench.worker(poll_interval=HOURLY):
        assert await bench.result(run) == 7


async def test_more_child_runs_than_one_round_relays_are_no_reason_to_pause(
    database: Database,
) -> None:
    bench = Bench(database)
    child = Flow.model_validate(
        {"flow": "child", "steps": [{"id": "a", "tool": "add.one", "args": {"n": 1}}]}
    )
    await bench.store.register_version(child, bench.registry)
    count = RELAYS_PER_TICK + 20
    run = await bench.start(
        {
            "id": "each",
            "tool": "run.child",
            "for_each": list(range(count)),
            "args": {"flow": "child", "n": "${{ item }}"},
        },
        output="${{ steps.each }}",
    )
    async with bench.worker(poll_interval=HOURLY):
        assert await bench.result(run) == [{"a": 2}] * count


async def test_the_slot_of_a_cancelled_run_is_filled_without_a_poll(database: Database) -> None:
    """Its handler leaves no outcome: there is no report that would bring the next task along."""
    bench = Bench(database)
    async with bench.worker(poll_interval=HOURLY, concurrency=1) as worker:
        hangs = await bench.start({"id": "a", "tool": "hang.here", "args": {"name": "a"}})
        worker._heard_of_work()
        await eventually(lambda: bench.called == ["a"])
        run = await bench.start({"id": "b", "tool": "add.one", "args": {"n": 1}})
        await bench.store.cancel_run(hangs)
        worker._heard_of_work()
        assert await bench.result(run) == {"b": 2}
        assert bench.stopped == ["a"]


async def test_short_sleeps_end_without_a_poll(database: Database) -> None:
    bench = Bench(database)
    run = await bench.start(
        {"id": "one", "tool": "sleep.durably", "args": {"seconds": 0}},
        {"id": "two", "tool": "sleep.durably", "args": {"seconds": 0.05}, "depends_on": ["one"]},
        output="up",
    )
    async with bench.worker(poll_interval=HOURLY):
        assert await bench.result(run) == "up"


async def test_a_worker_that_lost_a_race_looks_again_soon(database: Database, dsn: str) -> None:
    store = WatchedStore(database)
    bench = Bench(database, store)
    run = await bench.start({"id": "a", "tool": "add.one", "args": {"n": 1}})
    async with await psycopg.AsyncConnection.connect(dsn) as other:
        await other.execute("select 1 from pgmq.q_flowbuilder_tasks for update")
        async with bench.worker(poll_interval=HOURLY):
            await eventually(lambda: store.exchanges >= 3)
            assert bench.called == []
            await other.rollback()
            assert await bench.result(run) == {"a": 2}


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", 2**70])
async def test_a_result_that_the_database_refuses_fails_its_task_and_no_other(
    database: Database, bad: Any
) -> None:
    store = WatchedStore(database)
    store.instead = bad
    bench = Bench(database, store)
    async with bench.worker(concurrency=20):
        run = await bench.start({**mapped(20), "on_error": "continue"}, output="${{ steps.each }}")
        assert await bench.result(run) == [None if n == 13 else n for n in range(1, 21)]
    [failed] = await bench.events(run, "task_failed")
    assert isinstance(failed.data["error"], dict)
    assert failed.data["error"]["code"] == "outcome_rejected"


async def test_functions_survive_that_their_worker_was_given_up(database: Database) -> None:
    bench = Bench(database)

    @tool("function.here.hold")
    async def hold(n: int) -> int:
        bench.called.append(n)
        await bench.gate.wait()
        return n

    async with bench.worker() as worker:
        await worker.add_functions([hold])
        flow = Flow.model_validate(
            {
                "flow": "here",
                "steps": [
                    {"id": "a", "tool": hold.name, "args": {"n": 1}},
                    {"id": "b", "tool": hold.name, "args": {"n": 2}, "depends_on": ["a"]},
                ],
            }
        )
        version = await bench.store.register_version(
            flow, bench.registry.merged([hold]), origin="dynamic", owner=worker.id
        )
        run, _ = await bench.store.start_run(version.id, None, timeout_seconds=600)
        await eventually(lambda: bench.called == [1])
        await database.execute(b"select flowbuilder.retire_worker(%s::uuid, 'dead')", (worker.id,))
        await eventually(lambda: bench.called == [1, 1])
        bench.gate.set()
        assert await bench.result(run.id) == {"b": 2}
        again, _ = await bench.store.start_run(version.id, None, timeout_seconds=600)
        assert await bench.result(again.id) == {"b": 2}


# -- with everything --------------------------------------------------------------------------


@tool("test.turn")
def turn(value: JsonObject) -> JsonObject:
    """Return an object with its keys the other way round."""
    return dict(reversed(value.items()))


@pytest.fixture
async def fb(dsn: str, tmp_path: Path) -> Any:
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, tools=[turn], worker=True) as opened:
        yield opened


async def test_a_table_keeps_its_columns_from_file_to_file(fb: FlowBuilder, tmp_path: Path) -> None:
    table = "quantity,name,id\n2,pen,7\n4,lamp,5\n"
    (tmp_path / "in.csv").write_text(table)
    run = await fb.execute(
        {
            "flow": "copy",
            "steps": [
                {"id": "read", "tool": "file.read", "args": {"path": "in.csv"}},
                {"id": "parse", "tool": "csv.parse", "args": {"text": "${{ steps.read.text }}"}},
                *(
                    {
                        "id": f"write_{kind}",
                        "tool": "file.write",
                        "args": {"path": f"out.{kind}", "content": "${{ steps.parse.records }}"},
                        "approval": {"by": ["role:approver"]},
                    }
                    for kind in ("csv", "json")
                ),
                {
                    "id": "rows",
                    "tool": "test.turn",
                    "for_each": "${{ steps.parse.records }}",
                    "args": {"value": "${{ item }}"},
                },
            ],
            "output": "${{ steps.rows }}",
        }
    )
    async for event in run.events():
        if event.type == "approval_requested":
            await fb.approve(str(event.data["approval_id"]))
    output = await run.result(timeout=WAIT)
    assert json.dumps(output) == json.dumps(
        [{"id": 7, "name": "pen", "quantity": 2}, {"id": 5, "name": "lamp", "quantity": 4}]
    )
    assert (tmp_path / "out.csv").read_text() == table
    rows = json.loads((tmp_path / "out.json").read_text())
    assert list(rows[0]) == ["quantity", "name", "id"]


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", float("nan"), float("inf"), 10**400, {1: 2}])
async def test_what_no_json_holds_is_refused_before_the_database_sees_it(
    fb: FlowBuilder, bad: Any
) -> None:
    document = {
        "flow": "refuse",
        "steps": [{"id": "ask", "tool": "human.input", "args": {"message": "What?"}}],
    }
    with pytest.raises(InvalidValue) as refused:
        await fb.execute(document, {"x": bad})
    assert refused.value.code.startswith("json_")
    run = await fb.execute(document)
    async for event in run.events():
        if event.type == "approval_requested":
            with pytest.raises(InvalidValue) as refused:
                await fb.approve(str(event.data["approval_id"]), value={"x": bad})
            assert refused.value.code.startswith("json_")
            await run.cancel()
    assert (await fb.get_run(run.id)).row.status is RunStatus.CANCELLED


async def test_a_key_keeps_its_run_when_the_flow_is_changed(fb: FlowBuilder) -> None:
    args = {"value": "${{ input }}"}
    await fb.create_flow("turned", input_schema={"type": "object"})
    await fb.add_step("turned", "a", tool="test.turn", args=args)
    first = await fb.execute("turned", {"b": 1, "aaa": 2}, idempotency_key="once")
    await fb.add_step("turned", "b", tool="test.turn", args=args, depends_on=["a"])
    again = await fb.execute("turned", {"b": 1, "aaa": 2}, idempotency_key="once")
    assert (again.id, again.row.version) == (first.id, 1)
    assert json.dumps(await again.result(timeout=WAIT)) == '{"a": {"aaa": 2, "b": 1}}'
    other = await fb.execute("turned", {"b": 1, "aaa": 2})
    assert other.row.version == 2
    await other.result(timeout=WAIT)


async def test_what_a_program_without_workers_starts_is_begun_at_once(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run after the other: the worker is idle again when the next one comes."""
    monkeypatch.setattr(announcer, "_WORK_SECONDS", 3600.0)
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path, poll_interval=HOURLY)
    document: JsonObject = {
        "flow": "short",
        "steps": [{"id": "a", "tool": "text.stats", "args": {"text": ""}}],
    }
    async with (
        FlowBuilder.connect(dsn, settings=settings, worker=True) as works,
        FlowBuilder.connect(dsn, settings=settings, worker=False) as asks,
    ):
        assert await (await works.execute(document)).result(timeout=WAIT)
        for _ in range(3):
            assert await (await asks.execute(document)).result(timeout=WAIT)


async def test_who_has_the_tool_of_the_next_step_hears_of_it_without_a_poll(
    dsn: str, tmp_path: Path
) -> None:
    settings = Settings.load(
        data_dir=tmp_path, workspace_dir=tmp_path, poll_interval=HOURLY, tools=[]
    )

    @tool("ping.once")
    async def ping(n: int) -> int:
        """Add one."""
        return n + 1

    @tool("pong.once")
    async def pong(n: int) -> int:
        """Add ten."""
        return n + 10

    async with (
        FlowBuilder.connect(dsn, settings=settings, tools=[ping], worker=True),
        FlowBuilder.connect(dsn, settings=settings, tools=[pong], worker=True),
        FlowBuilder.connect(dsn, settings=settings, tools=[ping, pong], worker=False) as starter,
    ):
        names = [ping.name, pong.name] * 3
        run = await starter.execute(
            {
                "flow": "match",
                "steps": [
                    {
                        "id": f"s{place}",
                        "tool": name,
                        "args": {"n": f"${{{{ steps.s{place - 1} }}}}" if place else 0},
                    }
                    for place, name in enumerate(names)
                ],
            }
        )
        assert await run.result(timeout=WAIT) == {"s5": 33}
