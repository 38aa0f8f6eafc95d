"""Comparisons that are joined by "and" and "or": which rows stay, and what is doubted."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from flowbuilder.plan import PlanStatus
from tests.support.toolbox import call
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")
ROWS: list[dict[str, Any]] = [
    {"city": city, "country": country, "price": price}
    for city, country, price in product(("Rome", "Oslo", "Bonn"), ("IT", "NO", "DE"), (2, 10, 20))
]


@pytest.mark.parametrize(
    ("words", "stays"),
    [
        ("keep the rows where city is Rome or city is Oslo",
         lambda row: row["city"] in ("Rome", "Oslo")),
        ("keep the rows where country is DE or country is IT or country is FR",
         lambda row: row["country"] in ("DE", "IT")),
        ("remove the rows where city is Rome or city is Oslo",
         lambda row: row["city"] not in ("Rome", "Oslo")),
        ("keep the rows where city is not Rome and city is not Oslo",
         lambda row: row["city"] not in ("Rome", "Oslo")),
        ("keep the rows where country is DE or IT and price is above 10",
         lambda row: row["country"] in ("DE", "IT") and row["price"] > 10),
        ("keep the rows where country is DE and city is Bonn or Oslo",
         lambda row: row["country"] == "DE" and row["city"] in ("Bonn", "Oslo")),
        ("remove the rows where country is DE or IT and price is above 10",
         lambda row: not (row["country"] in ("DE", "IT") and row["price"] > 10)),
        ("keep the rows where country is DE, city is Rome or price is 20 or more",
         lambda row: row["country"] == "DE" or row["city"] == "Rome" or row["price"] >= 20),
        ("keep the rows where price is under 5 or price is over 15",
         lambda row: not 5 <= row["price"] <= 15),
    ],
)  # fmt: skip
def test_the_rows_that_are_meant_stay(words: str, stays: Any) -> None:
    plan = plan_goal(f"Read p.csv, {words}, save as q.csv", STARTER)
    assert plan.certain and plan.flow is not None
    step = next(step for step in plan.flow.steps if step.tool == "data.filter")
    kept = call(STARTER.require("data.filter"), {**step.args, "records": ROWS})["records"]
    assert kept == [row for row in ROWS if stays(row)]


@pytest.mark.parametrize(
    "words",
    [
        "country is DE or city is Rome and price is above 10",
        "price is above 10 and country is DE or city is Rome",
        "price is between 5 and 15 or city is Rome",
    ],
)
def test_which_of_and_and_or_binds_first_is_doubted(words: str) -> None:
    plan = plan_goal(f"Read p.csv, keep the rows where {words}, save as q.csv", STARTER)
    assert not plan.certain
    assert any("“and” stands beside “or”" in note for note in plan.notes)


def test_what_is_said_twice_of_a_column_is_not_lost() -> None:
    words = "keep the rows where city contains o or city contains e"
    plan = plan_goal(f"Read p.csv, {words}, save as q.csv", STARTER)
    assert plan.status is PlanStatus.NEEDS_ANSWERS and not plan.certain
