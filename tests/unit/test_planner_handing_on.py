"""What a small model does twice, hands on wrongly or leaves to nobody."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import TypedDict

from flowbuilder.plan import Question
from flowbuilder.planner.doubles import leave_out_doubles
from flowbuilder.planner.finding import answer_by_look_up, look_up_receivers
from flowbuilder.planner.literals import lost_literals
from flowbuilder.planner.mending import mend
from flowbuilder.planner.omission import leave_out_steps
from flowbuilder.planner.passing import hand_on
from flowbuilder.planner.rerouting import reroute
from flowbuilder.planner.restoring import restore
from flowbuilder.planner.surplus import asks
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.test_planner_wishes import OWN, REGISTRY, document, request, step, tools


@tool("dumps.make", effects="write")
def make_dump(town: str) -> str:
    """Write down all members of a town and return the path of the file."""
    return ""


@tool("shelf.put", effects="external")
def put_on_shelf(path: str, shelf: str) -> bool:
    """Put a file on a shelf."""
    return True


@tool("list.print", effects="write")
def print_list(rows: list[dict[str, Any]]) -> bool:
    """Print a list of rows."""
    return True


@tool("records.ask", effects="read")
def ask_records(query: str) -> list[dict[str, Any]]:
    """Ask the records."""
    return []


HANDED = ToolRegistry([*OWN, make_dump, put_on_shelf, print_list, ask_records])


def sent(name: str, text: str, phone: str = "+45 1") -> dict[str, Any]:
    return {**step("sms.send", phone=phone, text=text), "id": name}


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        ([("a", "Hi"), ("b", "Hi")], ["a"]),
        ([("a", "${{ steps.look }}"), ("b", "All is fine")], ["a"]),
        ([("a", "All is fine"), ("b", "${{ steps.look }}")], ["b"]),
        ([("a", "Hi"), ("b", "${{ steps.look }}")], ["a", "b"]),
        ([("a", "Well"), ("b", "Fine")], ["a", "b"]),
    ],
)
def test_messages_to_one_receiver(messages: list[tuple[str, str]], left: list[str]) -> None:
    made = document(step("gates.look", gate=4), *(sent(*item) for item in messages))
    notes = leave_out_doubles(made, REGISTRY, 'Tell +45 1 "Hi" and how gate 4 is')
    steps: Any = made["steps"]
    assert [item["id"] for item in steps[1:]] == left
    assert len(notes) == len(messages) - len(left)


def test_messages_to_others_and_what_others_use_stay() -> None:
    made = document(sent("a", "Hi"), sent("b", "Hi", "+45 2"))
    assert leave_out_doubles(made, REGISTRY, 'Tell +45 1 and +45 2 "Hi"') == []
    made = document(sent("a", "Hi"), {**sent("b", "Hi"), "when": "${{ input.late }}"})
    assert leave_out_doubles(made, REGISTRY, 'Tell +45 1 "Hi"') == []
    made = document(sent("a", "Hi"), sent("b", "Hi"), sent("c", "${{ steps.b }}", "+45 2"))
    assert leave_out_doubles(made, REGISTRY, 'Tell +45 1 "Hi"') == []


def test_a_list_of_a_reference_to_a_list_is_that_list() -> None:
    made = document(step("records.ask", query="all"), step("list.print", rows=["${{ steps.ask }}"]))
    assert hand_on(made, HANDED, "Print all")
    assert made["steps"] == [
        step("records.ask", query="all"),
        step("list.print", rows="${{ steps.ask }}"),
    ]
    cases: list[Any] = [
        ["${{ steps.ask[0] }}"],
        ["${{ steps.look }}"],
        ["${{ steps.ask }}"] * 2,
        [{}],
    ]
    for rows in cases:
        made = document(
            step("records.ask", query="all"),
            step("gates.look", gate=4),
            step("list.print", rows=rows),
        )
        assert hand_on(made, HANDED, "Print all") == []


def test_a_file_that_was_thought_up_is_the_one_that_was_made() -> None:
    def handed(path: str, goal: str = "Put the members in Ribe on shelf A") -> str:
        made = document(step("dumps.make", town="Ribe"), step("shelf.put", path=path, shelf="A"))
        hand_on(made, HANDED, goal)
        steps: Any = made["steps"]
        return str(steps[1]["args"]["path"])

    assert handed("ribe.txt") == "${{ steps.make }}"
    assert handed("ribe.txt", "Put ribe.txt on shelf A") == "ribe.txt"
    assert handed("${{ steps.make }}") == "${{ steps.make }}"
    alone = document(step("shelf.put", path="ribe.txt", shelf="A"))
    assert hand_on(alone, HANDED, "Put the members on shelf A") == []


@pytest.mark.parametrize(
    ("args", "left"),
    [
        ({"path": "storage", "shelf": "Ribe"}, ["dumps.make", "gates.close"]),
        ({"path": "nowhere", "shelf": "storage"}, ["dumps.make", "gates.close"]),
        ({"path": "gate 4", "shelf": "Ribe"}, ["dumps.make", "shelf.put", "gates.close"]),
    ],
)
def test_an_act_that_nobody_asked_for_is_left_out(args: dict[str, Any], left: list[str]) -> None:
    goal = "All who live in Ribe are to be kept before gate 4 shuts"
    made = document(
        step("dumps.make", town="Ribe"), step("shelf.put", **args), step("gates.close", gate=4)
    )
    leave_out_steps(made, request(goal, HANDED), though_named=True)
    assert tools(made) == left


def test_a_query_is_asked_and_not_told() -> None:
    goal = '+45 1 wants to read what "SELECT name FROM members" gives'
    told = document(step("sms.send", phone="+45 1", text="SELECT name FROM members"))
    asked = document(step("records.ask", query="SELECT name FROM members"), *told["steps"])  # type: ignore[misc]
    (lost,) = lost_literals(goal, told, HANDED)
    assert "the query SELECT name FROM members" in lost.message
    assert "records.ask" in (lost.hint or "")
    assert lost_literals(goal, asked, HANDED) == []
    assert lost_literals(goal, told, REGISTRY) == []  # nobody could ask it


# -- texts, files and fields ----------------------------------------------------------------------


class Order(TypedDict):
    number: str
    customer: str
    email: str
    customer_town: str


@tool("orders.find", effects="read")
def find_order(number: str) -> Order:
    """Find an order."""
    return {"number": number, "customer": "", "email": "", "customer_town": ""}


@tool("people.find", effects="read")
def find_person(name: str) -> Order:
    """Look up a person."""
    return {"number": "", "customer": name, "email": "", "customer_town": ""}


@tool("post.mail", effects="external")
def mail(to: str, body: str) -> bool:
    """Send an e-mail."""
    return True


@tool("diary.note", effects="write")
def note(title: str) -> bool:
    """Keep a thought."""
    return True


@tool("photo.scale", effects="write")
def scale(path: str, width: int) -> str:
    """Scale a photo and return the path of the new one."""
    return path


POST = ToolRegistry([find_order, find_person, mail, note, scale, *OWN])


def test_instructions_are_not_told_to_anybody() -> None:
    goal = 'Ann gets "All is paid." by mail. You will find her address in the book.'
    made = document(
        step(
            "post.mail",
            to="a@b.example",
            body="All is paid. You will find her address in the book.",
        )
    )
    assert restore(made, POST, goal)
    assert made["steps"] == [step("post.mail", to="a@b.example", body="All is paid.")]
    told = 'Let a@b.example know what is in "the long book" at home'
    claim = document(
        step("post.mail", to="a@b.example", body='What is in "the long book" at home?')
    )
    assert restore(claim, POST, told) == []
    polite = document(step("post.mail", to="a@b.example", body="Dear Ann, All is paid. Yours"))
    assert restore(polite, POST, goal) == []


def test_a_file_keeps_its_folder() -> None:
    made = document(step("photo.scale", path="lamp.jpg", width=7))
    assert restore(made, POST, "Make photos/lamp.jpg 7 wide")
    assert made["steps"] == [step("photo.scale", path="photos/lamp.jpg", width=7)]
    for goal in ("Make a/lamp.jpg and b/lamp.jpg 7 wide", "Make lamp.jpg, not a/lamp.jpg, 7 wide"):
        made = document(step("photo.scale", path="lamp.jpg", width=7))
        restore(made, POST, goal)
        assert made["steps"] == [step("photo.scale", path="lamp.jpg", width=7)]


def test_what_is_done_to_a_result_of_the_same_is_done_once() -> None:
    first = step("photo.scale", path="a.jpg", width=7)
    again = {**step("photo.scale", path="${{ steps.scale }}", width=7), "id": "again"}
    made = document(first, again)
    assert leave_out_doubles(made, POST, "Make a.jpg 7 wide")
    assert made["steps"] == [first]
    other = {**step("photo.scale", path="${{ steps.scale }}", width=8), "id": "again"}
    assert leave_out_doubles(document(first, other), POST, "Make a.jpg 7 wide, then 8") == []


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("customer.email", "email"),
        ("customer.town", "customer_town"),
        ("customer.zip", "customer.zip"),
        ("customer", "customer"),
    ],
)
def test_fields_beside_a_plain_one(path: str, read: str) -> None:
    made = document(
        step("orders.find", number="7"),
        {**step("post.mail", to=f"${{{{ steps.find.{path} }}}}", body="Hi")},
    )
    mend(made, POST)
    steps: Any = made["steps"]
    assert steps[1]["args"]["to"] == f"${{{{ steps.find.{read} }}}}"


def test_an_address_is_looked_up_by_the_name_of_the_goal() -> None:
    goal = 'Ida Holm is to hear "All is paid." by mail; her address is in the book'
    made = document(step("post.mail", body="All is paid."))
    asked = [Question(id="mail.to", text="To whom?", pointer="/steps/0/args/to")]
    only = ToolRegistry([find_person, mail])
    assert answer_by_look_up(made, asked, only, goal)[0] == ()
    assert made["steps"] == [
        {"id": "people_find", "tool": "people.find", "args": {"name": "Ida Holm"}},
        step("post.mail", body="All is paid.", to="${{ steps.people_find.email }}"),
    ]
    for registry, said in (
        (POST, goal),
        (only, "Mail that all is paid."),
        (ToolRegistry([mail]), goal),
    ):
        made = document(step("post.mail", body="All is paid."))
        assert answer_by_look_up(made, asked, registry, said) == (tuple(asked), [])


def test_a_name_in_the_place_of_an_address_is_looked_up() -> None:
    only = ToolRegistry([find_person, mail])
    sends = [
        {**step("post.mail", to=name, body="Hi"), "id": f"m{number}"}
        for number, name in enumerate(["Ida Holm", "Ida Holm", "a@b.example", "${{ input.to }}"])
    ]
    made = document(*sends)
    assert len(look_up_receivers(made, only)) == 2
    steps: Any = made["steps"]
    assert tools(made) == ["people.find", *["post.mail"] * 4]
    assert [item["args"]["to"] for item in steps[1:]] == [
        *["${{ steps.people_find.email }}"] * 2, "a@b.example", "${{ input.to }}"
    ]  # fmt: skip
    assert look_up_receivers(document(step("post.mail", to="Ida", body="")), POST) == []


def test_an_e_mail_address_is_no_phone() -> None:
    only = ToolRegistry([mail, *OWN])
    made = document(step("sms.send", phone="a@b.example", text="Hi"))
    assert reroute(made, only)
    assert made["steps"] == [
        {"id": "post_mail", "tool": "post.mail", "args": {"to": "a@b.example", "body": "Hi"}}
    ]
    made = document(step("sms.send", phone="+45 1234 5678", text="Hi"))
    assert reroute(made, only) == []


@pytest.mark.parametrize(
    ("goal", "asked"),
    [
        ("How busy is it?", True),
        ("Tell Ann what it costs", True),
        ("Anyone who calls gets it", False),
        ("Close the gate when it rains", False),
    ],
)
def test_goals_that_ask_something(goal: str, *, asked: bool) -> None:
    assert asks(goal) is asked


@pytest.mark.parametrize(
    ("goal", "left"),
    [
        ("Order A-7 is to be told off: mail a@b.example", ["post.mail"]),
        ("What is order A-7? Mail a@b.example", ["orders.find", "post.mail"]),
    ],
)
def test_a_look_up_for_nobody_is_left_out_unless_something_is_asked(
    goal: str, left: list[str]
) -> None:
    made = document(
        step("orders.find", number="A-7"),
        step("post.mail", to="a@b.example", body="${{ input.body }} A-7"),
    )
    leave_out_steps(made, request(goal, POST), though_named=True)
    assert tools(made) == left


def test_a_note_that_nobody_asked_for_is_left_out() -> None:
    goal = "Find order A-7 and let a@b.example have what it says"
    told = step("post.mail", to="a@b.example", body="${{ steps.find }}")
    made = document(
        step("orders.find", number="A-7"), told, step("diary.note", title="Remember the mail")
    )
    leave_out_steps(made, request(goal, POST), though_named=True)
    assert tools(made) == ["orders.find", "post.mail"]
    said = step("diary.note", title="what it says")
    made = document(step("orders.find", number="A-7"), told, said)
    leave_out_steps(made, request(goal, POST), though_named=True)
    assert tools(made) == ["orders.find", "post.mail", "diary.note"]


@pytest.mark.parametrize(
    ("goal", "left"),
    [
        ("The order 50817 is over, so gate 50817 can be closed.", ["gates.close"]),
        ("Check gate 50817 and close gate 50817.", ["gates.look", "gates.close"]),
    ],
)
def test_a_look_before_an_act_is_left_out_unless_it_is_ordered(goal: str, left: list[str]) -> None:
    made = document(step("gates.look", gate=50817), step("gates.close", gate=50817))
    leave_out_steps(made, request(goal, POST), though_named=True)
    assert tools(made) == left


def test_who_only_asks_gets_nothing_done() -> None:
    hasty = step("gates.close", gate=77)
    made = document(step("gates.look", gate=4), hasty)
    leave_out_steps(made, request("How is gate 4?", POST), though_named=True)
    assert tools(made) == ["gates.look"]
    made = document(step("gates.look", gate=4), hasty)
    leave_out_steps(made, request("How is gate 4? Close gate 77.", POST), though_named=True)
    assert tools(made) == ["gates.look", "gates.close"]
