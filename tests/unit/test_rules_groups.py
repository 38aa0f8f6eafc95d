"""Groups that are measured, and columns that groups do not have."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.plan import Plan
from tests.support.toolbox import call
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")
ROWS: list[dict[str, Any]] = [
    {"region": "n", "month": 1, "amount": 2},
    {"region": "s", "month": 1, "amount": 3},
    {"region": "n", "month": 2, "amount": 5},
]


def steps(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    assert plan.flow is not None
    return [(step.tool, dict(step.args)) for step in plan.flow.steps]


@pytest.mark.parametrize(
    ("goal", "records"),
    [
        ("Group sales.csv by region and sum the amount",
         [{"region": "n", "sum_amount": 7}, {"region": "s", "sum_amount": 3}]),
        ("Read sales.csv, group it by month, and compute the average amount",
         [{"month": 1, "average_amount": 2.5}, {"month": 2, "average_amount": 5}]),
        ("Group sales.csv by region and count the rows in each group",
         [{"region": "n", "count": 2}, {"region": "s", "count": 1}]),
        ("Group sales.csv by region and count them",
         [{"region": "n", "count": 2}, {"region": "s", "count": 1}]),
        ("Group sales.csv by month and by region, then sum the amount",
         [{"month": 1, "region": "n", "sum_amount": 2},
          {"month": 1, "region": "s", "sum_amount": 3},
          {"month": 2, "region": "n", "sum_amount": 5}]),
    ],
)  # fmt: skip
def test_groups_that_are_measured_are_one_step(goal: str, records: list[dict[str, Any]]) -> None:
    plan = plan_goal(goal, STARTER)
    assert plan.certain
    tools = steps(plan)
    assert [name for name, _ in tools] == ["file.read", "csv.parse", "data.aggregate"]
    args = {**tools[-1][1], "records": ROWS}
    assert call(STARTER.require("data.aggregate"), args)["records"] == records


def test_groups_that_are_spoken_of_later_are_made() -> None:
    goal = "Group sales.csv by region, sum the amount and write each group to x.csv"
    assert "data.group" in [name for name, _ in steps(plan_goal(goal, STARTER))]


@pytest.mark.parametrize(
    "goal",
    [
        "Group sales.csv by region and keep the rows where amount > 5",
        "Group sales.csv by region and sort it by amount",
    ],
)
def test_columns_that_groups_do_not_have_are_doubted(goal: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert any("takes groups, which have no “amount”" in note for note in plan.notes)
    assert not plan.certain


@pytest.mark.parametrize(
    ("words", "fields"),
    [("columns a and b", ["a", "b"]), ("the columns a, b and c", ["a", "b", "c"])],
)
def test_a_column_may_be_called_a(words: str, fields: list[str]) -> None:
    plan = plan_goal(f"Read t.csv and keep only {words}", STARTER)
    assert steps(plan)[-1][1]["fields"] == fields
    assert plan.certain


def test_an_approval_with_a_condition_is_doubted() -> None:
    goal = "Read a.csv; if it has more than 100 rows, ask me for approval, then post it to "
    plan = plan_goal(f"{goal}https://h.example/x", STARTER)
    assert any("has a condition, and is asked in any case" in note for note in plan.notes)
    assert not plan.certain


def test_of_two_tables_that_are_read_none_is_passed_over() -> None:
    goal = "Read a.csv and b.csv, keep the rows of a.csv where x > 3, then join them on id"
    plan = plan_goal(goal, STARTER)
    assert any("nothing takes what read gives" in note for note in plan.notes)
    assert not plan.certain


@pytest.mark.parametrize(
    ("goal", "by"),
    [
        ("Sort people.csv by age, then by name", ["age", "name"]),
        ("Sort people.csv by city and then by age and write it to b.csv", ["city", "age"]),
    ],
)
def test_a_further_column_is_sorted_by_as_well(goal: str, by: list[str]) -> None:
    plan = plan_goal(goal, STARTER)
    sorting = dict(steps(plan))["data.sort"]
    assert (sorting["by"], sorting.get("descending")) == (by, None)
    assert "data.group" not in dict(steps(plan))
    assert plan.certain


def test_a_direction_beside_one_of_several_columns_is_doubted() -> None:
    plan = plan_goal("Sort people.csv by age descending, then by name", STARTER)
    assert any("may be about one of the columns" in note for note in plan.notes)
    assert not plan.certain


def test_a_tool_that_the_verb_names_goes_before_one_that_writes() -> None:
    plan = plan_goal("Filter a.csv to rows where name starts with A or B", STARTER)
    assert [name for name, _ in steps(plan)] == ["file.read", "csv.parse", "data.filter"]
    assert not plan.certain


def test_the_row_of_a_file_with_an_extreme_is_that_row() -> None:
    plan = plan_goal("Give me the row of a.csv with the lowest price", STARTER)
    name, args = steps(plan)[-1]
    assert (name, args["by"], args["limit"]) == ("data.sort", "price", 1)
    assert plan.certain


def test_rows_with_an_extreme_are_doubted() -> None:
    plan = plan_goal("Show the rows of a.csv with the lowest price", STARTER)
    assert any("speaks of some of them" in note for note in plan.notes)
    assert not plan.certain


@pytest.mark.parametrize("words", ["distinct customers", "the different customers"])
def test_different_values_are_counted_and_not_rows_as_well(words: str) -> None:
    compute = steps(plan_goal(f"Count {words} in orders.csv", STARTER))[-1][1]["compute"]
    assert [measure["fn"] for measure in compute.values()] == ["distinct"]
