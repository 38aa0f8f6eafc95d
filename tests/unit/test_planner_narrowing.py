"""A small model is shown the user's own tools first, and all tools where those do not do."""

from __future__ import annotations

from typing import Any

from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.rivals import without_rivals
from flowbuilder.settings import Settings
from flowbuilder.toolkit import starter_tools
from flowbuilder.tools import ToolRegistry, tool
from flowbuilder.types import JsonObject


@tool("page.fetch", effects="read", untrusted_output=True)
def page_fetch(url: str) -> str:
    """Fetch the content of a URL as text."""
    return url


PAGE = "https://example.org/news"
REGISTRY = ToolRegistry([*starter_tools(), page_fetch])
OWN_SERVER = Settings(model="openai/local", model_api_base="http://127.0.0.1:1/v1")
HOSTED = Settings(model="openai/big")


def answer(name: str, **args: Any) -> JsonObject:
    return {"tasks": [{"id": "one", "tool": name, "args": args}]}


async def planned(goal: str, model: ScriptedModel, settings: Settings) -> tuple[Plan, list[str]]:
    plan = None
    request = PlanRequest(id="p", goal=goal, registry=REGISTRY)
    async for event in ModelPlanner(settings, model).stream(request):
        plan = event.plan or plan
    assert plan is not None and plan.flow is not None
    return plan, [step.tool for step in plan.flow.steps]


def shown(model: ScriptedModel) -> list[bool]:
    """Return for each call whether a starter tool was in the catalogue."""
    return ["text.stats" in str(messages) for messages in model.requests]


async def test_a_small_model_sees_the_users_tools_first() -> None:
    model = ScriptedModel([answer("page.fetch", url=PAGE)])
    _, tools = await planned(f"What is on {PAGE}?", model, OWN_SERVER)
    assert tools == ["page.fetch"]
    assert shown(model) == [False]


async def test_a_hosted_model_sees_them_all() -> None:
    model = ScriptedModel([answer("page.fetch", url=PAGE)])
    await planned(f"What is on {PAGE}?", model, HOSTED)
    assert shown(model) == [True]


async def test_starter_tools_are_shown_where_the_others_do_nothing() -> None:
    model = ScriptedModel([answer("file.write", path="out.txt", content="hello")])
    _, tools = await planned('Write "hello" to the file out.txt', model, OWN_SERVER)
    assert tools == ["file.write"]
    assert shown(model) == [True]


async def test_all_tools_are_shown_when_no_plan_came_out_of_the_others() -> None:
    refusals: list[Any] = [{"tasks": [{"id": "one", "tool": "none", "args": {}}]}] * 2
    model = ScriptedModel([*refusals, answer("file.write", path="out.txt", content="hello")])
    plan, tools = await planned('out.txt ought to say "hello", as on the page', model, OWN_SERVER)
    assert tools == ["file.write"]
    assert shown(model)[-1] and not shown(model)[0]
    assert plan.usage.calls == len(model.requests)


async def test_a_starter_tool_that_nobody_asked_for_leaves_a_doubt() -> None:
    refusals: list[Any] = [{"tasks": [{"id": "one", "tool": "none", "args": {}}]}] * 2
    select = answer("data.select", records=[{"name": "Baler 2"}], fields=["name"])
    model = ScriptedModel([*refusals, select])
    plan, tools = await planned("Nobody else takes Baler 2, mind", model, OWN_SERVER)
    assert tools == ["data.select"] and not plan.certain
    assert [problem.code for problem in plan.problems] == ["tool_unspoken"]
    assert "No word of the goal asks for data.select." in plan.notes


def test_a_starter_tool_that_does_what_an_own_one_does_is_a_rival() -> None:
    @tool("rows.filter", effects="pure")
    def filter_rows(rows: list[dict[str, Any]], condition: str) -> list[dict[str, Any]]:
        """Keep the rows that a condition holds for."""
        return [row for row in rows if condition]

    @tool("contacts.read", effects="read")
    def read_contact(name: str) -> str:
        """Read a contact."""
        return name

    registry = ToolRegistry([*starter_tools(), filter_rows, read_contact])
    left = without_rivals(PlanRequest(id="p", goal="", registry=registry)).registry
    gone = set(registry.names()) - set(left.names())
    assert "data.filter" in gone and not gone & {"file.read", "json.parse", "contacts.read"}
