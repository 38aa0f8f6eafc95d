"""Wishes of handlers that nobody can grant: said clearly, and no task stands still."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest

from flowbuilder.executor.attempt import Attempts
from flowbuilder.executor.context import EnvironmentSecrets, ProgressReporter, TaskContext
from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind, TaskKind
from flowbuilder.executor.slots import Slots, Work
from flowbuilder.executor.store import Store
from flowbuilder.flow import Step
from flowbuilder.settings import Settings
from flowbuilder.tools import Retry, ToolRegistry, Wait, tool
from flowbuilder.types import JsonObject
from tests.support.handlers import TOOLS

WAITS: list[Wait] = []


@tool("odd.wait")
async def odd_wait() -> Wait:
    """Return what the test has put there."""
    return WAITS[-1]


@pytest.fixture
async def attempts() -> AsyncIterator[Attempts]:
    registry = ToolRegistry([*TOOLS, odd_wait])
    made = Attempts(cast(Store, None), registry, Settings())
    yield made
    await made.close()


def leased(name: str, args: JsonObject | None = None) -> LeasedTask:
    step = Step.model_validate({"id": "work", "tool": name, "args": args or {}})
    return LeasedTask(
        task_id=1,
        fence=1,
        run_id="r1",
        kind=TaskKind.STEP,
        step_id="work",
        index=None,
        item=None,
        attempt=1,
        claims=1,
        node_id=None,
        definition=step.model_dump(mode="json"),
        args=None,
        approved=False,
        run={"id": "r1", "flow": "f", "version": 1, "started_at": None},
        input=None,
        outputs={},
        skipped=[],
    )


async def outcome_of(attempts: Attempts, name: str, args: JsonObject | None = None) -> Outcome:
    task = leased(name, args)
    context = TaskContext(task, settings=Settings(), secrets=EnvironmentSecrets({}))
    return await attempts.run(task, context)


@pytest.mark.parametrize("way", ["raise.async", "raise.plain", "raise.process"])
async def test_the_time_of_another_attempt_is_kept(attempts: Attempts, way: str) -> None:
    for kind, seconds in [("at once", 0), ("in words", 90), ("in the past", 0), ("retry", 7)]:
        outcome = await outcome_of(attempts, way, {"kind": kind})
        assert (outcome.kind, outcome.delay_seconds) == (OutcomeKind.RETRY, seconds)
    for kind in ("no time", "too late", "half made", "odd"):  # an ordinary failed attempt
        outcome = await outcome_of(attempts, way, {"kind": kind})
        assert outcome.kind is OutcomeKind.RETRY
        assert outcome.delay_seconds is not None and 0 < outcome.delay_seconds <= 1


@pytest.mark.parametrize("after", [timedelta(days=20_000), math.nan, math.inf, True, "", [5]])
def test_no_attempt_is_asked_for_at_no_time(after: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        Retry("later", after=after)


@pytest.mark.parametrize(
    ("wait", "message"),
    [
        (Wait.for_approval("x", by=("role:",)), "role:approver or user:ada"),
        (Wait.for_approval("x", by=(" ",)), "role:approver or user:ada"),
        (Wait.for_approval("x", by=cast(Any, "role:boss")), "a list of roles"),
        (Wait.for_approval("x", by=cast(Any, (5,))), "role:approver or user:ada"),
        (Wait.for_approval("x", by=("ada",) * 51), "at most 50"),
        (Wait.for_approval(cast(Any, 5)), "its message is no text"),
        (Wait.for_approval("x", deadline=cast(Any, [])), "its deadline: a duration"),
        (Wait.for_approval("x", deadline=-1), "its deadline: a duration"),
        (Wait.for_approval("x", deadline=0), "its deadline lies in the future"),
        (Wait.for_approval("x", schema={"type": "nonsense"}), "its schema is no JSON Schema"),
        (Wait.for_approval("x", schema=cast(Any, "text")), "its schema is no JSON Schema"),
        (Wait(kind="approval", on_deadline=cast(Any, "perhaps")), "on_deadline"),
        (Wait(kind=cast(Any, "nonsense")), "no such wait"),
        (Wait.for_run(cast(Any, 5), {}), "no such wait"),
        (Wait(kind="time"), "cannot wait so long"),
    ],
)
async def test_a_wait_that_cannot_end_fails_at_once(
    attempts: Attempts, wait: Wait, message: str
) -> None:
    WAITS.append(wait)
    outcome = await outcome_of(attempts, "odd.wait")
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.error is not None
    assert outcome.error["code"] == "wait_invalid"
    assert message in str(outcome.error["message"])


@pytest.mark.parametrize("deadline", [90, "1m30s", timedelta(seconds=90)])
async def test_a_question_has_a_deadline_in_any_form(attempts: Attempts, deadline: Any) -> None:
    WAITS.append(Wait.for_approval("x", by=("role:boss", "ada"), deadline=deadline))
    outcome = await outcome_of(attempts, "odd.wait")
    assert outcome.wait is not None
    assert (outcome.wait["deadline_seconds"], outcome.wait["by"]) == (90, ["role:boss", "ada"])


class Broken:
    """Work that fails in the engine's own code, not in a handler."""

    async def run(self, task: LeasedTask, context: TaskContext) -> Outcome:
        raise AssertionError(f"task {task.task_id} cannot be judged")

    def overrun(self, task: LeasedTask) -> Outcome:
        raise AssertionError


async def test_an_attempt_that_cannot_be_judged_fails(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()
    slots = Slots(1, cast(Work, Broken()), ended=ended.set)
    task = leased("echo.value")
    context = TaskContext(task, settings=Settings(), secrets=EnvironmentSecrets({}))

    async def write(progress: JsonObject) -> None:
        raise AssertionError("there is no progress")

    slots.begin(task, context, ProgressReporter(write))
    await ended.wait()
    [outcome] = slots.take()
    assert (outcome.kind, outcome.key) == (OutcomeKind.FAILED, task.key)
    assert outcome.error is not None and "cannot be judged" in str(outcome.error["message"])
    assert "could not be judged" in caplog.text
