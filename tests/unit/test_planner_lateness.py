"""A text that is rendered after it was sent is rendered before."""

from __future__ import annotations

from typing import Any

from flowbuilder.planner.lateness import bring_forward
from flowbuilder.tools import ToolRegistry, tool
from flowbuilder.types import JsonObject


@tool("tongue.render", effects="read")
def render(text: str, language: str) -> str:
    """Translate a text."""
    return text + language


@tool("words.count")
def count(text: str) -> int:
    """Count the words of a text."""
    return len(text)


@tool("post.mail", effects="external")
def mail(to: str, body: str) -> bool:
    """Send an e-mail."""
    return bool(to and body)


@tool("shelf.put", effects="write")
def put(path: str) -> str:
    """Put a file on the shelf and return its link."""
    return path


REGISTRY = ToolRegistry([render, count, mail, put])
TEXT = "Your parcel has arrived"
GOAL = "Let a@b.example know in Polish that the parcel has arrived"


def step(name: str, tool: str, **args: Any) -> JsonObject:
    return {"id": name, "tool": tool, "args": args}


def test_what_is_rendered_too_late_is_sent_after_all() -> None:
    document: JsonObject = {
        "steps": [
            step("send", "post.mail", to="a@b.example", body=f"{TEXT}\n"),
            step("say", "tongue.render", text=TEXT, language="Polish"),
        ]
    }
    [doubt] = bring_forward(document, REGISTRY, GOAL)
    assert (doubt.code, doubt.pointer) == ("step_brought_forward", "/steps/0")
    assert doubt.message == "send is supposed to take what say makes of the text"
    assert document["steps"] == [
        step("say", "tongue.render", text=TEXT, language="Polish"),
        step("send", "post.mail", to="a@b.example", body="${{ steps.say }}\n"),
    ]


def test_references_count_as_texts() -> None:
    read = step("read", "words.count", text="of the page")
    source = "${{ steps.read.text }}"
    document: JsonObject = {
        "steps": [
            read,
            step("send", "post.mail", to="a@b.example", body=source),
            step("say", "tongue.render", text=source, language="Dutch"),
        ]
    }
    assert len(bring_forward(document, REGISTRY, GOAL)) == 1
    steps: Any = document["steps"]
    assert [item["id"] for item in steps] == ["read", "say", "send"]
    assert steps[2]["args"]["body"] == "${{ steps.say }}"


def test_what_is_used_measured_or_about_something_else_stays() -> None:
    send = step("send", "post.mail", to="a@b.example", body=TEXT)
    for late in (
        step("n", "words.count", text=TEXT),
        step("say", "tongue.render", text="Something else", language="Polish"),
        step("say", "tongue.render", text="${{ steps.send }}", language="Polish"),
    ):
        document: JsonObject = {"steps": [send, late]}
        assert bring_forward(document, REGISTRY, GOAL) == []
    used: JsonObject = {
        "steps": [
            send,
            step("say", "tongue.render", text=TEXT, language="Polish"),
            step("n", "words.count", text="${{ steps.say }}"),
        ]
    }
    assert bring_forward(used, REGISTRY, GOAL) == []


def test_a_link_is_made_before_it_is_told() -> None:
    def told(goal: str) -> JsonObject:
        document: JsonObject = {
            "steps": [
                step("send", "post.mail", to="a@b.example", body="It is at ${{ steps.dump }}."),
                step("keep", "shelf.put", path="${{ steps.dump }}"),
            ]
        }
        bring_forward(document, REGISTRY, goal)
        return document

    assert told("a@b.example needs the link to the file")["steps"] == [
        step("keep", "shelf.put", path="${{ steps.dump }}"),
        step("send", "post.mail", to="a@b.example", body="It is at ${{ steps.keep }}."),
    ]
    other = told("Mail the file to a@b.example and put it on the shelf")
    assert [item["id"] for item in other["steps"]] == ["send", "keep"]  # type: ignore[union-attr, index, call-overload]
