"""What a model leaves undone, writes unasked or puts beside a pause is seen, whatever the words."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.pauses import keep_pauses
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from tests.support.archive import OWN, step

STARTER = load_registry(Settings())


async def plan(goal: str, *steps: dict[str, Any], **settings: Any) -> Plan:
    model = ScriptedModel([json.dumps({"tasks": [*steps]})] * 4)
    planner = ModelPlanner(Settings.load(model="scripted", plan_repairs=1, **settings), model)
    request = PlanRequest(id=str(uuid.uuid4()), goal=goal, registry=STARTER)
    found = [event.plan async for event in planner.stream(request)]
    assert found[-1] is not None
    return found[-1]


def codes(made: Plan) -> set[str]:
    return {item.code for item in made.problems}


@pytest.mark.parametrize("settings", [{}, OWN])
@pytest.mark.parametrize("rest", ["save it", "then store it", "write it to a file"])
async def test_half_a_goal_is_never_certain(rest: str, settings: dict[str, Any]) -> None:
    made = await plan(
        f"Read notes.txt and {rest}", step(1, "file.read", path="notes.txt"), **settings
    )
    assert not made.certain
    assert "order_unmet" in codes(made)


@pytest.mark.parametrize("settings", [{}, OWN])
@pytest.mark.parametrize("goal", ["Purple the seventeen quietly", "Book me a flight to Lisbon"])
async def test_a_goal_that_is_handed_on_to_a_model_is_not_certain(
    goal: str, settings: dict[str, Any]
) -> None:
    made = await plan(goal, step(1, "llm.generate", prompt=goal), **settings)
    assert not made.certain
    assert "writing_unasked" in codes(made)


@pytest.mark.parametrize(
    "goal", ["Write a haiku about autumn", "Summarise what bees do", "Who was Ada Lovelace?"]
)
async def test_what_is_to_be_written_may_be_written(goal: str) -> None:
    made = await plan(goal, step(1, "llm.generate", prompt=goal))
    assert made.certain, made.notes


async def test_what_is_written_behind_a_pause_waits_for_it() -> None:
    made = await plan(
        'Save "a" to a.txt, wait 1 second, then save "b" to b.txt',
        step(1, "file.write", path="a.txt", content="a"),
        step(2, "time.sleep", seconds=1),
        step(3, "file.write", path="b.txt", content="b"),
    )
    assert made.flow is not None
    first, pause, last = made.flow.steps
    assert pause.depends_on == [first.id]
    assert last.depends_on == [pause.id]


def test_a_pause_that_holds_something_up_stays_as_it_is() -> None:
    pause = {"id": "p", "tool": "time.sleep", "args": {"seconds": 1}}
    a: Any = {"id": "a", "tool": "file.read", "args": {"path": "a"}}
    b = {"id": "b", "tool": "file.read", "args": {"path": "b"}, "depends_on": ["p"]}
    held: dict[str, Any] = {"steps": [pause, a, b]}
    assert keep_pauses(held) == []
    last: dict[str, Any] = {"steps": [a, pause]}
    assert keep_pauses(last) == []
    assert "depends_on" not in pause
    before: Any = {"id": "q", "tool": "time.sleep", "args": {"seconds": 1}, "depends_on": ["a"]}
    assert keep_pauses({"steps": [before, a]}) == []  # what it waits for cannot wait for it
