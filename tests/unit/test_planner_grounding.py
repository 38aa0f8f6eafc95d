"""What the model planner mends, asks again about and marks by the goal's own words."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.plan import PlanStatus
from flowbuilder.planner.literals import literals, takers
from flowbuilder.planner.mending import mend
from flowbuilder.planner.schema import sequence_schema
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.test_planner_model import (
    BASE,
    GOAL,
    READ,
    REGISTRY,
    SEND,
    asked,
    read_tide,
    run,
    send_letter,
)

OWN = {"model_api_base": BASE}


async def test_an_option_nobody_asked_for_is_left_out() -> None:
    send = {**SEND, "args": {**SEND["args"], "express": True}}
    plan, _, _ = await run({"tasks": [READ, send]})
    assert plan.flow is not None
    assert "express" not in plan.flow.steps[1].args
    plan, _, _ = await run({"tasks": [READ, send]}, goal=f"{GOAL} Make it express.")
    assert plan.flow is not None
    assert plan.flow.steps[1].args["express"] is True


async def test_a_forgotten_last_step_is_asked_for_alone() -> None:
    only = {**SEND, "args": {"to": "eve@example.org", "text": "${{ steps.tide_read.height }}"}}
    goal = "The tide at Brest is what eve@example.org would like to know about."
    for settings, told in ((OWN, "missing"), ({}, "eve@example.org of the goal is in no step")):
        plan, _, model = await run(
            {"tasks": [READ]}, {"tasks": [only]}, goal=goal, settings=settings
        )
        assert plan.flow is not None
        assert [step.tool for step in plan.flow.steps] == ["tide.read", "letter.send"]
        assert plan.flow.steps[1].id == "letter_send"
        assert told in asked(model, 1) and len(model.requests) == 2


async def test_an_address_nobody_named_is_asked_for() -> None:
    @tool("page.get", effects="read")
    def get_page(url: str) -> str:
        """Get a page."""
        return url

    tools = ToolRegistry([get_page, send_letter])
    page = {"id": "s1", "tool": "page.get", "args": {"url": "https://else.test/tides"}}
    plan, _, _ = await run(*[{"tasks": [page]}] * 3, goal="What do the tides do?", registry=tools)
    assert plan.status is PlanStatus.NEEDS_ANSWERS
    assert plan.flow is not None and plan.flow.steps[0].args == {}
    named = "What does https://else.test say?"
    plan, _, _ = await run({"tasks": [page]}, goal=named, registry=tools)
    assert plan.status is PlanStatus.READY


@tool(effects="read")
def read_note(path: str) -> str:
    """Read a note from a file."""
    return path


@tool(effects="read")
def translate_note(text: str, target_language: str) -> str:
    """Translate a text into a language."""
    return text + target_language


@tool(effects="external")
def send_email(to: str, subject: str, body: str) -> str:
    """Send an email."""
    return to + subject + body


NOTES = ToolRegistry([read_note, translate_note, send_email])
NOTE_GOAL = "Read a.txt and email it to eve@example.org."
NOTE_READ = {"id": "s1", "tool": "read_note", "args": {"path": "a.txt"}}


def mail(text: str) -> dict[str, Any]:
    arguments = {"to": "eve@example.org", "subject": "A note", "body": text}
    return {"id": "s3", "tool": "send_email", "args": arguments}


async def test_a_step_that_the_goal_does_not_name_is_asked_about() -> None:
    made_up = {"text": "${{ steps.s1 }}", "target_language": "English"}
    stray = {"id": "s2", "tool": "translate_note", "args": made_up}
    wrong = {"tasks": [NOTE_READ, stray, mail("${{ steps.s2 }}")]}
    instead = {**mail("${{ steps.read_note }}"), "id": "send_email"}
    right = {"tasks": [instead], "remove": ["translate_note"]}
    plan, _, model = await run(wrong, right, goal=NOTE_GOAL, registry=NOTES)
    assert plan.flow is not None and plan.certain
    assert [step.tool for step in plan.flow.steps] == ["read_note", "send_email"]
    assert "exactly these steps: read_note, send_email" in asked(model, 1)
    plan, _, _ = await run(wrong, wrong, wrong, goal=NOTE_GOAL, registry=NOTES)
    assert not plan.certain


async def test_arguments_that_cannot_stand_are_taken_from_the_rules() -> None:
    wrong = {"tasks": [NOTE_READ, mail("${{ steps.s1.a.b }} and ${{ steps.s9 }}")]}
    plan, _, model = await run(wrong, wrong, wrong, goal=NOTE_GOAL, registry=NOTES, settings=OWN)
    assert plan.valid and plan.flow is not None
    assert "steps.read_note.a.b" in asked(model, 1) and "s9" in asked(model, 1)
    assert "read_note" in str(plan.flow.steps[1].args["body"])
    assert any("that the rules read" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("where", "mended"),
    [
        ("mass > 4000", {"mass": {">": 4000}}),
        ("item.kind == 'a b'", {"kind": {"==": "a b"}}),
        ("a > 1 && b != 'x'", "item.a > 1 && item.b != 'x'"),
        ("size(item.tags) > 0", "size(item.tags) > 0"),
    ],
)
def test_conditions_on_records_name_their_fields(where: str, mended: Any) -> None:
    step: dict[str, Any] = {"id": "f", "tool": "data.filter", "args": {"where": where}}
    mend({"steps": [step]}, REGISTRY)
    assert step["args"]["where"] == mended


def test_a_phone_number_is_a_literal_and_names_its_tool() -> None:
    @tool(effects="external")
    def send_sms(phone: str, message: str) -> bool:
        """Send a text message."""
        return bool(phone + message)

    [found] = literals("Tell +44 20 7946 0018 about it")
    assert (found.kind, found.text) == ("phone number", "+44 20 7946 0018")
    assert takers(found, ToolRegistry([send_sms, read_tide])) == [send_sms]


def test_a_sequence_of_tools_has_one_shape_a_step() -> None:
    tasks = sequence_schema([read_tide, send_letter], longest_text=None)["properties"]["tasks"]
    named = [item["properties"]["tool"]["enum"] for item in tasks["prefixItems"]]
    assert named == [["tide.read"], ["letter.send"]]
    assert (tasks["minItems"], tasks["maxItems"]) == (2, 2)


async def test_a_field_that_a_step_was_given_is_read_as_what_it_was_given() -> None:
    first = {**SEND, "args": {"to": "eve@example.org", "text": "${{ steps.s1.harbour }}"}}
    again = {**SEND, "id": "s3", "args": {"to": "ann@example.org", "text": "${{ steps.s2.text }}"}}
    goal = "Tell eve@example.org and ann@example.org of Brest?"
    plan, _, _ = await run({"tasks": [READ, first, again]}, goal=goal)
    assert plan.flow is not None
    assert plan.flow.steps[2].args["text"] == "${{ steps.tide_read.harbour }}"


async def test_a_language_is_written_as_in_the_goal() -> None:
    translate = {"text": "${{ steps.s1 }}", "target_language": "vi"}
    steps = [NOTE_READ, {"id": "s2", "tool": "translate_note", "args": translate}]
    goal = "Read a.txt and translate it into Vietnamese."
    plan, _, _ = await run({"tasks": steps}, goal=goal, registry=NOTES)
    assert plan.flow is not None
    assert plan.flow.steps[1].args["target_language"] == "Vietnamese"


async def test_an_idle_step_is_left_out_and_a_late_one_brought_forward_under_a_doubt() -> None:
    idle = {"id": "s5", "tool": "letter.list", "args": {"folder": "Brest"}}
    goal = "What the water does at Brest is of interest to eve@example.org."
    plan, _, model = await run({"tasks": [READ, idle, SEND]}, goal=goal)
    assert plan.flow is not None and len(model.requests) == 1
    assert [step.tool for step in plan.flow.steps] == ["tide.read", "letter.send"]
    assert [problem.code for problem in plan.problems] == ["step_left_out"]
    translate = {"text": "${{ steps.s1 }}", "target_language": "Hindi"}
    late = {"id": "s4", "tool": "translate_note", "args": translate}
    wrong = {"tasks": [NOTE_READ, mail("${{ steps.s1 }}"), late]}
    goal = "eve@example.org reads only Hindi: get a.txt to her."
    plan, _, model = await run(wrong, wrong, wrong, goal=goal, registry=NOTES)
    assert not plan.certain and len(model.requests) == 1
    assert [problem.code for problem in plan.problems] == ["step_brought_forward"]
    assert plan.flow is not None
    assert [step.tool for step in plan.flow.steps][1:] == ["translate_note", "send_email"]
