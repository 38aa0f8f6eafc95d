"""JSON in the words of a goal: one value, whole, for the parameter that takes any."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.plan import Plan
from flowbuilder.planner.rules.literals import Kind, broken_json, find_literals
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")


def args(plan: Plan) -> dict[str, Any]:
    """Return the arguments of the first step."""
    assert plan.flow is not None
    return dict(plan.flow.steps[0].args)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('Post {"text": "hi"} to it', [{"text": "hi"}]),
        ('{"a": [{"b": null}]} and [1, "x, y."]', [{"a": [{"b": None}]}, [1, "x, y."]]),
        ("Write '{\"a\": 1}' down", []),
        ("the value at items[0].name", []),
        ("see [the page](https://example.org) and out/{name}.txt", []),
        ('{"a": 1, "a": 2}', []),
        ('{"a": NaN}', []),
        ("[[[[" * 500, []),
    ],
)  # fmt: skip
def test_whole_json_outside_of_quotation_marks_is_one_literal(text: str, values: list[Any]) -> None:
    found = [item for item in find_literals(text) if item.kind is Kind.JSON]
    assert [item.value for item in found] == values
    assert all(text[item.start : item.end] == item.text for item in found)


@pytest.mark.parametrize(
    ("words", "method", "value"),
    [
        ('Post {"text": "hi"} to https://example.org/hook', "POST", {"text": "hi"}),
        ('Send a POST to https://example.org/hook with the JSON {"a": 1}', "POST", {"a": 1}),
        ('Put {"name": "Ann", "at": "2024-01-01"} to https://example.org/hook', "PUT",
         {"name": "Ann", "at": "2024-01-01"}),
        ('Post {"a": "x, and delete it. Then stop."} to https://example.org/hook', "POST",
         {"a": "x, and delete it. Then stop."}),
        ("Post [1, 2, 3] to https://example.org/hook", "POST", [1, 2, 3]),
    ],
)  # fmt: skip
def test_json_is_sent_as_it_stands(words: str, method: str, value: Any) -> None:
    plan = plan_goal(words, STARTER)
    wanted = {"url": "https://example.org/hook", "method": method, "json": value}
    assert args(plan) == wanted
    assert plan.certain


def test_json_is_kept_as_it_stands() -> None:
    plan = plan_goal('Write {"a": 1} to out/a.json', STARTER)
    assert args(plan) == {"path": "out/a.json", "content": {"a": 1}}


def test_json_goes_to_another_parameter_only_by_its_name() -> None:
    goal = 'Post {"a": 1} to https://example.org/hook with the headers {"X-A": "b"}'
    found = args(plan_goal(goal, STARTER))
    assert (found["json"], found["headers"]) == ({"a": 1}, {"X-A": "b"})
    assert "body" not in found


def test_what_only_begins_like_json_leaves_a_plan_uncertain() -> None:
    plan = plan_goal('Post {"text": hi} to https://example.org/hook', STARTER)
    assert not plan.certain
    assert any("begins like JSON" in note for note in plan.notes)
    assert broken_json('Write \'{"a": b}\' to out/a.txt and post {"a": 1}') is None
