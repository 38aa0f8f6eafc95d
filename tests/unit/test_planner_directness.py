"""What the goal names is given as it is, and acts and look-ups beside the point are left out."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from flowbuilder.plan import Question
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.directness import give_directly
from flowbuilder.planner.needless import leave_out_needless
from flowbuilder.planner.omission import leave_out_steps
from flowbuilder.tools import ToolRegistry, tool
from tests.support.drafts import tools


class Sailor(TypedDict):
    name: str
    card_number: str
    email: str


@tool("sailors.find", effects="read")
def find_sailor(name: str) -> Sailor:
    """Find a sailor's record."""
    return Sailor(name=name, card_number="", email="")


@tool("charts.find", effects="read")
def find_chart(title: str) -> str:
    """Find a chart and the shelf that it is on."""
    return title


@tool("berths.rent", effects="write")
def rent_berth(berth: str, date: str, card_number: str) -> str:
    """Rent a berth for a day."""
    return berth + date + card_number


@tool("regattas.plan", effects="write")
def plan_regatta(title: str, date: str) -> str:
    """Plan a regatta."""
    return title + date


@tool("mail.send", effects="external")
def send_mail(to: str, text: str) -> bool:
    """Send a mail."""
    return bool(to + text)


@tool("log.read", effects="read")
def read_log(path: str) -> str:
    """Read a ship's log."""
    return path


@tool("log.keep", effects="write")
def keep_log(path: str, content: str) -> str:
    """Write content to a file."""
    return path + content


REGISTRY = ToolRegistry(
    [read_log, keep_log, find_sailor, find_chart, rent_berth, plan_regatta, send_mail]
)


def document(*steps: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "steps": [
            {"id": name.replace(".", "_"), "tool": name, "args": args} for name, args in steps
        ]
    }


def request(goal: str) -> PlanRequest:
    return PlanRequest(id="p", goal=goal, registry=REGISTRY)


def rented(card: str, name: str = "K-77") -> dict[str, Any]:
    rent = {"berth": "North 4", "date": "2027-05-01", "card_number": card}
    return document(("sailors.find", {"name": name}), ("berths.rent", rent))


FOUND = "${{ steps.sailors_find.card_number }}"


def test_a_code_is_not_looked_up_as_a_name() -> None:
    made = rented(FOUND)
    notes = give_directly(made, REGISTRY, 'K-77 takes berth "North 4" on 2027-05-01.')
    assert tools(made) == ["berths.rent"]
    assert made["steps"][0]["args"]["card_number"] == "K-77"
    assert len(notes) == 1


def test_a_look_up_that_the_goal_asks_for_stays() -> None:
    made = rented(FOUND)
    give_directly(made, REGISTRY, 'Look K-77 up and give them berth "North 4" on 2027-05-01.')
    assert tools(made) == ["sailors.find", "berths.rent"]
    assert made["steps"][1]["args"]["card_number"] == "K-77"


def test_names_are_looked_up() -> None:
    for name, goal in (
        ("Ann Lee", 'Ann Lee takes berth "North 4" on 2027-05-01.'),
        ("K-78", 'K-77 takes berth "North 4" on 2027-05-01.'),
    ):
        made = rented(FOUND, name)
        assert give_directly(made, REGISTRY, goal) == []
        assert tools(made) == ["sailors.find", "berths.rent"]


def test_what_something_was_found_by_is_given_as_it_is() -> None:
    made = document(
        ("sailors.find", {"name": "Ann Lee"}),
        ("regattas.plan", {"title": "${{ steps.sailors_find.name }}", "date": "2027-05-01"}),
        ("mail.send", {"to": "${{ steps.sailors_find.email }}", "text": "It is planned."}),
    )
    shown = document(("sailors.find", {"name": "Ann Lee"}), ("charts.find", {"title": ""}))
    shown["steps"][1]["args"]["title"] = "${{ steps.sailors_find.name }}"
    give_directly(shown, REGISTRY, "Is there a chart called Ann Lee?")
    assert shown["steps"] == [
        {"id": "charts_find", "tool": "charts.find", "args": {"title": "Ann Lee"}}
    ]
    before = made["steps"][2]["args"]
    give_directly(made, REGISTRY, "Let Ann Lee know of the regatta on 2027-05-01.")
    assert tools(made) == ["sailors.find", "regattas.plan", "mail.send"]
    assert made["steps"][2]["args"] == before


def test_an_act_that_adds_nothing_is_left_out() -> None:
    rent = {"berth": "North 4", "date": "2027-05-01", "card_number": "K-77"}
    party = {"title": "Sailing party", "date": "2027-05-01"}
    made = document(("berths.rent", rent), ("regattas.plan", party))
    goal = 'K-77 wants berth "North 4" on 2027-05-01.'
    left, doubts = leave_out_needless(made, (), request(goal))
    assert (left, tools(made)) == ((), ["berths.rent"])
    assert [(doubt.code, doubt.severity.value) for doubt in doubts] == [
        ("step_left_out", "warning")
    ]


def test_an_act_with_something_of_its_own_stays() -> None:
    rent = {"berth": "North 4", "date": "2027-05-01", "card_number": "K-77"}
    own_date = {"title": "Sailing party", "date": "2027-05-02"}
    same = {"title": "Sailing party", "date": "2027-05-01"}
    for goal, party in (
        ('K-77 wants berth "North 4" on 2027-05-01. On 2027-05-02 they celebrate.', own_date),
        ('K-77 wants berth "North 4" on 2027-05-01; plan the usual too.', same),
        ('K-77 wants berth "North 4" on 2027-05-01 for their Sailing party.', same),
    ):
        made = document(("berths.rent", rent), ("regattas.plan", party))
        assert leave_out_needless(made, (), request(goal)) == ((), [])
        assert len(made["steps"]) == 2


def test_with_an_act_that_is_asked_about_its_question_goes() -> None:
    rent = {"berth": "North 4", "date": "2027-05-01", "card_number": "K-77"}
    made = document(("regattas.plan", {"date": "2027-05-01"}), ("berths.rent", rent))
    about_title = Question(id="a", text="Which?", pointer="/steps/0/args/title")
    about_berth = Question(id="b", text="Which?", pointer="/steps/1/args/berth")
    goal = "K-77 wants a berth on 2027-05-01."
    left, doubts = leave_out_needless(made, (about_title, about_berth), request(goal))
    assert tools(made) == ["berths.rent"] and len(doubts) == 1
    assert [(item.id, item.pointer) for item in left] == [("b", "/steps/0/args/berth")]


def test_of_two_look_ups_by_one_text_the_spoken_one_stays() -> None:
    twice = (("sailors.find", {"name": "The Sound"}), ("charts.find", {"title": "The Sound"}))
    made = document(*twice)
    [left] = leave_out_steps(made, request('On which shelf is "The Sound"?'))
    assert (left["tool"], tools(made)) == ("sailors.find", ["charts.find"])
    both = document(*twice)
    assert leave_out_steps(both, request('Is "The Sound" a sailor, or a chart on a shelf?')) == []


def test_what_is_done_where_only_a_question_was_asked_is_left_out() -> None:
    rent = {"berth": "East 1", "date": "2027-05-01", "card_number": "K-1"}
    made = document(("charts.find", {"title": "The Sound"}), ("berths.rent", rent))
    leave_out_steps(made, request('We sail on 2027-05-01. Is it on "The Sound"?'))
    assert tools(made) == ["charts.find"]


def test_a_file_that_is_only_to_be_read_is_not_written_over() -> None:
    steps = (
        ("log.read", {"path": "may.log"}),
        ("log.keep", {"path": "may.log", "content": "${{ steps.log_read }}"}),
    )
    made = document(*steps)
    _, doubts = leave_out_needless(made, (), request("What do the pages of may.log tell?"))
    assert tools(made) == ["log.read"] and len(doubts) == 1
    for goal in ("Write a gist of may.log over it.", "From may.log make may.log once more."):
        kept = document(*steps)
        assert leave_out_needless(kept, (), request(goal)) == ((), [])
