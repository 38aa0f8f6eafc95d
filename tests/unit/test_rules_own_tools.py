"""Tools that a user brought go before starter tools that do the same."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEventType, PlanRequest
from flowbuilder.planner.rules import RulePlanner
from flowbuilder.settings import Settings
from flowbuilder.toolkit import is_starter, starter_tools
from flowbuilder.tools import ToolRegistry, tool


@tool("page.fetch", effects="read", untrusted_output=True)
def page_fetch(url: str) -> str:
    """Fetch the content of a URL as text."""
    return url


@tool("rows.order_by", effects="pure")
def order_by(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Sort rows by a column."""
    return sorted(rows, key=lambda row: row[column])


@tool("table.load", effects="read")
def table_load(path: str) -> list[dict[str, Any]]:
    """Load a CSV file as a list of rows."""
    return [{"path": path}]


OWN = [page_fetch, order_by, table_load]
EVERYTHING = ToolRegistry([*starter_tools(), *OWN])


async def planned(goal: str) -> tuple[Plan, list[str]]:
    plan, told = None, []
    request = PlanRequest(id="p", goal=goal, registry=EVERYTHING)
    async for event in RulePlanner(Settings()).stream(request):
        plan = event.plan or plan
        if event.type is PlanEventType.STEP_ADDED:
            step: Any = event.data["step"]
            told.append(step["tool"])
    assert plan is not None
    return plan, told


def tools_of(plan: Plan) -> list[str]:
    assert plan.flow is not None
    return [step.tool for step in plan.flow.steps]


def test_starter_tools_are_known_as_such() -> None:
    assert all(is_starter(one) for one in starter_tools())
    assert not any(is_starter(one) for one in OWN)


@pytest.mark.parametrize(
    ("goal", "wanted"),
    [
        ("Fetch https://example.org/robots.txt", ["page.fetch"]),
        ("Load stock.csv and sort the rows by weight.", ["table.load", "rows.order_by"]),
    ],
)
async def test_own_tools_do_what_they_can(goal: str, wanted: list[str]) -> None:
    plan, told = await planned(goal)
    assert tools_of(plan) == wanted == told


async def test_starter_tools_do_the_rest() -> None:
    plan, told = await planned('Write "hello" to the file greeting.txt')
    assert tools_of(plan) == ["file.write"] == told
    assert plan.certain


@tool("code.draw", effects="write")
def draw_code(content: str) -> str:
    """Draw a QR code image and return its file path."""
    return content


async def test_a_code_for_an_address_is_about_the_address_not_the_page() -> None:
    registry = ToolRegistry([*starter_tools(), draw_code])
    plan = None
    request = PlanRequest(
        id="p", goal="Draw a QR code for https://example.org/a", registry=registry
    )
    async for event in RulePlanner(Settings()).stream(request):
        plan = event.plan or plan
    assert plan is not None and plan.flow is not None
    assert [step.tool for step in plan.flow.steps] == ["code.draw"]
    assert plan.flow.steps[0].args["content"] == "https://example.org/a"
    assert not plan.certain
