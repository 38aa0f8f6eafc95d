"""Evidence for values: what was said, what follows, and what somebody made up."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan, PlanStatus
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.evidence import Statement
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool
from flowbuilder.types import JsonObject, JsonValue


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("Book a table for 4", 4),
        ("Book a table for four at noon", 4),
        ("a loan of $1,250,000.50", 1250000.5),
        ("a loan of 2.5 million", 2_500_000),
        ("two hundred and fifty crates", 250),
        ("five thousand crates", 5000),
        ("a rate of 5%", 0.05),
        ("a rate of 5 percent", 5),
        ("a charge of 3 x 10^-6 C", 3e-6),
        ("1e-9 metres", 1e-9),
        ("3/4 of it", 0.75),
        ("for 2 hours", 120),
        ("90 minutes", 1.5),
        ("over the next week", 7),
        ("compounded quarterly", 4),
        ("the car starts from rest", 0),
        ("less than 5 stops", 4),
        ("values 200,300,400", 300),
        ("-7 degrees", -7),
        ("minus 7 degrees", 7),
        ("the third lane", 3),
        ("go to Ålesund", "Alesund"),
        ("weather of São Paulo, please", "são paulo"),
        ("東京の天気", "東京"),
        ("integrate 3x^2 + 2x - 1", "3x**2+2x-1"),
        ("on March 11, 2022", "2022-03-11"),
        ("on 2022/08/16", "08-16-2022"),
        ("tax in Chicago, Illinois", "IL"),
        ("a trip to NYC", "New York City"),
        ("it costs 30 dollars", "USD"),
        ("put it into Spanish", "es"),
        ("it costs 30 francs", "CHF"),
        ("compare the prices of oranges", "orange price"),
        ("Read the harbour's log", "harbor log"),
        ("the ids [3, 5, 8]", [3, 5, 8]),
        ("from Rome at 7", {"city": "Rome", "hour": 7}),
        ("nothing at all", True),
        ("nothing at all", None),
        ("nothing at all", ""),
        ("nothing at all", []),
        ("split at the comma", ","),
    ],
)
def test_what_was_said_is_supported(said: str, value: JsonValue) -> None:
    assert Statement(said).supports(value, {})


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("Book a table", 4),
        ("Book a table for 4", 40),
        ("a loan of 2.5 million", 250_000),
        ("a rate of 5%", 0.5),
        ("version 2.14", 14),
        ("compare the prices of oranges", "apple price"),
        ("weather please", "東京"),
        ("", 10**400),
        ("1e99999999999999999999", 7),
        ("on March 11, 2022", "2022-04-11"),
        ("on March 11, 2022", "2022-03-12"),
        ("tax in Chicago, Illinois", "CA"),
        ("the ids [3, 5]", [3, 5, 8]),
        ("from Rome at 7", {"city": "Oslo", "hour": 7}),
        ("the students of the school", "studio"),
        ("nothing at all", "false"),
        ("put it into Spanish", "fr"),
        ("0", "zero gravity chamber"),
    ],
)
def test_what_nobody_said_is_not(said: str, value: JsonValue) -> None:
    assert not Statement(said).supports(value, {})


@pytest.mark.parametrize(
    ("shape", "value", "supported"),
    [
        ({"default": 8}, 8, True),
        ({"default": True}, 1, False),
        ({"const": "v2"}, "v2", True),
        ({"enum": ["metric"]}, "metric", True),
        ({"enum": ["metric", "imperial"]}, "metric", False),
        ({"description": "How many, default is 20."}, 20, True),
        ({"description": "How many, such as 20. No default"}, 20, False),
        ({"items": {"default": "x9"}}, ["x9"], True),
        ({"properties": {"unit": {"default": "x9"}}}, {"unit": "x9"}, True),
        ({"properties": None}, {"unit": "x9"}, False),
    ],
)
def test_what_a_schema_says_is_supported(
    shape: dict[str, Any], value: JsonValue, supported: bool
) -> None:
    assert Statement("nothing of it").supports(value, shape) is supported


def test_a_long_statement_is_read_in_bounds() -> None:
    statement = Statement("seven hundred crates of apples, 12 a day; " * 500)
    assert statement.supports(700, {}) and not statement.supports("pears", {})
    for run in ("9" * 5000 + "e" + "9" * 5000, "-" * 20_000, "1" * 20_000):
        assert not Statement(run).supports(3, {})
        assert not Statement(run).supports("three pears", {})


@tool("ferry.book", effects="read")
def book(port: str, seats: int, cabin: str = "none") -> str:
    """Book a ferry.

    Args:
        port: Where it leaves
        seats: How many seats
        cabin: Which cabin
    """
    return f"{port}{seats}{cabin}"


@tool("ferry.announce", effects="external")
def announce(channel: str, message: str) -> str:
    """Announce a ferry."""
    return channel + message


async def planned(goal: str, steps: list[JsonValue], **given: Any) -> Plan:
    answer: JsonObject = {"tasks": steps}
    planner = ModelPlanner(Settings(model="scripted"), ScriptedModel([answer] * 6))
    asked = PlanRequest(id="p", goal=goal, registry=ToolRegistry([book, announce]), **given)
    events = [event async for event in planner.stream(asked)]
    assert events[-1].plan is not None
    return events[-1].plan


def step(**args: JsonValue) -> JsonObject:
    return {"id": "s1", "tool": "ferry.book", "args": args}


async def test_what_the_goal_states_is_not_asked_for() -> None:
    plan = await planned("Book a ferry from Brest, three seats.", [step(port="Brest", seats=3)])
    assert not plan.questions and plan.status is PlanStatus.READY
    assert plan.flow is not None and plan.flow.steps[0].args == {"port": "Brest", "seats": 3}


async def test_a_value_that_nobody_stated_becomes_a_question() -> None:
    plan = await planned("Book a ferry from Brest.", [step(port="Brest", seats=3)])
    assert [(item.pointer, item.text) for item in plan.questions] == [
        (
            "/steps/0/args/seats",
            "Which seats (How many seats) should ferry_book use? The goal does not say.",
        )
    ]
    assert plan.status is PlanStatus.NEEDS_ANSWERS
    assert plan.flow is not None and plan.flow.steps[0].args == {"port": "Brest"}


async def test_what_the_input_holds_is_not_asked_for() -> None:
    plan = await planned(
        "Book a ferry from Brest.", [step(port="Brest", seats=3)], input={"people": 3}
    )
    assert not plan.questions


async def test_a_text_that_is_composed_is_not_asked_for() -> None:
    steps: list[JsonValue] = [
        {
            "id": "s1",
            "tool": "ferry.announce",
            "args": {"channel": "#port", "message": "Welcome aboard, dear guests"},
        }
    ]
    plan = await planned("Announce the ferry in #port with a nice greeting", steps)
    assert not plan.questions


async def test_a_step_that_the_goal_speaks_of_is_asked_about_and_not_left_out() -> None:
    steps: list[JsonValue] = [
        step(port="Brest", seats=2),
        {"id": "s2", "tool": "ferry.book", "args": {"port": "Calais", "seats": 5}},
    ]
    plan = await planned("Book a ferry from Brest with 2 seats and book a ferry from", steps)
    assert [item.pointer for item in plan.questions] == [
        "/steps/1/args/port",
        "/steps/1/args/seats",
    ]
