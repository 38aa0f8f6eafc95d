"""Names in a goal, results that are connected, messages that are left out or doubted."""

from __future__ import annotations

from typing import Any

from flowbuilder.plan import Question
from flowbuilder.planner.connecting import connect, skip_readers
from flowbuilder.planner.grounding import Ground
from flowbuilder.planner.literals import lost_literals
from flowbuilder.planner.misplacing import misplaced_receivers
from flowbuilder.planner.names import names_in
from flowbuilder.planner.rerouting import reroute
from flowbuilder.planner.surplus import claimed_results, leave_out_messages
from flowbuilder.tools import ToolRegistry, tool


@tool(effects="read")
def harbour_page(url: str) -> str:
    """Fetch the text of a harbour's page."""
    return url


@tool(effects="read")
def open_document(path: str) -> str:
    """Read a document."""
    return path


@tool(effects="read")
def reword(text: str, language: str) -> str:
    """Put a text into another language."""
    return text + language


@tool(effects="read")
def tide_fee(harbour: str) -> dict[str, float]:
    """Look up the fee of a harbour."""
    return {harbour: 1.0}


@tool(effects="external")
def mail_letter(to: str, subject: str, body: str) -> bool:
    """Send a letter."""
    return bool(to and subject and body)


@tool(effects="external")
def ping_crew(channel: str, message: str) -> bool:
    """Alert the crew."""
    return bool(channel and message)


TOOLS = ToolRegistry([harbour_page, open_document, reword, tide_fee, mail_letter, ping_crew])


def plan_of(*steps: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"steps": [{"id": name, "tool": name, "args": args} for name, args in steps]}


def test_a_place_and_a_code_are_names_and_languages_and_days_are_none() -> None:
    goal = "Tell the crew of MSC-12 how it is in Brest on Friday, in Dutch."
    assert set(names_in(goal, TOOLS)) == {"MSC-12", "Brest"}


def test_a_name_that_no_step_carries_is_lost_with_a_warning() -> None:
    document = plan_of(("ping_crew", {"channel": "#deck", "message": "Leave"}))
    found = lost_literals("Look at Brest, then tell #deck to Leave", document, TOOLS)
    assert [problem.message for problem in found] == [
        "the name Brest of the goal is in no step's args"
    ]


def test_a_letter_carries_the_reworded_text_and_not_its_source() -> None:
    text = "The quay is closed"
    document = plan_of(
        ("reword", {"text": text, "language": "Dutch"}),
        ("mail_letter", {"to": "a@example.org", "subject": text, "body": f"{text}."}),
    )
    assert connect(document, TOOLS, Ground("tell them in Dutch"))
    assert document["steps"][1]["args"] == {
        "to": "a@example.org",
        "subject": text,
        "body": "${{ steps.reword }}",
    }


def test_a_text_that_was_fetched_is_not_opened_as_a_file() -> None:
    document = plan_of(
        ("harbour_page", {"url": "https://example.org"}),
        ("open_document", {"path": "${{ steps.harbour_page }}"}),
        ("reword", {"text": "${{ steps.open_document }}", "language": "Dutch"}),
    )
    assert skip_readers(document, TOOLS)
    assert [step["id"] for step in document["steps"]] == ["harbour_page", "reword"]
    assert document["steps"][1]["args"]["text"] == "${{ steps.harbour_page }}"


def test_a_file_of_the_goal_is_still_opened() -> None:
    document = plan_of(("open_document", {"path": "log.txt"}))
    assert skip_readers(document, TOOLS) == []
    assert len(document["steps"]) == 1


def test_a_message_whose_receiver_nobody_named_is_left_out_with_its_question() -> None:
    document = plan_of(
        ("ping_crew", {"message": "Cast off"}),
        ("mail_letter", {"to": "a@example.org", "subject": "Cast off", "body": "Cast off"}),
    )
    questions = [
        Question(id="ping_crew.channel", text="Which?", pointer="/steps/0/args/channel"),
        Question(id="mail_letter.cc", text="Whom?", pointer="/steps/1/args/cc"),
    ]
    goal = 'Tell a@example.org "Cast off".'
    left, notes = leave_out_messages(document, questions, TOOLS, goal)
    assert [step["id"] for step in document["steps"]] == ["mail_letter"]
    assert [question.pointer for question in left] == ["/steps/0/args/cc"]
    assert len(notes) == 1


def test_a_message_that_the_goal_speaks_of_is_kept() -> None:
    document = plan_of(
        ("ping_crew", {"message": "Cast off"}),
        ("mail_letter", {"to": "a@example.org", "subject": "Cast off", "body": "Cast off"}),
    )
    _, notes = leave_out_messages(document, (), TOOLS, "Write a@example.org and alert the crew")
    assert notes == []
    assert len(document["steps"]) == 2


def test_a_result_that_nobody_found_out_is_doubted_and_a_quoted_text_is_not() -> None:
    goal = 'Tell #deck how Brest is, and tell #quay "Cast off".'
    document = plan_of(
        ("ping_crew", {"channel": "#deck", "message": "Brest is splendid."}),
        ("ping_crew", {"channel": "#quay", "message": "Cast off"}),
    )
    found = claimed_results(document, TOOLS, Ground(goal), goal)
    assert [problem.pointer for problem in found] == ["/steps/0/args/message"]


def test_a_channel_is_no_address_of_mail() -> None:
    document = plan_of(("mail_letter", {"to": "#deck", "subject": "x", "body": "y"}))
    (problem,) = misplaced_receivers(document, TOOLS)
    assert (problem.code, problem.pointer) == ("literal_misplaced", "/steps/0/args/to")
    assert problem.hint is not None
    assert "ping_crew" in problem.hint


def test_a_message_goes_by_the_tool_that_reaches_its_receiver() -> None:
    document = plan_of(("mail_letter", {"to": "#deck", "subject": "x", "body": "y"}))
    assert reroute(document, TOOLS)
    [step] = document["steps"]
    assert (step["id"], step["tool"]) == ("ping_crew", "ping_crew")
    assert step["args"] == {"channel": "#deck", "message": "y"}

    @tool(effects="external")
    def text_phone(number: str, text: str) -> bool:
        """Send a text message."""
        return bool(number and text)

    @tool(effects="external")
    def tell_mate(user: str, message: str) -> bool:
        """Tell a mate something in the chat."""
        return bool(user and message)

    told = ("tell_mate", {"user": "+44 20 7946 0018", "message": "y"})
    document = plan_of(told)
    assert reroute(document, ToolRegistry([text_phone, tell_mate]))
    assert document["steps"][0]["args"] == {"number": "+44 20 7946 0018", "text": "y"}
    document = plan_of(told)
    assert not reroute(document, ToolRegistry([tell_mate]))
    assert not misplaced_receivers(document, ToolRegistry([tell_mate]))
