"""What the rules plan with bodies from the web, and with addresses."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.plan import Plan, PlanStatus
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")


def args(plan: Plan, name: str) -> dict[str, Any]:
    """Return the arguments of a step."""
    assert plan.flow is not None
    return next(dict(step.args) for step in plan.flow.steps if step.id == name)


@pytest.mark.parametrize(
    ("goal", "parser"),
    [
        ("Download http://h/a.json, keep the rows where id is above 1 and save them as out/k.csv",
         "json.parse"),
        ("Get https://example.org/users.json and count the users by country", "json.parse"),
        ("Fetch https://example.org/a.json and parse it as JSON", "json.parse"),
        ("Download http://h/a.csv, keep the rows where id is above 1 and save them as out/k.csv",
         "csv.parse"),
    ],
)  # fmt: skip
def test_a_body_that_is_parsed_by_a_step_is_asked_for_as_text(goal: str, parser: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert plan.certain and plan.flow is not None
    assert plan.flow.steps[1].tool == parser
    assert args(plan, "get")["parse"] == "text"
    assert args(plan, "parse") == {"text": "${{ steps.get.body }}"}


def test_a_body_that_no_step_parses_is_taken_as_it_comes() -> None:
    plan = plan_goal("Fetch https://example.org/a.json and save it as out/a.json", STARTER)
    assert args(plan, "get") == {"url": "https://example.org/a.json"}
    assert args(plan, "write")["content"] == "${{ steps.get.body }}"


def test_two_bodies_are_joined_as_they_were_parsed() -> None:
    goal = "Download http://h/a.json and http://h/b.json, join them by id and save them as k.csv"
    plan = plan_goal(goal, STARTER)
    assert plan.certain
    assert args(plan, "get")["parse"] == args(plan, "get_2")["parse"] == "text"
    assert args(plan, "join")["left"] == "${{ steps.parse.value }}"
    assert args(plan, "join")["right"] == "${{ steps.parse_2.value }}"


def test_a_body_that_no_tool_can_parse_is_no_table() -> None:
    goal = "Download http://h/a.yaml, keep the rows where id is above 1 and save them as out/k.csv"
    plan = plan_goal(goal, STARTER)
    assert not plan.certain
    assert [question.id for question in plan.questions] == ["filter.records"]


def test_the_text_of_a_file_is_no_address() -> None:
    plan = plan_goal("Post the text of notes.txt to the webhook", STARTER)
    assert plan.status is PlanStatus.NEEDS_ANSWERS
    assert [question.id for question in plan.questions] == ["request.url"]
    assert args(plan, "request")["body"] == "${{ steps.read.text }}"
    assert "json" not in args(plan, "request")


def test_the_json_of_a_file_is_sent_as_json() -> None:
    for goal in ("Post the contents of a.json to https://h.example/x",
                 "Read a.json and PUT it to https://h.example/x"):  # fmt: skip
        plan = plan_goal(goal, STARTER)
        assert plan.certain
        assert args(plan, "parse")["text"] == "${{ steps.read.text }}"
        assert args(plan, "request")["json"] == "${{ steps.parse.value }}"


def test_json_that_is_sent_twice_is_parsed_once() -> None:
    goal = f"Read a.json, PUT it to {A} and post it to {B}"
    plan = plan_goal(goal, STARTER)
    assert plan.flow is not None
    tools = [step.tool for step in plan.flow.steps]
    assert tools == ["file.read", "json.parse", "http.request", "http.request"]
    assert {args(plan, name)["json"] for name in ("request", "request_2")} == {
        "${{ steps.parse.value }}"
    }


@pytest.mark.parametrize("words", ["to b.csv", "as b.csv", "into the file b.csv", "to a.csv"])
def test_what_is_downloaded_to_a_file_is_saved(words: str) -> None:
    plan = plan_goal(f"Download https://h.example/a.csv {words}", STARTER)
    assert plan.certain
    assert args(plan, "write") == {"path": words.split()[-1], "content": "${{ steps.get.body }}"}


@pytest.mark.parametrize(
    ("goal", "doubt"),
    [
        ("Download https://h.example/logo.png and save it as logo.png", "knows texts only"),
        ('Write "hi" to a.pdf', "knows texts only"),
        ("Read photo.jpg and show it to me", "knows texts only"),
        ("Get the first line of notes.txt and write it to first.txt", "not “first line” alone"),
        ("Read the title of page.html and write it to t.txt", "not “title” alone"),
        ("Fetch the headline of https://h.example/x and save it as t.txt", "not “headline” alone"),
        ("Fetch https://h.example/a and save only the field items to b.json",
         "no step gives “field items” alone"),
    ],
)  # fmt: skip
def test_what_is_no_text_or_only_a_part_of_one_is_doubted(goal: str, doubt: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert any(doubt in note for note in plan.notes)
    assert not plan.certain


A, B = "https://h.example/a", "https://h.example/b"


def test_a_request_that_takes_nothing_along_is_given_no_answer_of_another() -> None:
    plan = plan_goal(f"Delete {A} and delete {B}", STARTER)
    assert plan.certain
    assert args(plan, "request_2") == {"url": B, "method": "DELETE"}
    plan = plan_goal(f"Read a.json and send a DELETE request with it to {B}", STARTER)
    assert "json" not in args(plan, "request") and not plan.certain


def test_a_second_request_that_says_nothing_of_a_body_is_doubted() -> None:
    plan = plan_goal(f"Post to {A} and then post to {B}", STARTER)
    assert any("json was taken to be what request gives" in note for note in plan.notes)
    assert not plan.certain
    for said in ("it", "the answer"):
        plan = plan_goal(f"Post to {A} and then post {said} to {B}", STARTER)
        assert args(plan, "request_2")["json"] == "${{ steps.request.body }}"
        assert plan.certain
