"""A plan is held to more words of its goal: signs, comparisons, named values, sole tools."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Question
from flowbuilder.planner.addresses import trim_addresses
from flowbuilder.planner.aimless import leave_out_aimless
from flowbuilder.planner.asking import answer_by_goal, tell_found
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.carriers import sole_taker
from flowbuilder.planner.comparisons import (
    Comparison,
    comparisons,
    lost_comparisons,
    mend_comparisons,
)
from flowbuilder.planner.grounding import Ground, drop_options
from flowbuilder.planner.inventions import invented_addresses
from flowbuilder.planner.literals import literals, lost_literals, lost_values
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.namings import named_values, unnamed_columns
from flowbuilder.planner.restoring import restore
from flowbuilder.planner.signs import set_separators, signs
from flowbuilder.planner.wire import draft
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool
from tests.support.archive import OWN, step

Rows = list[dict[str, Any]]


@tool("table.open", effects="read")
def open_table(path: str, separator: str = ",") -> Rows:
    """Open a table."""
    return [{path: separator}]


@tool("table.keep")
def keep(rows: Rows, column: str, test: Literal["eq", "ne", "gt", "lt"], value: str) -> Rows:
    """Keep the rows that pass a test."""
    return rows


@tool("table.sort")
def sort(rows: Rows, column: str) -> Rows:
    """Sort rows."""
    return rows


@tool("page.open", effects="read")
def open_page(url: str) -> str:
    """Open a page."""
    return url


@tool("paper.put", effects="write")
def put_paper(path: str, text: str) -> bool:
    """Put a text on paper."""
    return bool(path and text)


@tool("shed.store", effects="external")
def store(path: str, bucket: str) -> bool:
    """Store a file in a bucket."""
    return bool(path and bucket)


@tool("letter.mail", effects="external")
def mail(to: list[str], body: str, subject: str = "") -> bool:
    """Send an e-mail."""
    return bool(to and body)


@tool("wall.pin", effects="external")
def pin(channel: str, message: str) -> bool:
    """Pin a message to a wall."""
    return bool(channel and message)


@tool("bell.ring", effects="external")
def ring(phone: str, text: str) -> bool:
    """Ring somebody up."""
    return bool(phone and text)


@tool("tongue.turn", effects="read")
def turn(text: str, language: str) -> str:
    """Translate a text."""
    return text + language


TOOLS = [open_table, keep, sort, open_page, put_paper, store, mail, pin, ring]
REGISTRY = ToolRegistry(TOOLS)


def plan_of(*steps: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "steps": [
            {"id": f"s{number}", "tool": name, "args": args}
            for number, (name, args) in enumerate(steps, start=1)
        ]
    }


def args(document: dict[str, Any], place: int) -> dict[str, Any]:
    given: dict[str, Any] = document["steps"][place]["args"]
    return given


ROWS = "${{ steps.s1 }}"
OPENED = ("table.open", {"path": "a.csv"})


@pytest.mark.parametrize(
    ("goal", "found"),
    [
        ("Open a.csv, whose values are divided by ; instead of commas.", [";"]),
        ("Open a.csv, delimiter '|'.", ["|"]),
        ("Open the semicolon-separated a.csv; then sort it.", []),
        ("Open a.csv, which is separated by semicolons.", [";"]),
        ("Open a.csv: it holds the tab of the bar.", []),
    ],
)
def test_a_sign_is_one_that_stands_alone_or_is_spoken_of(goal: str, found: list[str]) -> None:
    assert signs(goal) == found


def test_a_separator_of_the_goal_is_kept_and_set() -> None:
    goal = "Open a.csv, whose values are divided by ; please."
    document = plan_of(("table.open", {"path": "a.csv", "separator": ";"}))
    assert drop_options(document, REGISTRY, Ground(goal)) == []
    bare = plan_of(("table.open", {"path": "a.csv"}))
    assert set_separators(bare, REGISTRY, goal) and args(bare, 0)["separator"] == ";"
    assert set_separators(bare, REGISTRY, goal) == []


@pytest.mark.parametrize(
    ("goal", "found"),
    [
        ("a temperature above 80", Comparison(column="temperature", sign=">", value="80")),
        ("those whose status is expired", Comparison(column="status", sign="==", value="expired")),
        ("where age is at least 18", Comparison(column="age", sign=">=", value="18")),
        ("weight is not 3", Comparison(column="weight", sign="!=", value="3")),
        ("rows with Oslo as their town", Comparison(column="town", sign="==", value="Oslo")),
        ('where mood equals "very good"', Comparison(column="mood", sign="==", value="very good")),
    ],
)
def test_comparisons_are_read(goal: str, found: Comparison) -> None:
    assert comparisons(goal) == [found]


def test_what_is_no_comparison_is_not_read() -> None:
    assert comparisons("What is the gist of it? It is in https://a.example/b.is.c") == []


def kept(column: str, test: str, value: str, *then: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    given = {"rows": "${{ steps.s1 }}", "column": column, "test": test, "value": value}
    return plan_of(OPENED, ("table.keep", given), *then)


def test_an_opposite_operator_is_turned_where_no_word_turns_it() -> None:
    document = kept("status", "ne", "open")
    assert mend_comparisons(document, REGISTRY, "I need those of a.csv whose status is open.")
    assert args(document, 1)["test"] == "eq"
    turned = kept("status", "ne", "open")
    assert not mend_comparisons(turned, REGISTRY, "Drop those of a.csv whose status is open.")


def test_a_column_is_the_compared_one_where_another_step_has_the_given_one() -> None:
    goal = "I care about a depth above 80 in a.csv, sorted by taken_at."
    then = ("table.sort", {"rows": "${{ steps.s2 }}", "column": "taken_at"})
    document = kept("taken_at", "gt", "80", then)
    assert mend_comparisons(document, REGISTRY, goal)
    assert args(document, 1)["column"] == "depth" and args(document, 2)["column"] == "taken_at"
    doubtful = kept("height", "gt", "80")
    assert not mend_comparisons(doubtful, REGISTRY, goal)
    assert [item.code for item in lost_comparisons(doubtful, REGISTRY, goal)] == ["column_lost"]


def test_a_word_with_an_underscore_and_an_absolute_path_are_literals() -> None:
    found = {(item.kind, item.text) for item in literals("Sort /srv/in/a.env by taken_at.")}
    assert found == {("file name", "/srv/in/a.env"), ("identifier", "taken_at")}
    lost = lost_literals("Sort a.csv by taken_at", plan_of(OPENED), REGISTRY)
    assert [item.message for item in lost] == [
        "the identifier taken_at of the goal is in no step's args"
    ]


def test_a_column_that_the_goal_does_not_name_is_doubted() -> None:
    document = plan_of(OPENED, ("table.sort", {"rows": "${{ steps.s1 }}", "column": "count"}))
    ground = Ground("Sort a.csv by its total")
    assert [item.code for item in unnamed_columns(document, REGISTRY, ground)] == ["column_unnamed"]
    args(document, 1)["column"] = "total"
    assert unnamed_columns(document, REGISTRY, ground) == []


def test_a_change_of_rows_that_nobody_asked_for_is_left_out() -> None:
    goal = "Keep a copy of the values in a.csv as b.txt."
    document = plan_of(
        OPENED,
        ("table.sort", {"rows": "${{ steps.s1 }}", "column": "date"}),
        ("paper.put", {"path": "b.txt", "text": "All: ${{ steps.s2 }}"}),
    )
    assert leave_out_aimless(document, REGISTRY, Ground(goal), goal)
    assert [item["id"] for item in document["steps"]] == ["s1", "s3"]
    assert args(document, 1)["text"] == "All: ${{ steps.s1 }}"


@pytest.mark.parametrize("goal", ["The newest of a.csv", "a.csv by date", "Sort a.csv"])
def test_a_change_of_rows_that_may_be_asked_for_stays(goal: str) -> None:
    document = plan_of(OPENED, ("table.sort", {"rows": "${{ steps.s1 }}", "column": "date"}))
    assert leave_out_aimless(document, REGISTRY, Ground(goal), goal) == []


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("wall.pin", {"channel": "#deck", "message": "Hello"}, []),
        ("wall.pin", {"channel": "deck", "message": "Hello"}, []),
        ("wall.pin", {"channel": "#general", "message": "Hello"}, ["channel"]),
        ("bell.ring", {"phone": "+41 79 555 01 02", "text": "Hello"}, []),
        ("bell.ring", {"phone": "+41 79 555 01 03", "text": "Hello"}, ["phone"]),
        ("table.open", {"path": "other.csv"}, ["path"]),
        ("table.open", {"path": "notes.csv"}, []),
        ("table.open", {"path": "${{ steps.s0 }}"}, []),
    ],
)
def test_what_the_goal_does_not_name_is_invented(
    name: str, given: dict[str, Any], found: list[str]
) -> None:
    goal = "Tell #deck and +41795550102 about notes"
    problems = invented_addresses(goal, plan_of((name, given)), None, REGISTRY)
    assert [item.pointer.rpartition("/")[2] for item in problems] == found
    assert all(item.code == "literal_invented" for item in problems)


def test_a_file_that_a_plan_writes_may_be_named_by_it_with_a_doubt() -> None:
    put = ("paper.put", {"path": "x.txt", "text": "Hello"})
    document = plan_of(put, ("shed.store", {"path": "x.txt", "bucket": "attic"}))
    found = invented_addresses("Hello goes to attic", document, None, REGISTRY)
    assert [(item.code, item.pointer) for item in found] == [
        ("file_composed", "/steps/0/args/path")
    ]


def test_a_channel_of_the_goal_is_reached_by_what_takes_one() -> None:
    goal = 'Let #deck know: "Closed"'
    mailed = plan_of(("letter.mail", {"to": ["deck@example.com"], "body": "Closed #deck"}))
    assert [item.message for item in lost_literals(goal, mailed, REGISTRY)] == [
        "the channel #deck of the goal is in no step's args"
    ]
    pinned = plan_of(("wall.pin", {"channel": "deck", "message": "Closed"}))
    assert lost_literals(goal, pinned, REGISTRY) == []


@pytest.mark.parametrize(
    ("goal", "name"),
    [
        ('/srv/a.env ought to contain "on=1".', "paper.put"),
        ('Could you let everybody in #deck know: "We open at 14:00"?', "wall.pin"),
        ('Under the heading "Plan", inform eve@example.org: "All is well"', "letter.mail"),
        ('If b.txt contains "x", tell me.', None),
        ('Say "Hello" in Dutch to +41795550102.', None),
        ('Tell #deck and eve@example.org "Closed".', None),
        ("b.txt ought to be read.", None),
    ],
)
def test_one_tool_alone_takes_a_receiver_and_its_text(goal: str, name: str | None) -> None:
    found = sole_taker(goal, TOOLS)
    assert (found.name if found else None) == name


def test_a_value_named_by_an_argument_must_stand_in_one() -> None:
    goal = "Our bucket attic-2 should get a.csv; the table shows why."
    assert named_values(goal, REGISTRY) == [("bucket", "attic-2")]
    stored = plan_of(("shed.store", {"path": "a.csv", "bucket": "attic-2"}))
    assert lost_values(goal, stored, REGISTRY) == []
    other = plan_of(("paper.put", {"path": "attic-2", "text": "a.csv"}))
    assert [item.message for item in lost_values(goal, other, REGISTRY)] == [
        "the bucket attic-2 of the goal is in no step's args"
    ]
    assert named_values("the attic-2 bucket", REGISTRY) == [("bucket", "attic-2")]
    assert named_values("the bucket attic", REGISTRY) == [("bucket", "attic")]


def test_a_word_behind_the_name_of_an_argument_is_no_value_of_everything() -> None:
    @tool("trip.plan", effects="read")
    def plan_trip(city: str) -> str:
        """Plan a trip."""
        return city

    registry = ToolRegistry([plan_trip])
    assert named_values("Plan a city trip", registry) == []
    assert named_values("Plan a trip to the city zone_4", registry) == [("city", "zone_4")]


def question(place: int, name: str) -> Question:
    return Question(id="q", text="Which?", pointer=f"/steps/{place}/args/{name}")


def test_a_question_is_answered_by_what_is_left_of_the_goal() -> None:
    document = plan_of(("letter.mail", {"body": "Closed"}))
    goal = "eve@example.org should hear of it"
    left, notes = answer_by_goal(document, [question(0, "to")], REGISTRY, goal)
    assert left == () and notes and args(document, 0)["to"] == ["eve@example.org"]
    unknown = plan_of(("letter.mail", {"body": "Closed"}))
    asked = [question(0, "to")]
    assert answer_by_goal(unknown, asked, REGISTRY, "Tell Eve")[0] == tuple(asked)


def test_an_unused_result_is_told_in_the_place_of_a_question() -> None:
    found = ("page.open", {"url": "https://a.example"})
    document = plan_of(found, ("wall.pin", {"channel": "#deck"}))
    left, notes = tell_found(document, [question(1, "message")], REGISTRY)
    assert left == () and notes and args(document, 1)["message"] == "${{ steps.s1 }}"
    doubtful = plan_of(found, found, ("wall.pin", {"channel": "#deck"}))
    asked = [question(2, "message")]
    assert tell_found(doubtful, asked, REGISTRY) == (tuple(asked), [])


def test_a_file_called_after_a_bucket_gets_its_own_name_back() -> None:
    goal = "The bucket attic-2 should get b.zip."
    document = plan_of(("paper.put", {"path": "attic-2", "text": "x"}))
    assert restore(document, REGISTRY, goal)
    assert args(document, 0) == {"path": "b.zip", "text": "x"}
    right = plan_of(("shed.store", {"path": "b.zip", "bucket": "attic-2"}))
    assert restore(right, REGISTRY, goal) == []


def test_the_quoted_text_comes_back_where_it_is_to_be_translated() -> None:
    goal = 'eve@example.org reads Spanish alone; she should get "The quay is closed".'
    wrong = "El muelle esta cerrado"
    document = plan_of(
        ("tongue.turn", {"text": wrong, "language": "Spanish"}),
        ("letter.mail", {"to": ["eve@example.org"], "body": wrong}),
    )
    registry = ToolRegistry([*TOOLS, turn])
    assert len(restore(document, registry, goal)) == 2
    assert args(document, 0)["text"] == args(document, 1)["body"] == "The quay is closed"
    told = plan_of(("letter.mail", {"to": ["eve@example.org"], "body": wrong}))
    assert restore(told, registry, goal) == []


def test_a_step_with_the_id_of_another_tools_step_gets_its_own() -> None:
    steps: list[Any] = [
        {"id": "told", "tool": "page.open", "args": {"url": "https://a.example"}},
        {"id": "told", "tool": "wall.pin", "args": {"message": "${{ steps.told }}"}},
    ]
    made_of = {"page.open", "wall.pin"}
    document = draft(steps, goal="Tell it", input_schema=None, tools=made_of).document
    made: Any = document["steps"]
    assert [item["id"] for item in made] == ["told", "wall_pin"]
    assert made[1]["args"] == {"message": "${{ steps.told }}"}


def test_a_change_of_a_text_that_was_just_made_is_left_out() -> None:
    given = {"text": "${{ steps.s1 }}", "language": "Dutch"}
    again = {"text": "${{ steps.s2 }}", "language": "Dutch"}
    pinned = {"channel": "#deck", "message": "${{ steps.s3 }}"}
    opened = ("page.open", {"url": "https://a.example"})
    goal = "Tell #deck the newest of https://a.example in Dutch"
    registry = ToolRegistry([*TOOLS, turn])
    document = plan_of(opened, ("tongue.turn", given), ("tongue.turn", again), ("wall.pin", pinned))
    assert leave_out_aimless(document, registry, Ground(goal), goal)
    assert [item["id"] for item in document["steps"]] == ["s1", "s2", "s4"]
    assert args(document, 2)["message"] == "${{ steps.s2 }}"
    other = plan_of(opened, ("tongue.turn", given), ("tongue.turn", {**again, "language": "Thai"}))
    assert leave_out_aimless(other, registry, Ground(goal), goal) == []


def test_a_step_does_not_wait_for_itself() -> None:
    steps: list[Any] = [
        {"id": "a1", "tool": "page.open", "args": {"url": "https://a.example"}, "after": ["a1"]},
        {"id": "a2", "tool": "wall.pin", "args": {"message": "Hello"}, "after": ["a1", "a2"]},
    ]
    made: Any = draft(steps, goal="Tell it", input_schema=None).document["steps"]
    assert [item.get("depends_on") for item in made] == [[], [made[0]["id"]]]


def test_the_end_of_a_question_is_no_part_of_its_address() -> None:
    document = plan_of(("page.open", {"url": "https://a.example/one?"}))
    assert trim_addresses(document, "What is on https://a.example/one?")
    assert args(document, 0)["url"] == "https://a.example/one"


async def test_a_column_that_was_made_up_is_chosen_among_the_words_of_the_goal() -> None:
    goal = "I would like a.csv arranged by taken."
    plans: list[Any] = [
        {
            "tasks": [
                step(1, "table.open", path="a.csv"),
                step(2, "table.sort", column=name, rows=ROWS),
            ]
        }
        for name in ("date", "taken")
    ]
    model = ScriptedModel(plans)
    planner = ModelPlanner(Settings.load(model="scripted", **OWN), model)
    plan = None
    request = PlanRequest(id="p", goal=goal, registry=ToolRegistry([open_table, sort]))
    async for event in planner.stream(request):
        plan = event.plan or plan
    assert plan is not None and plan.flow is not None and not plan.certain
    assert plan.flow.steps[1].args["column"] == "taken"
    assert len(model.requests) == 2
