"""Arguments that take a list of texts count as those that take one text do."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.planner.addresses import trim_addresses
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.coercion import coerce, takes_text, takes_texts
from flowbuilder.planner.demonstration import demonstrations
from flowbuilder.planner.eligibility import eligible
from flowbuilder.planner.inventions import invented_addresses
from flowbuilder.planner.judging import judge, missing_tools
from flowbuilder.planner.literals import lost_literals
from flowbuilder.planner.misplacing import misplaced_receivers
from flowbuilder.planner.rerouting import reroute
from flowbuilder.tools import ToolRegistry, tool
from tests.support.archive import answer, step


@tool("page.read", effects="read")
def read_page(url: str) -> str:
    """Read a page."""
    return url


@tool("letter.mail", effects="external")
def mail_letter(to: list[str], body: str, subject: str = "") -> bool:
    """Send an e-mail to one or more addresses."""
    return bool(to and body and subject)


@tool("wall.pin", effects="external")
def pin(channel: str, message: str) -> bool:
    """Pin a message to a wall."""
    return bool(channel and message)


TOOLS = [read_page, mail_letter, pin]
REGISTRY = ToolRegistry(TOOLS)


def request(goal: str) -> PlanRequest:
    return PlanRequest(id="p", goal=goal, registry=REGISTRY)


def plan_of(name: str, **args: Any) -> dict[str, Any]:
    return {"steps": [{"id": "one", "tool": name, "args": args}]}


@pytest.mark.parametrize(
    ("shape", "text", "texts"),
    [
        ({"type": "string"}, True, False),
        ({"type": "array", "items": {"type": "string"}}, True, True),
        ({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}, True, True),
        ({"type": "array", "items": {"type": "integer"}}, False, False),
        ({"type": "array"}, False, False),
        ({}, False, False),
    ],
)
def test_a_list_of_texts_takes_text(shape: dict[str, Any], text: bool, texts: bool) -> None:
    assert (takes_text(shape), takes_texts(shape)) == (text, texts)


def test_a_mailing_tool_is_closed_where_nobodys_address_is_named() -> None:
    goal = "What is the gist of https://blog.example.org/one, in short?"
    assert mail_letter not in eligible(request(goal), TOOLS)
    assert mail_letter in eligible(request(f"eve@example.org wants it. {goal}"), TOOLS)


def test_a_mailing_tool_is_shown_in_the_examples() -> None:
    found: list[Any] = [item for made in demonstrations(TOOLS) for item in made.tasks]
    receivers = [item["args"]["to"] for item in found if item["tool"] == "letter.mail"]
    assert receivers and all(item == ["lee@desk.example"] for item in receivers)


def test_one_text_becomes_a_list_and_a_list_of_one_a_text() -> None:
    document = plan_of("letter.mail", to="eve@example.org", body=["All is well"])
    assert coerce(document, REGISTRY)
    assert document["steps"][0]["args"] == {"to": ["eve@example.org"], "body": "All is well"}
    kept = plan_of("letter.mail", to="${{ steps.people }}", body="${{ steps.news }}")
    assert coerce(kept, REGISTRY) == []


def test_an_address_in_a_list_is_carried_and_a_lost_one_names_its_tool() -> None:
    goal = 'Let eve@example.org know: "All is well"'
    carried = plan_of("letter.mail", to=["eve@example.org"], body="All is well")
    assert lost_literals(goal, carried, REGISTRY) == []
    judged = judge(answer(step(1, "wall.pin", channel="x", message="All is well")), request(goal))
    assert any("eve@example.org" in item.message for item in judged.errors)
    asked = request("eve@example.org wants what https://a.example says")
    lost = judge(answer(step(1, "page.read", url="https://a.example")), asked)
    assert missing_tools(lost, asked) == [mail_letter]


def test_an_invented_address_in_a_list_is_a_problem() -> None:
    document = plan_of("letter.mail", to=["eve@example.org", "deck@example.com"], body="Hello")
    found = invented_addresses("Tell eve@example.org hello", document, None, REGISTRY)
    assert [item.message for item in found] == ["the address deck@example.com is not in the goal"]
    assert found[0].pointer == "/steps/0/args/to"


def test_a_channel_in_the_list_of_a_mail_is_rerouted() -> None:
    document = plan_of("letter.mail", to=["#deck"], body="Closed")
    assert [item.code for item in misplaced_receivers(document, REGISTRY)] == ["literal_misplaced"]
    assert reroute(document, REGISTRY)
    assert document["steps"][0]["tool"] == "wall.pin"
    assert document["steps"][0]["args"] == {"channel": "#deck", "message": "Closed"}


def test_an_address_in_a_list_is_trimmed() -> None:
    document = plan_of("page.read", url=["https://a.example/rates.SEK"])
    assert trim_addresses(document, "the rates.SEK of https://a.example/rates")
    assert document["steps"][0]["args"]["url"] == ["https://a.example/rates"]
