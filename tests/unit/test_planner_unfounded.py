"""What a small model made up where the goal has nothing of the kind is taken out."""

from __future__ import annotations

from typing import Any

from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.demonstration import EXAMPLE_TEXT
from flowbuilder.planner.unfounded import bypass, drop_conditions, drop_examples
from flowbuilder.tools import ToolRegistry, tool
from tests.support.drafts import document, fetch_page, open_file, tools


@tool("field.take", effects="read")
def take_field(data: str, path: str) -> list[dict[str, Any]]:
    """Take a field out of a JSON document by its dotted path."""
    return [{data: path}]


@tool("rows.filter", effects="pure")
def filter_rows(rows: list[dict[str, Any]], condition: str) -> list[dict[str, Any]]:
    """Keep the rows that a condition holds for."""
    return [row for row in rows if condition]


@tool("mail.send", effects="external")
def send_mail(to: str, rows: list[dict[str, Any]], subject: str = "") -> bool:
    """Send a mail."""
    return bool(to and rows and subject)


REGISTRY = ToolRegistry([fetch_page, open_file, take_field, filter_rows, send_mail])


def test_a_condition_that_cannot_stand_goes_where_the_goal_has_none() -> None:
    bare, asked = "Get one.txt to kim@example.org.", "${{ ask: Is there any? }}"
    for goal, condition, kept in (
        (bare, asked, False),
        (bare, "size(steps.a) > 3", True),
        ("Get one.txt to kim@example.org if it has more than 3 lines.", asked, True),
        ("Unless one.txt is empty, get it to kim@example.org.", asked, True),
    ):
        made = document(
            ("a", "file.open", {"path": "one.txt"}),
            ("b", "mail.send", {"to": "kim@example.org", "rows": []}),
        )
        made["steps"][1]["when"] = condition
        request = PlanRequest(id="p", goal=goal, registry=REGISTRY)
        assert bool(drop_conditions(made, request)) is not kept
        assert ("when" in made["steps"][1]) is kept


def test_the_text_of_an_example_is_dropped_unless_the_goal_says_it() -> None:
    given = {"to": "kim@example.org", "rows": [], "subject": EXAMPLE_TEXT}
    made = document(("a", "mail.send", dict(given)))
    assert len(drop_examples(made, REGISTRY, "Mail the rows to kim@example.org.")) == 1
    assert made["steps"][0]["args"] == {"to": "kim@example.org", "rows": []}
    said = document(("a", "mail.send", dict(given)))
    assert drop_examples(said, REGISTRY, 'Mail kim@example.org the rows: "all is well".') == []
    assert said["steps"][0]["args"] == given


CHAIN = (
    ("a", "page.fetch", {"url": "https://example.org/shop"}),
    ("b", "field.take", {"data": "${{ steps.a }}", "path": "products"}),
    ("c", "rows.filter", {"rows": "${{ steps.b }}", "condition": "price < 20"}),
)


def test_a_step_that_cannot_take_what_it_is_given_is_passed_by() -> None:
    made = document(
        *CHAIN,
        ("d", "field.take", {"data": "${{ steps.c }}", "path": "products"}),
        ("e", "mail.send", {"to": "kim@example.org", "rows": "${{ steps.d }}"}),
    )
    goal = "Of the products at https://example.org/shop mail kim@example.org those with price < 20."
    request = PlanRequest(id="p", goal=goal, registry=REGISTRY)
    assert len(bypass(made, request)) == 1
    assert tools(made) == ["page.fetch", "field.take", "rows.filter", "mail.send"]
    assert made["steps"][3]["args"]["rows"] == "${{ steps.c }}"
    assert bypass(made, request) == []


def test_a_wanted_step_is_not_passed_by() -> None:
    made = document(
        ("a", "page.fetch", {"url": "https://example.org/shop"}),
        ("c", "rows.filter", {"rows": "${{ steps.a }}", "condition": "price < 20"}),
    )
    goal = "Keep the rows of https://example.org/shop with price < 20."
    assert bypass(made, PlanRequest(id="p", goal=goal, registry=REGISTRY)) == []
    assert tools(made) == ["page.fetch", "rows.filter"]
