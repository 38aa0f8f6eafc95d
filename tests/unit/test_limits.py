"""Rates, limits of steps and tools: what may be written, what is refused, and what is compiled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder import DefinitionError, Rate, tool
from flowbuilder.errors import InvalidValue
from flowbuilder.executor.graphs import compile_steps
from flowbuilder.flow import Flow, LimitPolicy, flow_json_schema
from flowbuilder.graph import dependencies
from flowbuilder.limits import read_concurrency, read_rate
from flowbuilder.schemas import value_problems
from flowbuilder.validation import validate
from tests.support.engine import plain_registry

REGISTRY = plain_registry()


def document(limit: Any, **step: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"customer": {"type": "string"}}}
    return {
        "flow": "x",
        "input": schema,
        "steps": [{"id": "a", "tool": "work"}, {"id": "b", "tool": "work", "limit": limit, **step}],
    }


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [("10/s", 10, 1), ("5/1m", 5, 60), (" 100 / h ", 100, 3600), ("1/250ms", 1, 0.25),
     ("3/1.5s", 3, 1.5), ("1/31d", 1, 31 * 86400)],
)  # fmt: skip
def test_rates_are_read(text: str, count: int, seconds: float) -> None:
    rate = Rate.read(text)
    assert (rate.count, rate.seconds) == (count, seconds)
    assert Rate.read(str(rate)) == rate
    assert Rate.read(rate) is rate


@pytest.mark.parametrize(
    "text",
    ["", "10", "/s", "0/s", "-1/s", "1.5/s", "10/", "10/week", "10/0s", "1/32d", "1/0.1ms", "1/s/s",
     "99999999/s", "٣/s", None, 10, True, ["1/s"]],
)  # fmt: skip
def test_what_is_no_rate_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"rate|duration"):
        Rate.read(text)
    if text is not None:
        with pytest.raises(InvalidValue) as refused:
            read_rate(text, "/rate")
        assert (refused.value.code, refused.value.pointer) == ("rate_invalid", "/rate")


@given(st.integers(1, 1_000_000), st.integers(1, 31 * 86_400_000))
def test_a_rate_survives_being_written(count: int, milliseconds: int) -> None:
    rate = Rate(count=count, per=timedelta(milliseconds=milliseconds))
    assert Rate.read(str(rate)) == rate


@pytest.mark.parametrize("value", [0, -1, 10_001, True, 1.5, "3"])
def test_a_concurrency_is_a_number_of_things(value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_concurrency(value, "/concurrency")
    assert refused.value.code == "concurrency_invalid"


def test_a_step_says_its_limit_and_the_schema_knows_it() -> None:
    given = {"key": "${{ input.customer }}", "concurrency": 2, "rate": "5/1m"}
    checked = validate(document(given), REGISTRY)
    assert checked.problems == ()
    assert checked.flow is not None
    step = checked.flow.steps[1]
    assert step.limit == LimitPolicy.model_validate(given)
    stored = checked.flow.document()
    assert stored["steps"][1]["limit"] == given  # type: ignore[index, call-overload]
    assert Flow.model_validate(stored) == checked.flow
    assert value_problems(flow_json_schema(), stored, code="x", pointer="") == []
    wrong = document({"rate": "5 per minute"})
    assert value_problems(flow_json_schema(), wrong, code="x", pointer="") != []


@pytest.mark.parametrize(
    ("limit", "code", "pointer"),
    [
        ({}, "limit_empty", "/steps/1/limit"),
        ({"key": "k"}, "limit_empty", "/steps/1/limit"),
        ({"concurrency": 0}, "bad_value", "/steps/1/limit/concurrency"),
        ({"concurrency": "2"}, "wrong_type", "/steps/1/limit/concurrency"),
        ({"rate": "often"}, "bad_value", "/steps/1/limit/rate"),
        ({"rate": 5}, "bad_value", "/steps/1/limit/rate"),
        ({"per": 5, "concurrency": 1}, "unknown_key", "/steps/1/limit/per"),
        ({"key": "", "concurrency": 1}, "bad_value", "/steps/1/limit/key"),
        ({"key": "${{ index }}", "concurrency": 1}, "item_outside_map", "/steps/1/limit/key"),
        ({"key": "${{ run.id }}", "concurrency": 1}, "limit_key_invalid", "/steps/1/limit/key"),
        ({"key": "x-${{ input.customer }}", "concurrency": 1}, "limit_key_invalid",
         "/steps/1/limit/key"),
        ({"key": "${{ steps.zz }}", "concurrency": 1}, "unknown_step_reference",
         "/steps/1/limit/key"),
        ({"key": "${{ steps.b }}", "concurrency": 1}, "self_dependency", "/steps/1/limit/key"),
        (3, "wrong_type", "/steps/1/limit"),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_be_is_a_problem(limit: Any, code: str, pointer: str) -> None:
    problems = validate(document(limit), REGISTRY).problems
    assert (code, pointer) in [(problem.code, problem.pointer) for problem in problems]


@pytest.mark.parametrize(
    ("key", "compiled"),
    [
        (None, None),
        ("all", {"root": "literal", "literal": "all"}),
        ("${{ input.customer }}", {"root": "input", "position": None, "path": ["customer"]}),
        ("${{ steps.a.rows[0] }}", {"root": "steps", "position": 0, "path": ["rows", "0"]}),
        ("${{ item.host }}", {"root": "item", "position": None, "path": ["host"]}),
    ],
)
def test_a_limit_is_compiled_to_what_the_database_follows(key: str | None, compiled: Any) -> None:
    limit = {"key": key, "concurrency": 3, "rate": "2/10s"}
    flow = Flow.model_validate(document(limit, for_each=[1, 2]))
    first, second = compile_steps(flow, REGISTRY)
    assert first["limits"] is None
    assert second["limits"] == {
        "key": compiled, "concurrency": 3, "rate_count": 2, "rate_seconds": 10.0,
    }  # fmt: skip
    assert dependencies(flow)["b"] == (("a",) if key and "steps.a" in key else ())


def test_tools_declare_limits() -> None:
    @tool("mail.send", concurrency=2, rate="10/s")
    def send(to: str) -> None:
        """Send a mail."""

    assert (send.concurrency, send.rate) == (2, Rate(count=10, per=1))
    registry = plain_registry("work").merged([send])
    assert registry.limits() == {"mail.send": (2, Rate(count=10))}
    for wrong in ({"concurrency": 0}, {"rate": "fast"}, {"rate": 5}):
        with pytest.raises(DefinitionError) as refused:
            tool("x", **wrong)(lambda: None)
        assert refused.value.code == "tool_invalid"
