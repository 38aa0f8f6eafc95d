"""Holds: a run completes only when nothing remains and nobody holds it open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import (
    DefinitionError,
    FlowBuilder,
    InvalidTransition,
    InvalidValue,
    NotFound,
    RunFailed,
    Settings,
    tool,
)
from flowbuilder.executor.states import RunStatus
from tests.support.engine import Engine, done, failed, flow_of
from tests.support.growing import grow
from tests.support.still_clock import STILL
from tests.support.waiting import eventually


async def test_a_held_run_waits_for_more(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.hold_run(run, owner="one", seconds=60)
    await engine.store.hold_run(run, owner="two", seconds=60)
    await engine.drain(done)
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await grow(engine, run, {"id": "b", "depends_on": ["a"]})
    assert await engine.store.release_hold(run, owner="one")
    await engine.consistent()
    await engine.drain(lambda task: done(task, 2))
    assert (await engine.run(run)).status is RunStatus.RUNNING
    assert await engine.store.release_hold(run, owner="two")
    assert (await engine.run(run)).output == {"b": 2}
    assert not await engine.store.release_hold(run, owner="two")
    await engine.at_rest()


async def test_a_run_is_held_from_its_first_moment_on(engine: Engine) -> None:
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)

    async def start() -> tuple[str, bool]:
        return await engine.store.start_held_run(
            version.id,
            0,
            owner="planner",
            hold_seconds=60,
            timeout_seconds=600,
            idempotency_key="once",
        )

    run, created = await start()
    assert created
    await engine.drain(done)
    assert await start() == (run, False)
    assert (await engine.run(run)).status is RunStatus.RUNNING
    [hold] = await engine.store.run_holds(run)
    assert hold["owner"] == "planner"
    await engine.store.release_hold(run, owner="planner")
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    assert await start() == (run, False)
    await engine.at_rest()


async def test_a_flow_with_an_output_finishes_after_the_last_hold(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, output="${{ steps.a }}"))
    [a] = (await engine.exchange()).tasks
    [finish] = (await engine.exchange([done(a, 1)])).tasks
    await engine.store.hold_run(run, owner="late", seconds=60)
    assert (await engine.exchange([done(finish, 1)])).verdicts == {finish.key: "fenced"}
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await engine.store.release_hold(run, owner="late")
    await engine.drain(lambda task: done(task, 1))
    assert (await engine.run(run)).output == 1
    await engine.at_rest()


async def test_an_expired_hold_fails_the_run(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.hold_run(run, owner="planner", reason="planning", seconds=60)
    await engine.drain(done)
    assert (await engine.store.tick()).next_due_seconds == pytest.approx(60, abs=30)
    await engine.jump(40)
    await engine.store.hold_run(run, owner="planner", reason="planning on", seconds=60)
    await engine.jump(40)
    await engine.store.tick()
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await engine.jump(30)
    await engine.store.tick()
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED
    assert row.error is not None
    assert (row.error["code"], row.error["owner"]) == ("plan_abandoned", "planner")
    assert "planning on" in str(row.error["message"])
    assert (await engine.trace(run))[-1] == "workflow_failed"
    await engine.at_rest()


async def test_a_run_that_fails_while_it_starts_is_not_held(engine: Engine) -> None:
    flow = flow_of({"id": "a", "for_each": "${{ input }}"})
    version = await engine.store.register_version(flow, engine.registry)
    run, created = await engine.store.start_held_run(
        version.id, 0, owner="one", hold_seconds=60, timeout_seconds=100
    )
    assert created
    assert (await engine.run(run)).status is RunStatus.FAILED
    assert await engine.store.run_holds(run) == []
    await engine.consistent()
    await engine.jump(61)
    assert not (await engine.store.tick()).touched
    await engine.at_rest()


async def test_a_run_that_has_nothing_to_do_yet_is_held_from_its_start_on(engine: Engine) -> None:
    flow = flow_of({"id": "a", "for_each": []})
    version = await engine.store.register_version(flow, engine.registry)
    run, created = await engine.store.start_held_run(
        version.id, None, owner="one", hold_seconds=60, timeout_seconds=100
    )
    assert created
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await engine.consistent()
    await grow(engine, run, {"id": "b", "depends_on": ["a"]})
    await engine.drain(done)
    assert await engine.store.release_hold(run, owner="one")
    assert (await engine.run(run)).output == {"b": None}
    await engine.at_rest()


async def test_a_hold_renewed_within_one_moment_counts_once(engine: Engine) -> None:
    await engine.database.execute(STILL.encode())
    run = await engine.start(flow_of({"id": "a"}))
    for _ in range(2):
        await engine.store.hold_run(run, owner="one", seconds=60)
    await engine.consistent()
    await engine.drain(done)
    assert await engine.store.release_hold(run, owner="one")
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_a_hold_ends_with_its_run(engine: Engine) -> None:
    for end in ("failed", "cancelled"):
        run = await engine.start(flow_of({"id": "a"}))
        await engine.store.hold_run(run, owner="one", seconds=60)
        if end == "failed":
            await engine.drain(failed)
        else:
            await engine.store.cancel_run(run)
        assert await engine.store.run_holds(run) == []
        assert not await engine.store.release_hold(run, owner="one")
        with pytest.raises(InvalidTransition, match="cannot hold"):
            await engine.store.hold_run(run, owner="one", seconds=60)
    with pytest.raises(NotFound):
        await engine.store.hold_run("none", owner="one", seconds=60)
    with pytest.raises(NotFound):
        await engine.store.release_hold("none", owner="one")
    await engine.at_rest()


async def test_a_paused_run_that_is_let_go_completes_when_it_is_resumed(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.hold_run(run, owner="one", seconds=60)
    await engine.drain(done)
    await engine.store.pause_run(run)
    await engine.store.release_hold(run, owner="one")
    assert (await engine.run(run)).status is RunStatus.PAUSED
    await engine.store.resume_run(run)
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_holds_and_the_end_of_a_run_race(engine: Engine) -> None:
    """Either the hold is refused, or the run stays open until it is let go."""
    for _ in range(12):
        run = await engine.start(flow_of({"id": "a"}))
        [task] = (await engine.exchange()).tasks

        async def hold(run: str = run) -> bool:
            try:
                await engine.store.hold_run(run, owner="one", seconds=60)
            except InvalidTransition:
                return False
            return True

        held, _ = await asyncio.gather(hold(), engine.exchange([done(task)]))
        expected = RunStatus.RUNNING if held else RunStatus.COMPLETED
        assert (await engine.run(run)).status is expected
        assert await engine.store.release_hold(run, owner="one") is held
        assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


# -- in Python ----------------------------------------------------------------------------------


FLOW = {"flow": "held", "steps": [{"id": "a", "tool": "hold.wait", "args": {"value": 0}}]}


@pytest.fixture
def gate() -> asyncio.Event:
    """What the first step waits for."""
    return asyncio.Event()


@pytest.fixture
async def fb(dsn: str, tmp_path: Path, gate: asyncio.Event) -> AsyncIterator[FlowBuilder]:
    @tool("hold.wait")
    async def wait(value: Any) -> Any:
        await gate.wait()
        return value

    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, tools=[wait], worker=True) as opened:
        yield opened


async def test_steps_are_added_while_the_run_is_held(fb: FlowBuilder, gate: asyncio.Event) -> None:
    run = await fb.execute_dynamic(FLOW)
    async with run.hold("more is planned", timeout=30) as owner:
        assert [hold["owner"] for hold in await fb.store.run_holds(run.id)] == [owner]
        gate.set()

        async def first_is_done() -> bool:
            return (await run.steps())[0].status == "completed"

        await eventually(first_is_done)
        await run.add_step("b", tool="hold.wait", args={"value": ["${{ steps.a }}"]})
    assert await run.result(timeout=60) == {"b": [0]}


async def test_a_hold_is_renewed_while_the_process_lives(
    fb: FlowBuilder, gate: asyncio.Event
) -> None:
    run = await fb.execute_dynamic(FLOW)
    async with run.hold(timeout=3):  # enough for a machine that is busy for a second
        [before] = await fb.store.run_holds(run.id)

        async def renewed() -> bool:
            [now] = await fb.store.run_holds(run.id)
            return str(now["deadline_at"]) > str(before["deadline_at"])

        await eventually(renewed)
    gate.set()
    assert await run.result(timeout=60) == {"a": 0}


async def test_an_error_inside_abandons_the_run_at_once(
    fb: FlowBuilder, gate: asyncio.Event
) -> None:
    run = await fb.execute_dynamic(FLOW)
    with pytest.raises(DefinitionError):
        async with run.hold("more is planned"):
            await run.add_step("b", tool="no.tool")
    with pytest.raises(RunFailed) as caught:
        await run.result(timeout=60)
    assert caught.value.error["code"] == "plan_abandoned"


async def test_a_bad_hold_is_refused(fb: FlowBuilder, gate: asyncio.Event) -> None:
    run = await fb.execute_dynamic(FLOW)
    for options in ({"timeout": 0}, {"timeout": "soon"}, {"owner": ""}, {"reason": "x" * 501}):
        with pytest.raises(InvalidValue):
            async with run.hold(**options):
                raise AssertionError("it was held")
    gate.set()
    await run.result(timeout=60)
    with pytest.raises(InvalidTransition):
        async with run.hold():
            raise AssertionError("it was held")
