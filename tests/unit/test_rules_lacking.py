"""A comparison that says no value is asked about."""

from __future__ import annotations

import pytest

from flowbuilder.plan import PlanStatus
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")


@pytest.mark.parametrize(
    "words",
    [
        "Read p.csv, keep the rows where body_mass_g is above, and save them as out/h.csv",
        "Read p.csv, keep the rows where body_mass_g is above the limit and save them as out/h.csv",
        "Read p.csv, keep the rows with body_mass_g above the limit and save them as out/h.csv",
        "Read p.csv, remove the rows where price is less than the average",
        "Read p.csv, keep the rows with price over 10 and stock under, save as q.csv",
        "Read p.csv, keep rows with price over 10 or stock under the limit",
        "Read p.csv, keep rows where price is over 10 and stock is below and save them as q.csv",
        "Read p.csv, keep the rows with price over 10 and stock at least, save as q.csv",
        "Read p.csv, keep rows where price is over 10 and name contains",
        "Read p.csv, keep rows where name contains and price is over 10",
        "Read p.csv, keep rows where price is over 10 and status equals, save as q.csv",
        "Read p.csv, remove rows with price over 10 and stock <",
    ],
)
def test_a_comparison_without_a_value_is_asked_about(words: str) -> None:
    plan = plan_goal(words, STARTER)
    assert plan.status is PlanStatus.NEEDS_ANSWERS and not plan.certain
    assert "filter.where" in [question.id for question in plan.questions]
    assert plan.flow is not None
    assert all("where" not in dict(step.args) for step in plan.flow.steps)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("price is above the 100", {"price": {"gt": 100}}),
        ("price is between 3 and 5", {"price": {"gte": 3, "lte": 5}}),
        ("price is at least 3", {"price": {"gte": 3}}),
        ("price is greater than or equal to 3", {"price": {"gte": 3}}),
        ("price is over 3 and stock is under 5", {"price": {"gt": 3}, "stock": {"lt": 5}}),
        ("name contains x and stock is under 5", {"name": {"contains": "x"}, "stock": {"lt": 5}}),
    ],
)
def test_a_comparison_with_a_value_is_none_of_these(words: str, where: object) -> None:
    plan = plan_goal(f"Read p.csv, keep the rows where {words} and save them as q.csv", STARTER)
    assert plan.certain and plan.flow is not None
    assert dict(plan.flow.steps[2].args)["where"] == where
