"""Rows that are to go: those stay for which one of the things said does not hold."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.plan import PlanStatus
from tests.support.toolbox import call
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")
ROWS: list[dict[str, Any]] = [
    {"price": price, "stock": stock} for price in (1, 3, 5, 20) for stock in (1, 5, 50)
]


@pytest.mark.parametrize(
    ("words", "goes"),
    [
        ("remove the rows with price over 3 and stock under 5",
         lambda row: row["price"] > 3 and row["stock"] < 5),
        ("remove the rows where price is over 3 or stock is under 5",
         lambda row: row["price"] > 3 or row["stock"] < 5),
        ("remove the rows where price is between 3 and 5", lambda row: 3 <= row["price"] <= 5),
        ("remove the rows where price is over 3", lambda row: row["price"] > 3),
        ("keep the rows where price is greater than or equal to 3 and stock is under 5",
         lambda row: not (row["price"] >= 3 and row["stock"] < 5)),
        ("keep the rows where price is over 3 or stock is under 5",
         lambda row: not (row["price"] > 3 or row["stock"] < 5)),
        ("remove the rows where price is less than the column stock and stock is over 5",
         lambda row: row["price"] < row["stock"] and row["stock"] > 5),
        ("keep all rows except those where price is less than 5", lambda row: row["price"] < 5),
        ("keep everything except rows where price is above 3", lambda row: row["price"] > 3),
        ("keep all rows except the ones where price is 3", lambda row: row["price"] == 3),
        ("keep all but the rows where price is above 3 and stock is under 5",
         lambda row: row["price"] > 3 and row["stock"] < 5),
        ("keep all rows except those with price under 5", lambda row: row["price"] < 5),
        ("remove all rows except those where price is under 5", lambda row: row["price"] >= 5),
        ("filter out the rows where price is under 5", lambda row: row["price"] < 5),
    ],
)  # fmt: skip
def test_the_rows_that_are_meant_stay(words: str, goes: Any) -> None:
    plan = plan_goal(f"Read p.csv, {words}, save as q.csv", STARTER)
    assert plan.certain and plan.flow is not None
    step = next(step for step in plan.flow.steps if step.tool == "data.filter")
    kept = call(STARTER.require("data.filter"), {**step.args, "records": ROWS})["records"]
    assert kept == [row for row in ROWS if not goes(row)]


@pytest.mark.parametrize("words", ["name contains x", "name starts with x and price is over 3"])
def test_what_no_operator_turns_round_is_asked_about(words: str) -> None:
    plan = plan_goal(f"Read p.csv, remove the rows where {words}, save as q.csv", STARTER)
    assert plan.status is PlanStatus.NEEDS_ANSWERS and not plan.certain
    assert [question.id for question in plan.questions] == ["filter.where"]


@pytest.mark.parametrize(
    "words",
    [
        "keep the rows where price is over 3 except those where stock is under 5",
        "remove the rows where price is over 3 except those where stock is under 5",
    ],
)
def test_an_exception_from_what_is_picked_already_is_doubted(words: str) -> None:
    plan = plan_goal(f"Read p.csv, {words}, save as q.csv", STARTER)
    assert not plan.certain
    assert any("“except” takes back" in note for note in plan.notes)


def test_a_word_that_joins_is_no_column() -> None:
    words = "keep the rows where price is above 3 but not above 5"
    assert not plan_goal(f"Read p.csv, {words}, save as q.csv", STARTER).certain
