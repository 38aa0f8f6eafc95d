"""Goals that the rules had not seen when they were written down: how many are planned rightly."""

from __future__ import annotations

import pytest

from tests.unit.data.rules_blind import verdicts

#: Set of everyday goals, how many it has, and how many of them are planned rightly at least.
PLAIN = [("plain1", 45, 44), ("plain2", 45, 45), ("plain3", 45, 44), ("plain4", 30, 25)]
#: Catalogues that were written to find what the rules miss, and how many of 15 goals at least get
#: the right tools in the right order.
TOOLS = [
    ("utilities", 14), ("secretary", 15), ("store", 15), ("forge", 14), ("tables", 15),
    ("assistant", 15), ("cloud", 14), ("library", 15), ("documents", 15), ("reviews", 15),
    ("content", 15), ("events", 15), ("telecom", 14), ("sports", 14),
    ("backoffice", 14), ("builds", 14),
    ("desk", 15), ("helpdesk", 15), ("household", 15), ("operations", 15),
    ("reading_room", 15), ("farm", 15), ("web_files", 15), ("rows_images", 15),
]  # fmt: skip
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


@pytest.mark.parametrize(("name", "least"), TOOLS)
def test_everyday_goals_get_the_right_tools(name: str, least: int) -> None:
    counts, false = verdicts(name)
    assert counts["right"] + counts["wrong"] + counts["refused"] == 15
    assert counts["right"] >= least
    assert false == []


def test_what_no_tool_does_is_mostly_refused_and_never_certain() -> None:
    counts, false = verdicts("nothing-fits")
    assert counts["refused"] >= 0.9 * (counts["refused"] + counts["wrong"])
    assert false == []


@pytest.mark.parametrize("name", HARD)
def test_what_the_tools_do_not_serve_is_refused_or_uncertain(name: str) -> None:
    counts, false = verdicts(name)
    assert counts["refused"] >= 13
    assert false == []
