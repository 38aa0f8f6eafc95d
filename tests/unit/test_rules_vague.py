"""Words behind "is" that are no value as they stand, and who is named to approve."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("price is zero", {"price": {"eq": 0}}),
        ("price is not zero", {"price": {"ne": 0}}),
        ("price is negative", {"price": {"lt": 0}}),
        ("balance is positive", {"balance": {"gt": 0}}),
        ("balance is not negative", {"balance": {"gte": 0}}),
        ("mood is positive", {"mood": {"eq": "positive"}}),
    ],
)
def test_what_a_word_for_a_number_means(words: str, where: dict[str, Any]) -> None:
    plan = plan_goal(f"Read a.csv, keep the rows where {words}, save as b.csv", STARTER)
    assert plan.certain and plan.flow is not None
    step = next(step for step in plan.flow.steps if step.tool == "data.filter")
    assert step.args["where"] == where


@pytest.mark.parametrize(
    "words",
    [
        "price is a number",
        "price is above 10 but cost is not",
        "price is above 10 and so is cost",
        "name is the same as city",
        "outcome is positive",
    ],
)
def test_what_is_no_value_is_doubted(words: str) -> None:
    plan = plan_goal(f"Read a.csv, keep the rows where {words}, save as b.csv", STARTER)
    assert not plan.certain


@pytest.mark.parametrize(
    ("asked", "who"),
    [
        ("Ask bob@example.org to approve", "bob@example.org"),
        ("Get approval from role:finance", "role:finance"),
        ("Ask the finance team to approve", "the finance team"),
    ],
)
def test_who_is_named_to_approve_is_not_dropped_without_a_word(asked: str, who: str) -> None:
    plan = plan_goal(f"{asked}, then POST a.json to https://example.org/x", STARTER)
    assert not plan.certain
    assert f"“{who}” is to approve; whoever may approve here can, too." in plan.notes
