"""What a goal names for another tool to get, whom it speaks of, and which of a list it means."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from typing_extensions import TypedDict

from flowbuilder.errors import PlanningError
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.rules import RulePlanner
from flowbuilder.settings import Settings
from flowbuilder.toolkit import starter_tools
from flowbuilder.tools import ToolRegistry, tool


class Member(TypedDict):
    name: str
    email: str
    phone: str
    handle: str


class Parcel(TypedDict):
    parcel_no: str
    recipient_email: str
    status: str


class Tour(TypedDict):
    tour_id: str
    name: str
    price: float


@tool("notebook.read", effects="read")
def notebook_read(title: str) -> str:
    """Read the text of a notebook."""
    return title


@tool("members.find", effects="read")
def members_find(name: str) -> Member:
    """Find a member by name."""
    return {"name": name, "email": "", "phone": "", "handle": ""}


@tool("parcels.get", effects="read")
def parcels_get(parcel_no: str) -> Parcel:
    """Get a parcel by its number."""
    return {"parcel_no": parcel_no, "recipient_email": "", "status": ""}


@tool("tours.search", effects="read")
def tours_search(city: str, date: str) -> list[Tour]:
    """Search for tours of a city, cheapest first."""
    return [{"tour_id": city, "name": date, "price": 0}]


@tool("tours.book", effects="external")
def tours_book(tour_id: str, date: str, seats: int = 1) -> str:
    """Book seats on a tour and return the voucher."""
    return f"{tour_id}{date}{seats}"


@tool("readings.list", effects="read")
def readings_list(sensor: str) -> list[dict[str, Any]]:
    """List the readings of a sensor."""
    return [{"sensor": sensor}]


@tool("graph.draw", effects="write")
def graph_draw(
    rows: list[dict[str, Any]],
    x_column: str,
    y_column: str,
    kind: Literal["bar", "line"] = "line",
    path: str = "graph.png",
) -> str:
    """Draw a graph of one column against another and return its path."""
    return f"{rows}{x_column}{y_column}{kind}{path}"


@tool("files.pack", effects="write")
def files_pack(files: list[str], target: str) -> str:
    """Pack files into an archive and return its path."""
    return f"{files}{target}"


@tool("text.shorten", effects="read")
def text_shorten(text: str, sentences: int = 3) -> str:
    """Summarize a text."""
    return text[:sentences]


@tool("mail.send", effects="external")
def mail_send(to: str, body: str, subject: str = "") -> bool:
    """Send an e-mail."""
    return bool(to or body or subject)


@tool("meetings.plan", effects="external")
def meetings_plan(title: str, date: str, guests: list[str]) -> str:
    """Plan a meeting and invite the guests by e-mail."""
    return f"{title}{date}{guests}"


OWN = [
    notebook_read, members_find, parcels_get, tours_search, tours_book, readings_list, graph_draw,
    files_pack, text_shorten, mail_send, meetings_plan,
]  # fmt: skip


async def planned(goal: str, registry: ToolRegistry | None = None) -> Plan:
    plan = None
    request = PlanRequest(id="p", goal=goal, registry=registry or ToolRegistry(OWN))
    async for event in RulePlanner(Settings()).stream(request):
        plan = event.plan or plan
    assert plan is not None
    return plan


def steps_of(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    assert plan.flow is not None
    return [(step.tool, step.args) for step in plan.flow.steps]


async def test_a_named_thing_is_got_before_its_text_is_used() -> None:
    plan = await planned('Summarize the notebook "Field trip" in 2 sentences.')
    assert steps_of(plan) == [
        ("notebook.read", {"title": "Field trip"}),
        ("text.shorten", {"sentences": 2, "text": "${{ steps.read }}"}),
    ]


async def test_what_is_made_of_a_named_thing_takes_a_step_of_its_own() -> None:
    plan = await planned('Mail a summary of the notebook "Field trip" to ada@example.com.')
    tools = [name for name, _ in steps_of(plan)]
    assert tools == ["notebook.read", "text.shorten", "mail.send"]
    assert steps_of(plan)[2][1]["body"] == "${{ steps.shorten }}"


async def test_what_nothing_makes_of_a_named_thing_is_doubted() -> None:
    plan = await planned('Mail a critique of the notebook "Field trip" to ada@example.com.')
    assert not plan.certain
    assert any("critique" in note for note in plan.notes)


async def test_a_field_of_a_named_thing_is_what_is_sent() -> None:
    plan = await planned("Mail the status of parcel 5501 to ada@example.com.")
    assert steps_of(plan) == [
        ("parcels.get", {"parcel_no": "5501"}),
        ("mail.send", {"to": "ada@example.com", "body": "${{ steps.get.status }}"}),
    ]


async def test_rows_come_from_what_lists_them_and_columns_are_told_apart() -> None:
    plan = await planned("Draw a line graph of humidity by hour from the readings of sensor S-9.")
    tools = dict(steps_of(plan))
    assert list(tools) == ["readings.list", "graph.draw"]
    assert tools["readings.list"] == {"sensor": "S-9"}
    assert tools["graph.draw"]["x_column"] == "hour"
    assert tools["graph.draw"]["y_column"] == "humidity"


async def test_a_text_in_quotes_is_sent_as_it_is() -> None:
    plan = await planned('Mail "Please read the notebook" to ada@example.com.')
    assert steps_of(plan) == [
        ("mail.send", {"to": "ada@example.com", "body": "Please read the notebook"})
    ]


async def test_a_title_is_never_certainly_taken_for_the_content() -> None:
    registry = ToolRegistry([mail_send, text_shorten])
    for goal in (
        'Summarize the document "Field trip".',
        'Mail the report "Field trip" to ada@example.com.',
    ):
        try:
            plan = await planned(goal, registry)
        except PlanningError:
            continue
        assert not plan.certain


@pytest.mark.parametrize(
    ("goal", "name", "value"),
    [
        ('Find the member Ada Byron and mail her "Hi".', "to", "${{ steps.find.email }}"),
        ('Get parcel 77 and mail its recipient "Hi".', "to", "${{ steps.get.recipient_email }}"),
        (
            'Find the member Ada Byron and plan a meeting "Talk" with her on 2027-02-03.',
            "guests",
            ["${{ steps.find.email }}"],
        ),
    ],
)
async def test_whom_a_goal_speaks_of_is_a_field_of_what_was_found(
    goal: str, name: str, value: Any
) -> None:
    plan = await planned(goal)
    assert steps_of(plan)[1][1][name] == value
    assert plan.valid


async def test_two_people_leave_a_pronoun_in_doubt() -> None:
    plan = await planned(
        'Find the member Ada Byron, find the member Eve Moss and mail her "Hello".'
    )
    assert not plan.certain


@pytest.mark.parametrize(
    ("which", "place"), [("the cheapest", 0), ("the first one", 0), ("the second", 1)]
)
async def test_an_act_upon_an_element_takes_its_key_and_what_it_was_looked_for_with(
    which: str, place: int
) -> None:
    plan = await planned(f"Search for tours of Lisbon on 2027-04-05 and book {which}.")
    booked = steps_of(plan)[1]
    assert booked == (
        "tours.book",
        {"tour_id": f"${{{{ steps.search[{place}].tour_id }}}}", "date": "2027-04-05"},
    )


async def test_another_rank_than_the_lists_own_is_doubted() -> None:
    plan = await planned("Search for tours of Lisbon on 2027-04-05 and book the longest.")
    assert [name for name, _ in steps_of(plan)] == ["tours.search", "tours.book"]
    assert any("the longest" in note for note in plan.notes)
    assert not plan.certain


async def test_one_value_fills_a_parameter_for_several() -> None:
    plan = await planned(
        "List the readings of sensor S-9, draw a line graph of humidity by hour as out.png and "
        "pack it into week.zip."
    )
    assert steps_of(plan)[-1] == (
        "files.pack",
        {"files": ["${{ steps.draw }}"], "target": "week.zip"},
    )


@pytest.mark.parametrize(
    "goal",
    [
        "Approve the expense of 64.80 euros that Omar has submitted.",
        "Add Priya Raghavan with the phone number 555-0199 to my friends.",
    ],
)
async def test_a_question_to_a_person_is_no_certain_answer_to_an_order(goal: str) -> None:
    registry = ToolRegistry([*starter_tools(), *OWN])
    try:
        plan = await planned(goal, registry)
    except PlanningError:
        return
    assert not plan.certain or plan.questions


@pytest.mark.parametrize(
    ("goal", "tools"),
    [
        ('Mail Ada Byron "The room has changed".', ["members.find", "mail.send"]),
        (
            'Summarize the notebook "Field trip" and mail it to Ada Byron.',
            ["notebook.read", "text.shorten", "members.find", "mail.send"],
        ),
    ],
)
async def test_the_address_of_a_named_person_is_looked_up(goal: str, tools: list[str]) -> None:
    plan = await planned(goal)
    assert [name for name, _ in steps_of(plan)] == tools
    assert steps_of(plan)[-1][1]["to"] == "${{ steps.find.email }}"
    assert steps_of(plan)[-1][1]["body"] in ("The room has changed", "${{ steps.shorten }}")


@pytest.mark.parametrize("whom", ["her", "Ada Byron"])
async def test_whoever_is_addressed_is_not_what_is_sent(whom: str) -> None:
    plan = await planned(
        f'Read the notebook "Field trip", find the member Ada Byron and mail it to {whom}.'
    )
    sent = steps_of(plan)[-1][1]
    assert sent["to"].startswith("${{ steps.find")
    assert sent["body"] == "${{ steps.read }}"


async def test_all_of_a_list_is_no_certain_answer_to_one_of_it() -> None:
    plan = await planned(
        "Search for tours of Lisbon on 2027-04-05 and mail the first one to ada@example.com."
    )
    assert not plan.certain
