"""Ways of wording a goal that any catalogue may meet, each with tools of its own."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from flowbuilder.errors import NoFittingTool
from flowbuilder.plan import Plan
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.data.rules_measure import plan_goal


@tool(effects="read")
def order_status(order_id: str) -> dict[str, Any]:
    """Get the status of an order."""
    return {"order_id": order_id}


@tool(effects="irreversible")
def refund(order_id: str, amount: float | None = None) -> str:
    """Refund an order."""
    return f"{order_id}{amount}"


@tool(effects="external")
def send_message(recipient: str, text: str) -> str:
    """Send a message to a person."""
    return f"{recipient}{text}"


@tool(effects="write")
def create_ticket(title: str, assignee: str | None = None) -> int:
    """Create a ticket in the tracker."""
    return len(f"{title}{assignee}")


@tool(effects="write")
def close_ticket(number: int) -> bool:
    """Close a ticket in the tracker."""
    return bool(number)


@tool(effects="write")
def add_comment(number: int, comment: str) -> bool:
    """Add a comment to a ticket."""
    return bool(number and comment)


@tool(effects="write")
def add_to_cart(items: list[str]) -> int:
    """Put items into the shopping cart."""
    return len(items)


@tool(effects="write")
def create_branch(name: str, base: str = "main") -> str:
    """Create a git branch."""
    return name + base


@tool(effects="write")
def switch_light(room: str, state: Literal["on", "off"]) -> str:
    """Switch the light of a room on or off."""
    return room + state


@tool(effects="read")
def run_query(sql: str, database: str = "main") -> list[dict[str, Any]]:
    """Run an SQL query against the database."""
    return [{"sql": sql, "database": database}]


DESK = ToolRegistry(
    [order_status, refund, send_message, create_ticket, close_ticket, add_comment, add_to_cart,
     create_branch, switch_light, run_query]
)  # fmt: skip


@tool(effects="read")
def list_commits(repo: str) -> list[dict[str, Any]]:
    """List the latest commits of a repository."""
    return [{"repo": repo}]


@tool
def write_changelog(commits: list[dict[str, Any]]) -> str:
    """Write a changelog from commits."""
    return str(commits)


@tool(effects="read")
def workout_history(days: int = 7) -> list[dict[str, Any]]:
    """Get the workouts of the last days."""
    return [{"days": days}]


@tool
def filter_csv(
    file: str, column: str, op: Literal["eq", "gt", "lt"], value: str
) -> list[dict[str, Any]]:
    """Keep the rows of a CSV file whose column matches a condition."""
    return [{"file": file, "column": column, "op": op, "value": value}]


@tool(effects="read")
def load_csv(path: str) -> list[dict[str, Any]]:
    """Load a CSV file."""
    return [{"path": path}]


@tool
def take(rows: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """Take the first rows."""
    return rows[:n]


@tool(effects="write")
def write_csv(rows: list[dict[str, Any]], path: str) -> str:
    """Write rows to a CSV file."""
    return path * len(rows)


@tool(effects="external")
def send_mail(address: str, subject: str, text: str) -> str:
    """Send a mail."""
    return address + subject + text


@tool(effects="external")
def upload_file(path: str, folder: str) -> str:
    """Upload a file to a folder in the cloud."""
    return path + folder


@tool(effects="write")
def save_file(path: str, content: str) -> str:
    """Save content to a file."""
    return path + content


DATA = ToolRegistry(
    [list_commits, write_changelog, workout_history, filter_csv, load_csv, take, write_csv,
     send_mail, upload_file, save_file]
)  # fmt: skip


def steps(goal: str, tools: ToolRegistry) -> list[tuple[str, dict[str, Any]]]:
    """Plan a goal; return each step's tool with its arguments."""
    return named(plan_goal(goal, tools))


def named(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    assert plan.flow is not None
    return [(step.tool, dict(step.args)) for step in plan.flow.steps]


def test_a_qualifier_that_leads_in_belongs_to_what_follows() -> None:
    assert steps("For order 88123, refund 20 euros.", DESK) == [
        ("refund", {"order_id": "88123", "amount": 20})
    ]


@pytest.mark.parametrize(
    "goal",
    [
        "Tell Peter that the lift is broken.",
        "Let Peter know that the lift is broken.",
        "I'd like you to tell Peter that the lift is broken.",
    ],
)
def test_who_is_told_something_gets_a_message(goal: str) -> None:
    assert steps(goal, DESK) == [
        ("send_message", {"recipient": "Peter", "text": "the lift is broken"})
    ]


@pytest.mark.parametrize(
    ("goal", "tool_name"),
    [
        ("Don't refund order 312, just tell me its status.", "order_status"),
        ("Don't cancel order 312, just show it.", "order_status"),
    ],
)
def test_what_is_not_to_be_done_names_what_is_meant(goal: str, tool_name: str) -> None:
    plan = plan_goal(goal, DESK)
    assert named(plan) == [(tool_name, {"order_id": "312"})]
    assert not plan.certain


def test_a_clause_may_only_add_to_the_step_before() -> None:
    plan = plan_goal('Create a ticket "Door jams" and assign it to Ben.', DESK)
    assert named(plan) == [("create_ticket", {"title": "Door jams", "assignee": "Ben"})]
    assert not plan.certain


def test_what_is_left_unsaid_is_what_the_step_before_was_about() -> None:
    plan = plan_goal('Close ticket 5 and comment "Fixed".', DESK)
    assert named(plan) == [
        ("close_ticket", {"number": 5}),
        ("add_comment", {"comment": "Fixed", "number": 5}),
    ]
    assert not plan.certain


def test_plain_nouns_are_listed_and_named() -> None:
    assert steps("Add milk, brown bread and butter to the cart.", DESK) == [
        ("add_to_cart", {"items": ["milk", "brown bread", "butter"]})
    ]
    ((_, args),) = steps("Create the branch hotfix.", DESK)
    assert args["name"] == "hotfix"


def test_a_particle_tells_on_from_off() -> None:
    assert steps("Turn off the kitchen light.", DESK) == [
        ("switch_light", {"state": "off", "room": "kitchen light"})
    ]


def test_a_statement_is_the_query_whatever_stands_beside_it() -> None:
    assert steps('Query the database for "select 1".', DESK) == [("run_query", {"sql": "select 1"})]


def test_a_word_that_many_tools_share_is_still_plain() -> None:
    assert [name for name, _ in steps("Show order 4417.", DESK)] == ["order_status"]


def test_what_gives_the_content_is_supplied() -> None:
    plan = plan_goal("Write a changelog for acme/api.", DATA)
    assert [name for name, _ in named(plan)] == ["list_commits", "write_changelog"]
    assert not plan.certain


def test_an_object_that_a_tool_is_named_for_comes_first() -> None:
    found = steps("Mail my workout history to coach@example.com.", DATA)
    assert [name for name, _ in found] == ["workout_history", "send_mail"]
    assert "steps.workout_history" in found[1][1]["text"]


def test_a_comparison_fills_the_parameters_of_a_tool_that_reads_by_itself() -> None:
    assert steps("Keep the rows of a.csv where total is greater than 500.", DATA) == [
        ("filter_csv", {"file": "a.csv", "column": "total", "op": "gt", "value": "500"})
    ]


def test_a_limit_needs_no_verb_of_its_own() -> None:
    found = steps("Write the first 5 rows of people.csv to head.csv.", DATA)
    assert [name for name, _ in found] == ["load_csv", "take", "write_csv"]
    assert found[1][1]["n"] == 5


def test_it_is_the_file_that_was_written() -> None:
    found = steps('Save "Hello" to note.txt, then upload it to the folder Private.', DATA)
    assert found[1] == ("upload_file", {"path": "note.txt", "folder": "Private"})


def test_a_word_of_the_goal_is_never_taken_for_a_result() -> None:
    plan = plan_goal("Mail the total amount of orders.csv to a@example.com.", DATA)
    assert not plan.certain


@pytest.mark.parametrize(
    "goal",
    ["Delete the branch hotfix.", "Paint the kitchen.", "Reopen ticket 12.", "Call the supplier."],
)
def test_another_thing_to_do_is_refused(goal: str) -> None:
    with pytest.raises(NoFittingTool):
        plan_goal(goal, DESK)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("wake me at half past six", Kind.TIME, "half past six"),
        ("come at seven o'clock", Kind.TIME, "seven o'clock"),
        ("the report of last week", Kind.DATE, "last week"),
        ("the payroll for May", Kind.DATE, "May"),
        ("look up 10.1038/s41586-020-2649-2", Kind.IDENTIFIER, "10.1038/s41586-020-2649-2"),
        ("ping 192.168.0.12 now", Kind.IDENTIFIER, "192.168.0.12"),
    ],
)
def test_moments_and_identifiers_in_words(text: str, kind: Kind, value: str) -> None:
    assert [(item.kind, item.value) for item in find_literals(text)] == [(kind, value)]
