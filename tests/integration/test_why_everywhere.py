"""Why a run does not move, asked in Python, on the command line and over HTTP: the true cause, and
the same one everywhere, in every situation that a user can bring about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import Fail, FlowBuilder, Run, Settings, tool
from flowbuilder.cli import deciding
from flowbuilder.cli.options import Options
from flowbuilder.executor.states import RunStatus, TaskStatus
from flowbuilder.types import JsonObject
from tests.support.api import app_over, http
from tests.support.engine import Engine
from tests.support.waiting import eventually

HOURLY = timedelta(hours=1)


@tool("stuck.work", untyped=True)
async def work(value: Any = None) -> Any:
    """Work until somebody says stop."""
    await asyncio.Event().wait()


@tool("stuck.flaky", untyped=True)
async def flaky(value: Any = None) -> Any:
    """Break in a way that may mend itself."""
    raise RuntimeError("the line is down")


@tool("stuck.broken", untyped=True)
async def broken(value: Any = None) -> Any:
    """Break for good."""
    raise Fail("the account is closed")


@tool("stuck.echo", untyped=True)
async def echo(value: Any = None) -> Any:
    """Return the value."""
    return value


@tool("stuck.elsewhere", untyped=True)
async def elsewhere(value: Any = None) -> Any:
    """Run where nobody is."""


TOOLS = [work, flaky, broken, echo]


class Place:
    """One user's process, with a worker of two slots or without one."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn = dsn
        self.settings = Settings.load(
            data_dir=folder,
            workspace_dir=folder,
            concurrency=2,
            poll_interval=HOURLY,
            shutdown_grace=timedelta(milliseconds=10),
        )
        self.fb: FlowBuilder

    def connected(self, *, worker: bool, tools: Any = TOOLS) -> FlowBuilder:
        return FlowBuilder.connect(self.dsn, settings=self.settings, tools=tools, worker=worker)

    async def start(self, *steps: JsonObject, input: Any = None, **options: Any) -> Run:
        document = {"flow": "stuck", "input": {}, "steps": list(steps)}
        return await self.fb.execute(document, input, **options)

    async def reached(self, run: Run, *types: str, step: str | None = None) -> Run:
        """Return the run when an event of these types is there."""
        async for event in run.events():
            if event.type in types and step in (None, event.step_name):
                return run
        raise AssertionError(f"no {types}")

    async def working(self, **policies: Any) -> Run:
        """Return a run whose only step is held by the worker."""
        run = await self.start({"id": "a", "tool": "stuck.work", **policies})

        async def held() -> bool:
            return any(task.status is TaskStatus.RUNNING for task in await run.tasks())

        await eventually(held, what="nobody took it")
        return run


@pytest.fixture
def place(dsn: str, tmp_path: Path) -> Place:
    return Place(dsn, tmp_path)


@pytest.fixture
async def working(place: Place) -> AsyncIterator[Place]:
    async with place.connected(worker=True) as place.fb:
        yield place


@pytest.fixture
async def idle(place: Place) -> AsyncIterator[Place]:
    async with place.connected(worker=False) as place.fb:
        yield place


Ask = Callable[[Run], Awaitable[list[tuple[str, str]]]]


@pytest.fixture
def ask(place: Place, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask in all three ways, and return code and message of each reason."""

    async def handed_on() -> bool:  # what the outbox holds for a moment is a reason of its own
        return not await place.fb.store.database.fetch_all(b"select id from flowbuilder.outbox")

    async def asked(run: Run) -> list[tuple[str, str]]:
        await eventually(handed_on, what="the outbox is never empty")
        said = [(reason.code.value, reason.step) for reason in (await run.why()).reasons]
        options = Options(json=True, database_url=place.dsn, data_dir=place.settings.data_dir)
        capsys.readouterr()
        assert await deciding.why(options, run.id) == 0
        typed = json.loads(capsys.readouterr().out)
        async with http(app_over(place.fb)) as client:
            served = (await client.get(f"/api/v1/runs/{run.id}/why")).json()
        for answer in (typed, served):
            assert [(one["code"], one["step"]) for one in answer["reasons"]] == said
            assert (answer["run_id"], answer["flow"]) == (run.id, run.row.flow)
        assert await deciding.why(Options(json=False, database_url=place.dsn), run.id) == 0
        shown = capsys.readouterr().out
        assert all(f"({code})" in shown for code, _ in said)
        return [(one["code"], one["message"]) for one in served["reasons"]]

    return asked


async def test_nobody_works(idle: Place, ask: Ask) -> None:
    assert await ask(await idle.start({"id": "a", "tool": "stuck.echo"})) == [
        ("no_worker", "No worker is alive to run step a.")
    ]


async def test_no_worker_has_the_tool(working: Place, ask: Ask) -> None:
    async with working.connected(worker=False, tools=[*TOOLS, elsewhere]) as other:
        steps = [{"id": "a", "tool": "stuck.elsewhere"}]
        run = await other.execute({"flow": "stuck", "steps": steps})
    [(code, message)] = await ask(await working.fb.get_run(run.id))
    assert code == "no_worker_with_tool"
    assert message.startswith("No live worker has the tool stuck.elsewhere@1 of step a; alive are ")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            {"tool": "stuck.echo", "approval": {"by": ["role:boss", "user:ada"]}},
            "Step a waits for the approval of role:boss, user:ada for another ",
        ),
        (
            {"tool": "human.input", "args": {"message": "How many?"}},
            "Step a waits for the approval of anyone for another ",
        ),
    ],
)
async def test_a_person_is_asked(working: Place, ask: Ask, step: JsonObject, message: str) -> None:
    run = await working.reached(await working.start({"id": "a", **step}), "approval_requested")
    [(code, said)] = await ask(run)
    assert code == "approval"
    assert said.startswith(message) and said.endswith("; then it counts as rejected.")


@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        (
            {"tool": "event.wait", "args": {"name": "paid", "key": "7", "timeout": "3h"}},
            "waiting",
            "Step a waits for event paid 7 for another ",
        ),
        ({"tool": "time.sleep", "args": {"seconds": 4000}}, "time", "Step a sleeps for another 1h"),
    ],
)
async def test_it_waits_for_an_event_or_a_time(
    working: Place, ask: Ask, step: JsonObject, code: str, message: str
) -> None:
    after: JsonObject = {"id": "b", "tool": "stuck.echo", "depends_on": ["a"]}
    run = await working.reached(await working.start({"id": "a", **step}, after), "task_waiting")
    first, second = await ask(run)
    assert first[0] == code and first[1].startswith(message)
    assert second == ("dependencies", "Step b waits for a.")


async def test_a_child_waits_for_somebody_and_is_paused(working: Place, ask: Ask) -> None:
    asks: JsonObject = {
        "id": "k",
        "tool": "human.approve",
        "args": {"message": "?", "by": ["role:boss"]},
    }
    await working.fb.save_flow({"flow": "kid", "steps": [asks]})
    run = await working.start({"id": "a", "tool": "flow.run", "args": {"flow": "kid"}})

    async def asked() -> bool:
        return bool(await working.fb.approvals())

    await eventually(asked)
    [child] = await working.fb.runs(flow="kid")
    [(code, message)] = await ask(run)
    assert code == "child_run"
    assert message.startswith(
        f"Step a waits for run {child.id}, which is under way: "
        "Step k waits for the approval of role:boss for another "
    )
    await child.pause(by="user:carl")
    [(_, message)] = await ask(run)
    assert f"run {child.id}, which is paused: The run was paused by user:carl" in message


async def test_an_attempt_failed(working: Place, ask: Ask) -> None:
    retry: JsonObject = {"base_delay": "5m", "max_attempts": 4, "jitter": False}
    run = await working.start({"id": "a", "tool": "stuck.flaky", "retry": retry})
    [(code, message)] = await ask(await working.reached(run, "task_retrying"))
    assert code == "retry_delayed"
    assert message.startswith("Step a waits for attempt 2 of 4 in ")
    assert message.endswith(" after: RuntimeError: the line is down.")


async def blocked(place: Place, run: Run) -> Run:
    async def held_back() -> bool:
        return any(row.waiting for row in await place.fb.limits.list()) or (
            (await run.why()).reasons[0].code == "limit_reached"
        )

    await eventually(held_back, what="no limit keeps it back")
    return run


async def test_a_limit_keeps_it_back(working: Place, ask: Ask) -> None:
    await working.fb.limits.set("stuck.work", concurrency=1)
    await working.working()
    run = await blocked(working, await working.start({"id": "a", "tool": "stuck.work"}))
    assert await ask(run) == [
        ("limit_reached", "Step a waits for the limit of tool stuck.work: 1 of at most 1 run, "
         "1 wait.")
    ]  # fmt: skip


async def test_a_rate_keeps_it_back(working: Place, ask: Ask) -> None:
    await working.fb.limits.set("stuck.*", rate="1/1h")
    first = await working.start({"id": "a", "tool": "stuck.echo"})
    await first.result(timeout=30)
    run = await blocked(working, await working.start({"id": "a", "tool": "stuck.echo"}))
    [(code, message)] = await ask(run)
    assert code == "limit_reached"
    assert message.startswith(
        "Step a waits for the limit of tool stuck.*: 1 start in 1h is used up, the next one is in "
    )


async def test_the_limit_of_a_key_keeps_it_back(working: Place, ask: Ask) -> None:
    limit: JsonObject = {"key": "${{ input.who }}", "concurrency": 1}
    step: JsonObject = {"id": "a", "tool": "stuck.work", "limit": limit}
    await working.start(step, input={"who": "ada"})
    run = await blocked(working, await working.start(step, input={"who": "ada"}))
    [(code, message)] = await ask(run)
    assert (code, message[:51]) == (
        "limit_reached", 'Step a waits for the limit of stuck/a for "ada": 1 ',
    )  # fmt: skip


async def test_every_slot_is_taken_and_others_go_first(working: Place, ask: Ask) -> None:
    for _ in range(2):
        await working.working()
    run = await working.start({"id": "a", "tool": "stuck.echo"})
    assert await ask(run) == [
        ("workers_busy", "Every worker that could take step a is busy: 2 of 2 slots are taken.")
    ]
    low = await working.start({"id": "a", "tool": "stuck.echo"}, priority="low")
    assert await ask(low) == [
        ("outranked", "Step a waits behind 1 task of runs with a higher priority; 2 of 2 slots are "
         "taken.")
    ]  # fmt: skip


async def test_a_worker_runs_it_until_it_is_lost(idle: Place, ask: Ask) -> None:
    run = await idle.start(
        {"id": "a", "tool": "stuck.work", "for_each": [1, 2, 3], "concurrency": 1}
    )
    engine = Engine(idle.fb.store.database)
    await engine.join(tools=["stuck.work@1"])
    await engine.exchange(lease=100)
    (first, leased), (second, more) = await ask(run)
    assert (first, second) == ("leased", "map_limit")
    assert leased.startswith("Worker test runs step a for ")
    assert more == "Step a has 1 element under way, of at most 1 at once; 2 wait."
    await idle.fb.store.database.execute(
        b"update flowbuilder.clock set offset_by = make_interval(secs => 70)"
    )
    (code, message), *_ = await ask(run)
    assert code == "worker_silent"
    assert message.startswith("Worker test, which holds step a, is silent; its lease ends in ")
    assert message.endswith(", but no worker is alive to take over.")


async def test_somebody_has_paused_it(working: Place, ask: Ask) -> None:
    run = await working.working()
    await run.pause(by="user:dora")
    (first, message), (second, _) = await ask(run)
    assert (first, second) == ("paused", "leased")
    assert message.startswith("The run was paused by user:dora ")


async def test_its_function_is_gone(place: Place, ask: Ask) -> None:
    async with place.connected(worker=True) as owner:
        run = await owner.execute_dynamic(
            {"flow": "stuck", "steps": [{"id": "a"}, {"id": "b", "approval": {}}]},
            functions={"a": lambda: 1, "b": lambda: 2},
        )
        await place.reached(run, "approval_requested")
    async with place.connected(worker=True) as place.fb:
        again = await place.fb.get_run(run.id)
        await place.reached(again, "workflow_failed")
        [(code, message)] = await ask(again)
    assert code == "ended"
    assert message.startswith("The run failed at step b: ")
    assert "process" in message


async def test_more_may_come(working: Place, ask: Ask) -> None:
    run = await working.start({"id": "a", "tool": "event.wait", "args": {"name": "go"}})
    async with run.hold(reason="the second half"):
        await working.fb.emit("go")
        await working.reached(run, "task_completed")
        [(code, message)] = await ask(run)
    assert code == "held_open"
    assert message.startswith("The run is held open: more steps may come (the second half). It ")


async def test_its_deadline_comes_near(idle: Place, ask: Ask) -> None:
    run = await idle.start({"id": "a", "tool": "stuck.echo"}, timeout="100s")
    await idle.fb.store.database.execute(
        b"update flowbuilder.clock set offset_by = make_interval(secs => 95)"
    )
    first, second = await ask(run)
    assert first[0] == "no_worker"
    assert second[0] == "deadline"
    assert second[1].startswith("The run fails at its deadline, in ")
    await idle.fb.store.database.execute(
        b"update flowbuilder.clock set offset_by = make_interval(secs => 105)"
    )
    assert ("deadline", "The deadline of the run is over: it is about to fail.") in await ask(run)


async def test_it_is_undone_and_then_has_ended(working: Place, ask: Ask) -> None:
    run = await working.start(
        {"id": "a", "tool": "stuck.echo", "compensate": {"tool": "stuck.work"}},
        {"id": "b", "tool": "stuck.broken", "depends_on": ["a"]},
    )
    await working.reached(run, "workflow_compensating")

    async def undoing() -> bool:
        return any(task.status is TaskStatus.RUNNING for task in await run.tasks())

    await eventually(undoing)
    said = dict(await ask(run))
    assert said["compensating"] == (
        "The run has failed at step b (the account is closed) and is being undone: 0 of 1 step so "
        "far."
    )
    await run.cancel(by="user:eve", reason="by hand")
    assert await ask(run) == [("ended", "The run was cancelled by user:eve: by hand.")]
    failed = await working.start({"id": "a", "tool": "stuck.broken"})
    await working.reached(failed, "workflow_failed")
    assert await ask(failed) == [("ended", "The run failed at step a: the account is closed.")]
    whole = await working.start({"id": "a", "tool": "stuck.echo"})
    await whole.result(timeout=30)
    assert await whole.status() is RunStatus.COMPLETED
    assert await ask(whole) == [("ended", "The run completed.")]
