"""Goals that the rules had not seen when they were written down: how many are planned rightly."""

from __future__ import annotations

import pytest

from tests.unit.data.rules_blind import verdicts

#: Set of everyday goals, how many it has, and how many of them are planned rightly at least.
PLAIN = [("plain1", 45, 44), ("plain2", 45, 45), ("plain3", 45, 44), ("plain4", 30, 25)]
HARD = ["hard1", "hard2", "hard3", "hard4"]


@pytest.mark.parametrize(("name", "goals", "least"), PLAIN)
def test_everyday_goals_are_planned_by_tools_and_literals(
    name: str, goals: int, least: int
) -> None:
    counts, false = verdicts(name)
    assert counts.total() - counts["certain"] == goals
    assert counts["right"] >= least
    assert counts["certain"] >= 0.65 * goals
    assert false == []


@pytest.mark.parametrize("name", HARD)
def test_what_the_tools_do_not_serve_is_refused_or_uncertain(name: str) -> None:
    counts, false = verdicts(name)
    assert counts["refused"] >= 13
    assert false == []
