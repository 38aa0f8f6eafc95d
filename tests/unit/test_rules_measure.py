"""The rule planner's measured level: it may rise, it may not fall."""

from __future__ import annotations

import pytest

from tests.unit.data.rules_measure import measure

#: Part of the set, goals right by tools and literals at least.
LEVELS = [("tune", 30), ("held", 29), ("fresh", 37), ("plain", 15), ("reworded", 9), ("last", 15)]


@pytest.mark.parametrize(("half", "least"), LEVELS)
def test_goals_are_planned_at_the_measured_level(half: str, least: int) -> None:
    result = measure(half)
    assert result.tools_right >= least
    assert result.literals_right >= least - (half == "last")


@pytest.mark.parametrize("half", [half for half, _ in LEVELS])
def test_no_wrong_plan_is_called_certain(half: str) -> None:
    result = measure(half)
    assert result.certain > 0
    assert result.wrong_but_certain == []
    assert result.invalid == []
