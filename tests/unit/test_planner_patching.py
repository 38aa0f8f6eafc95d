"""What a model leaves wrong and needs nobody's word is mended last, and told as a doubt."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from flowbuilder.errors import PlanningError
from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool


@tool("tide.read", effects="read")
def read_tide(harbour: str, day: int = 0) -> dict[str, Any]:
    """Read the tide table of a harbour."""
    return {"harbour": harbour, "day": day}


@tool("tide.print", effects="pure")
def print_tide(table: dict[str, Any]) -> str:
    """Print a tide table."""
    return str(table)


REGISTRY = ToolRegistry([read_tide, print_tide])
READ: dict[str, Any] = {"id": "a", "tool": "tide.read", "args": {"harbour": "Brest"}}
PRINT: dict[str, Any] = {"id": "b", "tool": "tide.print", "args": {"table": "${{ steps.a }}"}}


async def _planned(*tasks: dict[str, Any]) -> Plan:
    planner = ModelPlanner(
        Settings.load(model="scripted", plan_repairs=0), ScriptedModel([{"tasks": list(tasks)}])
    )
    goal = "Read the tide at Brest and print it."
    request = PlanRequest(id=str(uuid.uuid4()), goal=goal, registry=REGISTRY)
    events = [event async for event in planner.stream(request)]
    assert events[-1].plan is not None
    return events[-1].plan


async def test_a_misspelt_tool_is_mended_and_told() -> None:
    plan = await _planned({**READ, "tool": "tide.raed"}, PRINT)
    assert plan.valid
    assert not plan.certain
    assert plan.flow is not None
    assert [step.tool for step in plan.flow.steps] == ["tide.read", "tide.print"]
    (told,) = [item for item in plan.problems if item.code == "plan_mended"]
    assert (told.pointer, told.message) == (
        "/steps/0/tool",
        '"tide.raed" was read as "tide.read"',
    )
    assert any("tide.raed" in note for note in plan.notes)


async def test_a_right_plan_has_no_such_doubt() -> None:
    plan = await _planned(READ, PRINT)
    assert plan.valid
    assert "plan_mended" not in {item.code for item in plan.problems}


async def test_what_nobody_can_tell_stays_an_error() -> None:
    with pytest.raises(PlanningError) as caught:
        await _planned({**READ, "tool": "weather.guess"}, PRINT)
    assert "unknown_tool" in {item.code for item in caught.value.problems}
