"""Early start: steps run while the plan is still being written, and only those that may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import (
    DefinitionError,
    FlowBuilder,
    InvalidValue,
    ModelError,
    Run,
    Settings,
    tool,
)
from flowbuilder.budget import Spending
from flowbuilder.client.early import EarlyStart
from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.states import RunStatus
from flowbuilder.planner.base import PlanEvent, PlanEventType
from flowbuilder.planner.model import ModelPlanner
from tests.support.gated_model import GatedModel
from tests.support.waiting import eventually

WAIT = 60.0
GOAL = "Look up the numbers 1 and 2, add them up and note the sum"


class Deeds:
    """Tools that say what they did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fail = False

    def tools(self) -> list[Any]:
        @tool("number.look", effects="read")
        async def look(n: int) -> dict[str, int]:
            """Look up a number."""
            if self.fail:
                raise ValueError("no such number")
            self.done.append(f"look {n}")
            return {"n": n}

        @tool("number.add")
        async def add(a: int, b: int) -> int:
            """Add up two numbers."""
            self.done.append(f"add {a} {b}")
            return a + b

        @tool("number.note", effects="write")
        async def note(value: int) -> str:
            """Note a number down."""
            self.done.append(f"note {value}")
            return "noted"

        return [look, add, note]


LOOK_1: dict[str, Any] = {"id": "one", "tool": "number.look", "args": {"n": 1}}
LOOK_2: dict[str, Any] = {"id": "two", "tool": "number.look", "args": {"n": 2}}
ADD: dict[str, Any] = {
    "id": "sum",
    "tool": "number.add",
    "args": {"a": "${{ steps.one.n }}", "b": "${{ steps.two.n }}"},
}
NOTE: dict[str, Any] = {"id": "note", "tool": "number.note", "args": {"value": "${{ steps.sum }}"}}
ALL = [LOOK_1, LOOK_2, ADD, NOTE]


@pytest.fixture
def deeds() -> Deeds:
    return Deeds()


Opener = Callable[[GatedModel], Any]


@pytest.fixture
def opened(dsn: str, tmp_path: Path, deeds: Deeds) -> Opener:
    @asynccontextmanager
    async def open_with(model: GatedModel) -> AsyncIterator[FlowBuilder]:
        settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
        planner = ModelPlanner(settings, model)
        builder = FlowBuilder.connect(
            dsn, settings=settings, tools=deeds.tools(), worker=True, planner=planner
        )
        async with builder as fb:
            yield fb

    return open_with


async def until(deeds: Deeds, *done: str) -> None:
    async def there() -> bool:
        return set(done) <= set(deeds.done)

    await eventually(there)


async def begun(early: EarlyStart) -> Run:
    """Return the run once its start is answered: its first handler may have been quicker."""
    await eventually(lambda: early.run is not None)
    assert early.run is not None
    return early.run


def reading(early: EarlyStart) -> Awaitable[list[PlanEvent]]:
    async def read() -> list[PlanEvent]:
        return [event async for event in early]

    return asyncio.create_task(read())


async def test_steps_run_while_the_stream_stalls_and_effects_wait(
    opened: Opener, deeds: Deeds
) -> None:
    model = GatedModel(ALL)
    async with opened(model) as fb, fb.start_early(GOAL, by="user:ada") as early:
        events = reading(early)
        model.give()
        await until(deeds, "look 1")  # nothing else has been written by now
        model.give(3)
        await until(deeds, "add 1 2")
        run = await begun(early)
        assert early.plan is None
        assert [step.step_id for step in await run.steps()] == ["one", "two", "sum"]
        assert await run.status() is RunStatus.RUNNING  # held open for the rest
        model.end()
        accepted = await early.accept()
        assert accepted.id == run.id == (await early.accept()).id
        told = [event.type for event in await events]
        assert told.count(PlanEventType.STEP_ADDED) == 4
        assert told[-1] is PlanEventType.COMPLETED
        await eventually(lambda: asked(fb))
        [approval] = await fb.approvals()
        assert (approval.args, "note 3" in deeds.done) == ({"value": 3}, False)
        await fb.approve(approval.id, by="user:ada")
        assert await accepted.result(timeout=WAIT) == {"note": "noted"}
        plan = await early.whole()
        assert (await fb.accept_plan(plan.id)).id == run.id
        assert deeds.done == ["look 1", "look 2", "add 1 2", "note 3"]
        assert await fb.store.run_holds(run.id) == []


async def asked(fb: FlowBuilder) -> bool:
    return bool(await fb.approvals())


async def test_others_may_add_steps_meanwhile(opened: Opener, deeds: Deeds) -> None:
    model = GatedModel(ALL[:3])
    async with opened(model) as fb, fb.start_early(GOAL) as early:
        model.give()
        await until(deeds, "look 1")
        await (await begun(early)).add_step("other", tool="number.look", args={"n": 9})
        model.give(2)
        await until(deeds, "add 1 2", "look 9")
        model.end()
        run = await early.accept()
        assert run.id == early.run.id
        assert await run.result(timeout=WAIT) == {"other": {"n": 9}, "sum": 3}


async def test_what_is_not_accepted_is_cancelled(opened: Opener, deeds: Deeds) -> None:
    model = GatedModel(ALL)
    async with opened(model) as fb:
        async with fb.start_early(GOAL) as early:
            model.give()
            await until(deeds, "look 1")
            run = await begun(early)
        assert await run.status() is RunStatus.CANCELLED
        assert await fb.plans() == []


async def test_a_plan_that_is_mended_runs_from_its_beginning(opened: Opener, deeds: Deeds) -> None:
    wrong = {**ADD, "args": {"a": "${{ steps.one.n }}", "b": "many"}}
    changed = {**LOOK_1, "args": {"n": 2}}
    model = GatedModel([LOOK_1, LOOK_2, wrong], {"tasks": [changed, LOOK_2, ADD]})
    async with opened(model) as fb, fb.start_early(GOAL) as early:
        model.give(2)
        await until(deeds, "look 1", "look 2")
        first = await begun(early)
        model.end()
        run = await early.accept()
        assert run.id != first.id
        assert await run.result(timeout=WAIT) == {"sum": 4}
        assert await first.status() is RunStatus.CANCELLED
        assert (await first.document()).step("sum") is None  # the faulty step never started


async def test_a_repair_of_what_had_not_started_goes_on(opened: Opener, deeds: Deeds) -> None:
    wrong = {**ADD, "args": {"a": "${{ steps.one.n }}", "b": "many"}}
    model = GatedModel([LOOK_1, LOOK_2, wrong], {"tasks": [LOOK_1, LOOK_2, ADD]})
    async with opened(model) as fb, fb.start_early(GOAL) as early:
        model.give(2)
        await until(deeds, "look 1", "look 2")
        model.end()
        run = await early.accept()
        assert early.run is not None and run.id == early.run.id
        assert await run.result(timeout=WAIT) == {"sum": 3}
        assert deeds.done == ["look 1", "look 2", "add 1 2"]


async def test_a_step_before_what_it_needs_waits_for_it(opened: Opener, deeds: Deeds) -> None:
    model = GatedModel([LOOK_2, NOTE, {**LOOK_1, "after": ["note"]}, ADD])
    async with opened(model) as fb, fb.start_early(GOAL) as early:
        model.give(3)
        await until(deeds, "look 2")
        run = await begun(early)
        assert [step.step_id for step in await run.steps()] == ["two"]


async def test_questions_leave_nothing_running(opened: Opener, deeds: Deeds) -> None:
    ask = {"id": "note", "tool": "number.note", "args": {"value": "${{ ask: what is noted? }}"}}
    model = GatedModel([LOOK_1, ask], {"tasks": [LOOK_1, ask]}, {"tasks": [LOOK_1, ask]})
    async with opened(model) as fb:
        async with fb.start_early("Look up the number 1 and note something down") as early:
            model.give(2)
            await until(deeds, "look 1")
            model.end()
            with pytest.raises(DefinitionError) as refused:
                await early.accept()
        assert refused.value.code == "plan_not_ready"
        assert early.run is not None
        assert await early.run.status() is RunStatus.CANCELLED


async def test_a_model_that_fails_leaves_nothing_running(opened: Opener, deeds: Deeds) -> None:
    model = GatedModel(ALL)
    model.failure = ModelError("gone", code="model_unavailable")
    async with opened(model) as fb:
        early: EarlyStart
        async with fb.start_early(GOAL) as early:
            model.give()
            await until(deeds, "look 1")
            model.end()
            with pytest.raises(ModelError):
                await early.accept()
            with pytest.raises(ModelError):
                [event async for event in early]
        assert early.run is not None
        assert await early.run.status() is RunStatus.CANCELLED


async def test_a_step_that_fails_early_is_tried_again_with_the_whole_plan(
    opened: Opener, deeds: Deeds
) -> None:
    deeds.fail = True
    model = GatedModel([{**LOOK_1, "retry": {"max_attempts": 1}}, LOOK_2])
    async with opened(model) as fb, fb.start_early(GOAL) as early:
        model.give()

        async def failed() -> bool:
            return early.run is not None and await early.run.status() is RunStatus.FAILED

        await eventually(failed)
        deeds.fail = False
        model.end()
        run = await early.accept()
        assert early.run is not None and run.id != early.run.id
        assert await run.result(timeout=WAIT) == {"one": {"n": 1}, "two": {"n": 2}}


async def test_the_rules_plan_at_once_and_start_nothing_before(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("one two")
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, worker=True) as fb:
        async with fb.start_early("Read notes.txt and count its words") as early:
            run = await early.accept()
            assert early.run is None
        assert await run.status() is not RunStatus.CANCELLED
        await run.result(timeout=WAIT)


async def test_bad_terms_are_refused_before_anything_is_planned(
    opened: Opener, deeds: Deeds
) -> None:
    model = GatedModel(ALL)
    async with opened(model) as fb:
        for bad in ({"priority": "urgent"}, {"timeout": "0s"}, {"by": ""}):
            with pytest.raises(InvalidValue):
                async with fb.start_early(GOAL, **bad):
                    pass
        assert model.requests == []


async def test_a_budget_holds_for_what_starts_early_too(opened: Opener, deeds: Deeds) -> None:
    model = GatedModel(ALL[:3])
    async with opened(model) as fb, fb.start_early(GOAL, budget="steps=1") as early:
        model.give(2)
        await until(deeds, "look 1")
        run = await begun(early)

        async def over() -> bool:
            status: RunStatus = await run.status()
            return status.terminal is True

        await eventually(over)
        model.end()
        assert (await early.accept()).id == run.id  # not once more with a whole budget
        assert run.row.error is not None
        assert run.row.error["code"] == "budget_exceeded"
        assert deeds.done == ["look 1"]
        assert len(await fb.runs()) == 1


async def test_what_was_spent_early_is_spent(opened: Opener, deeds: Deeds) -> None:
    model = GatedModel([LOOK_1])
    deeds.fail = True
    async with opened(model) as fb, fb.start_early(GOAL, budget="tokens=1000000") as early:
        model.give()
        run = await begun(early)
        await fb.store.spend_budget(run.id, Spending.of(700, 0.5))
        model.end()
        with suppress(FlowBuilderError):
            await run.result(timeout=WAIT)
        deeds.fail = False
        accepted = await early.accept()
        assert accepted.id != run.id
        use = await accepted.budget()
        assert use is not None
        assert use.tokens >= 700
