"""A column compared with another: the one is no text for the other to be compared with."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.plan import Plan
from tests.support.toolbox import call
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")
TABLE = "name,price,cost\na,9,10\nb,100,20\nc,3.5,4\n"


def where(plan: Plan) -> Any:
    assert plan.flow is not None
    return next(step.args["where"] for step in plan.flow.steps if step.tool == "data.filter")


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        ("keep the rows where price is less than cost", "item.price < item.cost"),
        ("keep rows with price over cost", "item.price > item.cost"),
        ("keep the rows where unit_price > unit_cost", "item.unit_price > item.unit_cost"),
        ("remove the rows where price is less than cost", "item.price >= item.cost"),
        ("keep rows with price over cost and stock above 3", "item.price > item.cost && "
         "item.stock > 3"),
    ],
)  # fmt: skip
def test_what_may_be_a_column_is_one_and_not_certain(words: str, condition: str) -> None:
    plan = plan_goal(f"Read p.csv, {words}, save as q.csv", STARTER)
    assert where(plan) == condition
    assert not plan.certain
    assert any("was taken as a column" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        ("select the columns price and cost, keep the rows where price is less than cost",
         "item.price < item.cost"),
        ("select the columns price and cost, keep the rows where price equals the cost",
         "item.price == item.cost"),
        ("keep the rows where price is less than the column cost", "item.price < item.cost"),
    ],
)  # fmt: skip
def test_a_column_that_is_known_is_certain(words: str, condition: str) -> None:
    plan = plan_goal(f"Read p.csv, {words}, save as q.csv", STARTER)
    assert where(plan) == condition
    assert plan.certain


def test_columns_of_the_input_are_known() -> None:
    goal = "Keep the records where price is less than cost and save them as q.json"
    row = {"type": "object", "properties": {"price": {"type": "number"}, "cost": {}}}
    schema: dict[str, Any] = {"type": "object", "properties": {"records": {"items": row}}}
    by_schema = plan_goal(goal, STARTER, input_schema=schema)
    by_value = plan_goal(goal, STARTER, input={"records": [{"price": 1, "cost": 2}]})
    assert where(by_schema) == where(by_value) == "item.price < item.cost"
    assert by_schema.certain and by_value.certain
    assert not plan_goal(goal, STARTER, input={"records": [{"price": 1, "fee": 2}]}).certain


def test_a_quoted_word_may_be_either_and_a_value_stays_one() -> None:
    plan = plan_goal(
        'Read p.csv, keep the rows where "price" is less than "cost", save as q.csv', STARTER
    )
    assert not plan.certain
    assert any("may be another column" in note for note in plan.notes)
    plan = plan_goal("Read p.csv, keep the rows where status equals open", STARTER)
    assert where(plan) == {"status": {"eq": "open"}} and plan.certain
    plan = plan_goal("Read p.csv, keep the rows where date is before today", STARTER)
    assert not plan.certain


def test_the_condition_finds_the_rows() -> None:
    plan = plan_goal("Read p.csv, keep the rows where price is less than cost", STARTER)
    parsed = call(STARTER.require("csv.parse"), {"text": TABLE})
    kept = call(
        STARTER.require("data.filter"), {"records": parsed["records"], "where": where(plan)}
    )
    assert [row["name"] for row in kept["records"]] == ["a", "c"]
