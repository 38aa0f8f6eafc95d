"""What a goal wishes for, and what a small model makes of it: gists, acts, people, numbers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from typing_extensions import TypedDict

from flowbuilder.errors import ModelError, NoFittingTool
from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan, Question
from flowbuilder.planner.asking import answer_by_goal
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.document import fields_of
from flowbuilder.planner.doubles import leave_out_copies
from flowbuilder.planner.eligibility import eligible
from flowbuilder.planner.forgetting import leave_out_shortening, wants_gist
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.names import names_in
from flowbuilder.planner.omission import leave_out_steps
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
    assert leave_out_copies(made, REGISTRY)
    assert tools(made) == ["gates.look", "sms.send"]
    assert "steps.look" in str(made) and "again" not in str(made)
    made = document(first, step("gates.close", gate=4), again, told)
    assert leave_out_copies(made, REGISTRY) == []


@pytest.mark.parametrize(
    ("goal", "used", "codes"),
    [
        ("Gate 4 can be closed, and look at it", "gates.look", ["tool_forgotten"]),
        ("Gate 4 can be closed", "gates.close", []),
        ("Look at gate 4. Then shut it and that is that.", "gates.look", ["tool_forgotten"]),
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
