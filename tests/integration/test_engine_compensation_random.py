"""Random flows that fail somewhere, with workers that die and replies that are lost: each completed
step is undone once, in reverse order of completion, and never two at a time.

The seed of a failure is in its message; `FLOWBUILDER_TEST_SEED=n` tries that one alone, and
`FLOWBUILDER_TEST_ROUNDS=n` so many times as many flows.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.states import RunStatus
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of, retry

ROUNDS = 8 * int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1"))
ONLY = os.environ.get("FLOWBUILDER_TEST_SEED")
PREFIX = "compensate:"


def make(dice: random.Random) -> Flow:
    """Return a random graph of which half the steps can be undone."""
    steps: list[JsonObject] = []
    for number in range(dice.randint(3, 9)):
        before = [f"s{other}" for other in range(number) if dice.random() < 0.35]
        step: JsonObject = {"id": f"s{number}", "depends_on": [*before]}
        if dice.random() < 0.2:
            step["for_each"] = [*range(dice.randint(0, 3))]
        if dice.random() < 0.6:
            step["compensate"] = {"tool": "other"}
        steps.append(step)
    steps.append({"id": "last", "depends_on": [str(step["id"]) for step in steps]})
    return flow_of(*steps, slug="undone")


def outcome(task: LeasedTask, broken: set[str], stubborn: set[str]) -> Outcome:
    name = task.step_id or ""
    if task.kind == "compensate":
        if task.attempt < 2:
            return retry(task, 0)
        return failed(task) if name.removeprefix(PREFIX) in stubborn else done(task)
    return failed(task) if name in broken else done(task)


async def work_off(
    engine: Engine, dice: random.Random, broken: set[str], stubborn: set[str]
) -> None:
    """Work until nothing is left; sometimes a reply is lost, or the worker."""
    held: dict[tuple[int, int], LeasedTask] = {}
    quiet = 0
    while quiet < 3:
        ended = [task for task in held.values() if dice.random() < 0.7]
        outcomes = [outcome(task, broken, stubborn) for task in ended]
        answer = await engine.exchange(outcomes, held=list(held.values()), free=dice.randint(1, 3))
        if dice.random() < 0.1:  # the reply is lost: the same report again, and what it brought
            answer = await engine.exchange(outcomes, held=list(held.values()))
        for key in [task.key for task in ended] + answer.lost:
            held.pop(key, None)
        held.update({task.key: task for task in answer.tasks})
        if dice.random() < 0.05:
            await engine.store.stop_worker(engine.worker)
            await engine.join(max_claims=1000)
            held.clear()
        await engine.store.tick(engine.worker)
        quiet = 0 if held or answer.ready or outcomes else quiet + 1


def assert_undone(events: list[EventRow], flow: Flow, stubborn: set[str]) -> list[str]:
    """Assert the order of what was undone; returns the steps."""
    begun = next(event.seq for event in events if event.type == "workflow_compensating")
    undoable = {step.id for step in flow.steps if step.compensate is not None}
    completed = {event.step_name: event.seq for event in events
                 if event.type == "task_completed" and event.seq < begun}  # fmt: skip
    told: Any = events[begun - 1].data["steps"]
    listed = [str(item["step"]) for item in told]
    assert set(listed) <= undoable & {name for name in completed if name}
    undone = [event for event in events if (event.step_name or "").startswith(PREFIX)]
    open_: str | None = None
    order: list[str] = []
    for event in undone:
        name = (event.step_name or "").removeprefix(PREFIX)
        assert open_ in (None, name), "two at a time"
        ends = event.type in ("task_completed", "task_failed")
        open_ = None if ends else name
        order += [name] if ends else []
    assert order == listed
    assert all(count == 1 for count in Counter(order).values())
    failures = {event.step_name for event in undone if event.type == "task_failed"}
    assert failures == {f"{PREFIX}{name}" for name in stubborn & set(listed)}
    return order


@pytest.mark.parametrize("block", range(2))
async def test_random_flows_are_undone(database: Database, block: int) -> None:
    seeds = [int(ONLY)] if ONLY else range(block * ROUNDS, (block + 1) * ROUNDS)
    engine = Engine(database)
    happened: Counter[str] = Counter()
    for seed in seeds:
        dice = random.Random(seed)
        flow = make(dice)
        names = [step.id for step in flow.steps]
        broken = {dice.choice(names[len(names) // 2 :])}
        stubborn = {name for name in names if dice.random() < 0.2}
        await engine.join(max_claims=1000)
        run = await engine.start(flow)
        await work_off(engine, dice, broken, stubborn)
        row = await engine.run(run)
        if row.status is RunStatus.COMPLETED:  # a map without elements has nothing that could fail
            happened["completed"] += 1
            continue
        assert row.status is RunStatus.FAILED and row.error is not None, f"seed {seed}: {row}"
        await engine.trace(run)
        events = await engine.store.events(run, limit=10_000)
        if row.failure is None:
            happened["nothing to undo"] += 1
            continue
        order = assert_undone(events, flow, stubborn)
        assert row.error["compensated"] == [name for name in order if name not in stubborn], seed
        happened["undone"] += 1
    assert happened["undone"] or ONLY
    await engine.at_rest()
