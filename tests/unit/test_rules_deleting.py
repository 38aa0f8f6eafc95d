"""A file that is to be deleted is no address: what cannot be done is refused."""

from __future__ import annotations

import pytest

from flowbuilder.errors import NoFittingTool
from flowbuilder.plan import PlanStatus
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")


@tool(effects="irreversible")
def delete_file(path: str) -> str:
    """Delete a file."""
    return path


@pytest.mark.parametrize(
    ("goal", "part"),
    [
        ("Delete the file x.txt", "Delete the file x.txt"),
        ("Remove the file x.txt", "Remove the file x.txt"),
        ("Fetch https://example.org/x.json and delete the file x.txt", "delete the file x.txt"),
        ("Fetch https://example.org/x.json and delete the file", "delete the file"),
        ("Read x.txt, save it as out/y.txt and delete x.txt", "delete x.txt"),
    ],
)
def test_no_file_is_deleted_by_a_request(goal: str, part: str) -> None:
    with pytest.raises(NoFittingTool, match=f"“{part}”"):
        plan_goal(goal, STARTER)


@pytest.mark.parametrize(
    "goal",
    [
        "Delete https://example.org/items/7",
        "Send a DELETE request to https://example.org/items/7",
        "Delete the file https://example.org/items/7",
    ],
)
def test_what_has_an_address_of_its_own_is_deleted_there(goal: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert plan.certain and plan.flow is not None
    assert [dict(step.args) for step in plan.flow.steps] == [
        {"url": "https://example.org/items/7", "method": "DELETE"}
    ]


@pytest.mark.parametrize(
    "goal",
    [
        "Fetch https://example.org/x and delete it",
        "Get https://example.org/x.json and delete that",
        "Download https://example.org/x and delete the page",
        "Fetch https://example.org/x, save it as a.txt and delete it",
    ],
)
def test_what_was_fetched_is_not_deleted_at_its_address_unasked(goal: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert plan.status is PlanStatus.NEEDS_ANSWERS and not plan.certain
    assert [question.id for question in plan.questions] == ["request.url"]
    assert plan.flow is not None
    assert dict(plan.flow.steps[-1].args) == {"method": "DELETE"}
    assert plan.flow.steps[-1].depends_on == [plan.flow.steps[-2].id]


def test_what_is_said_to_stand_there_is_deleted_there() -> None:
    plan = plan_goal("Fetch https://example.org/x and send a DELETE request to it", STARTER)
    assert plan.certain and plan.flow is not None
    assert dict(plan.flow.steps[-1].args) == {"method": "DELETE", "url": "${{ steps.get.url }}"}


def test_a_tool_that_deletes_files_is_taken() -> None:
    tools = ToolRegistry()
    for one in (*load_registry(Settings()), delete_file):
        tools.add(one)
    plan = plan_goal("Delete the file x.txt", tools)
    assert plan.flow is not None
    assert [(step.tool, dict(step.args)) for step in plan.flow.steps] == [
        ("delete_file", {"path": "x.txt"})
    ]


def test_rows_are_still_removed() -> None:
    plan = plan_goal("Read p.csv, remove the rows where sex is empty, save as q.csv", STARTER)
    assert plan.certain and plan.flow is not None
    assert plan.flow.steps[2].tool == "data.filter"
