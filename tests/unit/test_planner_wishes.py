"""What a goal wishes for, and what a small model makes of it: gists, acts, people, numbers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from typing_extensions import TypedDict

from flowbuilder.errors import ModelError, NoFittingTool
from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan, Question
from flowbuilder.planner.aimless import leave_out_aimless
from flowbuilder.planner.asking import answer_by_goal
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.document import fields_of
from flowbuilder.planner.doubles import leave_out_doubles
from flowbuilder.planner.eligibility import eligible
from flowbuilder.planner.forgetting import leave_out_shortening, wants_gist
from flowbuilder.planner.grounding import Ground
from flowbuilder.planner.literals import lost_literals
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.names import names_in
from flowbuilder.planner.omission import leave_out_steps
from flowbuilder.planner.passing import hand_on
from flowbuilder.planner.relevance import unused_acts
from flowbuilder.settings import Settings
from flowbuilder.toolkit import starter_tools
from flowbuilder.tools import ToolRegistry, tool
from flowbuilder.types import JsonObject


class Member(TypedDict):
    name: str
    phone: str


@tool("text.shorten", effects="pure")
def shorten(text: str) -> str:
    """Summarize a text."""
    return text


@tool("text.translate", effects="pure")
def translate(text: str, target_language: str) -> str:
    """Translate a text into another language."""
    return text


@tool("members.find", effects="read")
def find_member(name: str) -> Member:
    """Look up a member of the club."""
    return {"name": name, "phone": ""}


@tool("members.list", effects="read")
def list_members(town: str) -> list[Member]:
    """List the members in a town."""
    return []


@tool("sms.send", effects="external")
def send_sms(phone: str, text: str) -> bool:
    """Send a text message to a phone number."""
    return True


@tool("gates.close", effects="write")
def close_gate(gate: int) -> bool:
    """Close one of the gates."""
    return True


@tool("gates.look", effects="read")
def look_at_gate(gate: int) -> str:
    """Tell how one of the gates is."""
    return ""


OWN = [shorten, translate, find_member, list_members, send_sms, close_gate, look_at_gate]
REGISTRY = ToolRegistry(OWN)


def step(tool_name: str, /, **args: Any) -> dict[str, Any]:
    """Return a step that is called like the last part of its tool."""
    return {"id": tool_name.rpartition(".")[2], "tool": tool_name, "args": args}


def document(*steps: Any) -> JsonObject:
    return {"flow": "wish", "steps": list(steps)}


def tools(made: JsonObject) -> list[str]:
    steps: Any = made["steps"]
    return [item["tool"] for item in steps]


def request(goal: str, registry: ToolRegistry = REGISTRY) -> PlanRequest:
    return PlanRequest(id="p", goal=goal, registry=registry)


# -- gists --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "wanted"),
    [
        ("What does a.txt say, in short?", True),
        ("I need b.txt in just a few lines.", True),
        ("A brief overview of what the page says", True),
        ("Sum c.txt up for me.", True),
        ("d.txt in no more than 3 sentences", True),
        ("Say “in short” in Dutch", False),
        ("Mail the lines of a.txt", False),
        ("How long is the short path?", False),
    ],
)
def test_goals_that_want_a_text_shortened(goal: str, *, wanted: bool) -> None:
    assert wants_gist(goal) is wanted


def test_a_quoted_sentence_is_not_shortened_unasked() -> None:
    goal = 'How do the Dutch say "Is the \\1 bridge open?"'
    said = "Is the \\1 bridge open?"
    made = document(
        step("text.shorten", text=said),
        step("text.translate", text="${{ steps.shorten }}", target_language="Dutch"),
    )
    assert leave_out_shortening(made, REGISTRY, goal)
    assert made["steps"] == [step("text.translate", text=said, target_language="Dutch")]


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        ('The gist of "The bridge is open, and so on" in Dutch', "The bridge is open, and so on"),
        ("What is in notes.txt in Dutch?", "${{ steps.look }}"),
        ("How do the Dutch say open?", "open"),
    ],
)
def test_what_is_to_be_shortened_is(goal: str, text: str) -> None:
    made = document(
        step("text.shorten", text=text),
        step("text.translate", text="${{ steps.shorten }}", target_language="Dutch"),
    )
    assert leave_out_shortening(made, REGISTRY, goal) == []
    assert len(tools(made)) == 2


# -- steps --------------------------------------------------------------------------------------


def test_a_look_up_that_is_only_waited_for_is_left_out() -> None:
    made = document(
        step("members.find", name="Ida Holm"),
        {**step("gates.close", gate=4), "depends_on": ["find"]},
        {**step("sms.send", phone="+45 1234 5678", text="Done"), "depends_on": ["find", "close"]},
    )
    goal = 'Close gate 4 and let +45 1234 5678 read "Done"'
    (left_out,) = leave_out_steps(made, request(goal), though_named=True)
    assert left_out["tool"] == "members.find"
    steps: Any = made["steps"]
    assert [item.get("depends_on") for item in steps] == [None, ["close"]]


def test_a_look_up_made_twice_is_made_once_unless_something_happens_between() -> None:
    first, again = step("gates.look", gate=4), {**step("gates.look", gate=4), "id": "again"}
    told = {**step("sms.send", phone="+45 1", text="${{ steps.again }}"), "depends_on": ["again"]}
    made = document(first, again, told)
    goal = "How is gate 4? Tell +45 1."
    assert leave_out_aimless(made, REGISTRY, Ground(goal), goal)
    assert tools(made) == ["gates.look", "sms.send"]
    assert "steps.look" in str(made) and "again" not in str(made)
    made = document(first, step("gates.close", gate=4), again, told)
    assert leave_out_aimless(made, REGISTRY, Ground(goal), goal) == []


@pytest.mark.parametrize(
    ("goal", "used", "codes"),
    [
        ("Gate 4 can be closed, and look at it", "gates.look", ["tool_forgotten"]),
        ("Gate 4 can be closed", "gates.close", []),
        ("Look at gate 4", "gates.look", []),
        ("Send what gate 4 is like by sms", "gates.look", []),
    ],
)
def test_an_act_that_the_goal_speaks_of_is_missed(goal: str, used: str, codes: list[str]) -> None:
    made = document(step(used, gate=4))
    assert [item.code for item in unused_acts(made, OWN, goal)] == codes


# -- people and numbers -------------------------------------------------------------------------


def test_fields_of_a_record_and_of_the_records_in_a_list() -> None:
    assert fields_of(find_member) == fields_of(list_members) == ["name", "phone"]
    assert fields_of(close_gate) == []


@pytest.mark.parametrize(
    ("goal", "sends"),
    [
        ("Ida Holm should read it on her phone.", True),
        ("Ida Holm's number is in the list: tell her.", True),
        ("Ida Holm should hear of it.", False),
    ],
)
def test_a_number_may_be_looked_up_where_the_goal_speaks_of_one(goal: str, *, sends: bool) -> None:
    assert (send_sms in eligible(request(goal), OWN)) is sends
    alone = [send_sms, close_gate]
    assert send_sms not in eligible(request(goal, ToolRegistry(alone)), alone)


@pytest.mark.parametrize(
    ("goal", "names"),
    [
        ("How is gate 4? Paul wants to know.", ["Paul"]),
        ("Ann Lee would like a word.", ["Ann Lee"]),
        ("Lucas is on his way. Write him.", ["Lucas"]),
        ("Dinner is ready. Write to the office.", []),
        ("Somebody wants to know.", []),
        ("This should be known.", []),
    ],
)
def test_names_that_begin_a_sentence(goal: str, names: list[str]) -> None:
    assert names_in(goal, REGISTRY) == names


def test_the_only_number_left_answers_the_question_for_one() -> None:
    made = document(step("gates.look"))
    asked = [Question(id="look.gate", text="Which gate?", pointer="/steps/0/args/gate")]
    left, notes = answer_by_goal(made, asked, REGISTRY, "How is gate 4 doing?")
    assert (left, len(notes)) == ((), 1)
    assert made["steps"] == [step("gates.look", gate=4)]
    for goal in ("How are 4 and 5 doing?", "How is it doing?", "Is it 4.5 wide?"):
        made = document(step("gates.look"))
        assert answer_by_goal(made, asked, REGISTRY, goal) == (tuple(asked), [])


# -- what is done twice, and what is handed on ----------------------------------------------------


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


# -- the user's own tools -----------------------------------------------------------------------


GOAL = 'The file o.txt has to say "open", as has been agreed with Ida Holm'
WRITE = {"tasks": [step("file.write", path="o.txt", content="open")]}
LOOK = {"tasks": [step("members.find", name="Ida Holm")]}
REFUSAL = {"tasks": [{"id": "one", "tool": "none", "args": {"reason": "no"}}]}


def planned(*answers: Any) -> tuple[Plan, ScriptedModel]:
    """Plan the goal with a small model that gives these answers."""
    model = ScriptedModel(list(answers))
    settings = Settings(
        model="openai/local", model_api_base="http://127.0.0.1:1/v1", plan_repairs=0
    )
    registry = ToolRegistry([*starter_tools(), *OWN])

    async def stream() -> Plan:
        async for event in ModelPlanner(settings, model).stream(request(GOAL, registry)):
            if event.plan is not None:
                return event.plan
        raise AssertionError("there is no plan")

    return asyncio.run(stream()), model


def test_a_plan_in_doubt_gives_way_to_one_beyond_doubt() -> None:
    plan, model = planned(REFUSAL, REFUSAL, WRITE)
    assert plan.flow is not None
    assert [item.tool for item in plan.flow.steps] == ["file.write"]
    assert plan.usage.calls == len(model.requests) == 3


def test_without_any_plan_the_refusal_stands() -> None:
    with pytest.raises((NoFittingTool, ModelError)):
        planned(*[REFUSAL] * 4)
