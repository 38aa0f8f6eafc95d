"""How often what fails is tried, as goals word it."""

from __future__ import annotations

import pytest

from flowbuilder.plan import Plan
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")
GET = "Get https://h.example.com/y"


def attempts(plan: Plan) -> list[tuple[str, int | None]]:
    """Return the tools of a plan with the attempts that its steps state."""
    assert plan.flow is not None
    return [
        (step.tool, step.retry.max_attempts if "retry" in step.model_fields_set else None)
        for step in plan.flow.steps
    ]


@pytest.mark.parametrize(
    ("goal", "wanted"),
    [
        (f"{GET} and retry up to 5 times", [("http.get", 6)]),
        (f"{GET}, retrying at most 4 times", [("http.get", 5)]),
        (f"{GET} with 3 retries", [("http.get", 4)]),
        (f"{GET} and retry once", [("http.get", 2)]),
        (f"{GET} and if it fails try again twice", [("http.get", 3)]),
        (f"{GET} and try it again up to three times if it fails", [("http.get", 4)]),
        (f"Try up to 3 times to {GET.lower()}", [("http.get", 3)]),
        (f"With at most 3 attempts, {GET.lower()}", [("http.get", 3)]),
        (f"{GET} with up to 4 tries, then save it to y.txt",
         [("http.get", 4), ("file.write", None)]),
        (f"{GET}. Retry it up to three times. Save it to y.txt",
         [("http.get", 4), ("file.write", None)]),
        (f"{GET}. If it fails, retry twice. Save it to y.txt",
         [("http.get", 3), ("file.write", None)]),
        (f"{GET}/a.json, then POST it to https://h.example.com/z and retry 5 times on errors",
         [("http.get", None), ("http.request", 6)]),
    ],
)  # fmt: skip
def test_retries_that_a_goal_asks_for_are_the_policy_of_its_step(
    goal: str, wanted: list[tuple[str, int | None]]
) -> None:
    plan = plan_goal(goal, STARTER)
    assert attempts(plan) == wanted
    assert plan.certain


def test_what_is_loaded_for_a_step_is_tried_as_often() -> None:
    plan = plan_goal(f"Count the rows of {GET[4:]}.csv with 3 retries", STARTER)
    assert attempts(plan)[0] == ("http.get", 4)


@tool(effects="external")
def push(host: str, retries: int = 0) -> str:
    """Push the image to a host."""
    return f"{host}{retries}"


@tool(effects="external")
def deploy(host: str, max_attempts: int) -> str:
    """Deploy the service to a host."""
    return f"{host}{max_attempts}"


@pytest.mark.parametrize(
    ("goal", "args"),
    [
        ('Push the image to the host "web-1" with 3 retries', {"host": "web-1", "retries": 3}),
        ('Deploy to the host "web-1" and retry twice', {"host": "web-1", "max_attempts": 3}),
    ],
)
def test_a_tool_that_counts_its_attempts_is_told(goal: str, args: dict[str, object]) -> None:
    plan = plan_goal(goal, ToolRegistry([push, deploy]))
    assert [number for _, number in attempts(plan)] == [None]
    assert plan.flow is not None
    assert plan.flow.steps[0].args == args


@pytest.mark.parametrize(
    "goal",
    [
        f"{GET} and retry every 5 minutes up to 3 times",
        f"{GET} and retry",
        f"{GET} and show it to me, retry twice",
        "Read a.csv and keep the rows where price is at least 3 times cost",
    ],
)
def test_what_is_said_of_repeats_and_not_read_is_doubted(goal: str) -> None:
    assert not plan_goal(goal, STARTER).certain


def test_no_rows_are_compared_with_how_often() -> None:
    plan = plan_goal("Read a.csv and write the rows to b.csv and run at most 3 times", STARTER)
    assert not plan.certain


@pytest.mark.parametrize(
    "goal", ["Sum the price in a.csv and b.csv", "Count the rows of a.csv, b.csv and c.csv"]
)
def test_a_table_that_nothing_takes_is_doubted(goal: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert any("nothing takes what parse makes of “a.csv”" in note for note in plan.notes)
    assert not plan.certain


def test_each_record_is_posted_as_a_record() -> None:
    plan = plan_goal("For each row of a.csv, POST it to https://h.example.com/y", STARTER)
    assert plan.flow is not None
    assert plan.flow.steps[-1].args["json"] == "${{ item }}"
