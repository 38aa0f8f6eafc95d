"""Plan the goals of `rules_goals.yaml` and count what came out right."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from flowbuilder.errors import PlanningError
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanRequest
from flowbuilder.planner.rules import RulePlanner
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import ToolRegistry
from tests.unit.data.rules_catalogues import CATALOGUES, catalogue

_GOALS = Path(__file__).with_name("rules_goals.yaml")


@dataclass
class Measure:
    """How many goals of a set came out how."""

    goals: int = 0
    tools_right: int = 0
    literals_right: int = 0
    certain: int = 0
    wrong_but_certain: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)


@cache
def registry(name: str) -> ToolRegistry:
    """Return a catalogue's registry, or that of the starter tools."""
    return catalogue(name) if name in CATALOGUES else load_registry(Settings())


def plan_goal(goal: str, tools: ToolRegistry, **more: Any) -> Plan:
    """Plan a goal by rules. Raises: PlanningError."""
    plan = plan_events(goal, tools, **more)[-1].plan
    assert plan is not None
    return plan


def plan_events(goal: str, tools: ToolRegistry, **more: Any) -> list[PlanEvent]:
    """Return all events of planning a goal. Raises: PlanningError."""

    async def collect() -> list[PlanEvent]:
        request = PlanRequest(id="plan", goal=goal, registry=tools, **more)
        return [event async for event in RulePlanner(Settings()).stream(request)]

    return asyncio.run(collect())


def goals(half: str) -> list[dict[str, Any]]:
    """Return the goals of one part of the set."""
    rows: list[dict[str, Any]] = yaml.safe_load(_GOALS.read_text("utf-8"))
    return [row for row in rows if row["half"] == half]


def measure(half: str) -> Measure:
    """Plan every goal of a part of the set."""
    result = Measure()
    for row in goals(half):
        result.goals += 1
        try:
            plan = plan_goal(row["goal"], registry(row["catalogue"]))
        except PlanningError:
            result.tools_right += row["tools"] == []
            result.literals_right += row["tools"] == []
            continue
        right, literals = _judge(plan, row)
        result.tools_right += right
        result.literals_right += literals
        result.certain += plan.certain
        if plan.certain and not literals:
            result.wrong_but_certain.append(row["goal"])
        if not plan.valid and not plan.questions:
            result.invalid.append(row["goal"])
    return result


def _judge(plan: Plan, row: dict[str, Any]) -> tuple[bool, bool]:
    assert plan.flow is not None
    steps = plan.flow.steps
    right = [step.tool for step in steps] in (row["tools"], row.get("also"))
    literals = right and all(
        steps[int(position)].args.get(name) == value
        for position, wanted in (row.get("literals") or {}).items()
        for name, value in wanted.items()
    )
    return right, literals
