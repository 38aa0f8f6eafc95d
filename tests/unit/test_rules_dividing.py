"""Which clauses of a text are one order, and which are two."""

from __future__ import annotations

import pytest

from flowbuilder.planner.rules.dividing import orders
from flowbuilder.planner.rules.matching import ToolIndex
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.data.rules_measure import registry

STARTER = ToolIndex(registry("starter"))


def texts(text: str, index: ToolIndex = STARTER) -> list[str]:
    return [" ".join(clause.text.split()) for clause in orders(text, index)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Download https://h.example/a to b.csv, then sort it by age, then by name",
         ["Download https://h.example/a", "save it to b.csv", "sort it by age by name"]),
        ("Group a.csv by city, count the rows and save it",
         ["Group a.csv by city; count the rows", "save it"]),
        ("Group a.csv by city, count the rows and mail each group",
         ["Group a.csv by city", "count the rows", "mail each group"]),
        ("Sort a.csv by age and group it by city", ["Sort a.csv by age", "group it by city"]),
        ("Get https://h.example/a and save it to b.csv",
         ["Get https://h.example/a", "save it to b.csv"]),
    ],
)  # fmt: skip
def test_orders_are_what_the_tools_can_carry_out(text: str, wanted: list[str]) -> None:
    assert texts(text) == wanted


@tool(effects="write")
def download(url: str, path: str) -> int:
    """Download a page to a file."""
    return len(url + path)


def test_what_one_tool_does_alone_is_one_order() -> None:
    text = "Download https://h.example/a to b.csv"
    assert texts(text, ToolIndex(ToolRegistry([download]))) == [text]


def test_groups_stay_where_no_tool_measures_by_a_column() -> None:
    text = "Group a.csv by city, count the rows and save it"
    assert len(texts(text, ToolIndex(ToolRegistry([download])))) == 3
