"""Plan the goals of `rules_blind.yaml`, by tools and every literal."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from flowbuilder.errors import PlanningError
from flowbuilder.plan import Plan
from flowbuilder.tools import Effects, Tool, ToolRegistry
from tests.unit.data.rules_measure import plan_goal

_FILE = Path(__file__).with_name("rules_blind.yaml")


def _never_called() -> None:
    raise AssertionError("tools are planned with here, not run")


@cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(_FILE.read_text("utf-8"))
    return found


@cache
def catalogue(name: str) -> ToolRegistry:
    """Return one of the catalogues as a registry."""
    registry = ToolRegistry()
    for row in _read()["tools"][name]:
        registry.add(
            Tool(
                name=row["name"],
                summary=row["summary"],
                handler=_never_called,
                input_schema=row["input"],
                output_schema=row["output"],
                effects=Effects(row["effects"]),
            )
        )
    return registry


def verdicts(name: str) -> tuple[Counter[str], list[str]]:
    """Plan a set; return how many came out how, and the goals planned wrongly with certainty."""
    counts: Counter[str] = Counter()
    false: list[str] = []
    for row in _read()["goals"]:
        if row["set"] != name:
            continue
        try:
            plan = plan_goal(row["goal"], catalogue(row["tools"]))
        except PlanningError:
            counts["refused"] += 1
            continue
        right = "steps" in row and is_right(plan, row["steps"])
        counts["right" if right else "wrong"] += 1
        counts["certain"] += plan.certain
        if plan.certain and not right:
            false.append(row["goal"])
    return counts, false


def is_right(plan: Plan, wanted: list[dict[str, dict[str, Any]]]) -> bool:
    """Tell whether a plan has the tools in order, with the arguments that must stand there."""
    steps = plan.flow.steps if plan.flow else []
    ids = [step.id for step in steps]
    if [step.tool for step in steps] != [next(iter(row)) for row in wanted]:
        return False
    return all(
        _holds(step.args.get(name), value, ids)
        for step, row in zip(steps, wanted, strict=True)
        for name, value in next(iter(row.values())).items()
    )


def _holds(found: Any, wanted: Any, ids: list[str]) -> bool:
    if isinstance(wanted, str) and wanted.startswith("*"):
        return wanted[1:] in str(found)
    if wanted == "~item":
        return "${{ item" in str(found)
    if isinstance(wanted, str) and wanted.startswith("~"):
        return f"steps.{ids[int(wanted[1:])]}" in str(found)
    return bool(found == wanted)
