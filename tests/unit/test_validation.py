"""Validation of documents that are right, of values of any kind, and of many problems at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder.errors import DefinitionError, Severity
from flowbuilder.flow import Flow
from flowbuilder.validation import Validation, compile_flow, validate, validate_input
from tests.support.sample_tools import sample_registry

REGISTRY = sample_registry()
GET = {"id": "get", "tool": "page.get", "args": {"url": "https://example.org"}}
_WORDS = st.sampled_from(
    ["flow", "steps", "id", "tool", "args", "a", "page.get", "for_each", "when", "depends_on",
     "input", "output", "retry", "timeout", "approval", "${{ steps.a.b }}", "${{ item }}", "30s",
     "steps.a == 1", "type", "object", "$ref", "#", "properties", "url"]
)  # fmt: skip
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | _WORDS | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.text(), inner),
    max_leaves=25,
)
_STEPS = st.fixed_dictionaries(
    {"id": _WORDS, "tool": st.sampled_from(["page.get", "mixed.take", "anything.take", "no.such"])},
    optional={
        "args": st.dictionaries(_WORDS, _VALUES),
        "for_each": _VALUES,
        "when": _WORDS | st.text(),
        "depends_on": st.lists(_WORDS),
    },
)


def _flow(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"flow": "x", "steps": list(steps), **more}


def _codes(found: Validation) -> set[tuple[str, str]]:
    return {(problem.code, problem.pointer) for problem in found.problems}


@given(_VALUES)
def test_any_value_is_judged(document: object) -> None:
    found = validate(document, REGISTRY)
    assert found.valid == all(item.severity is not Severity.ERROR for item in found.problems)


@given(st.lists(_STEPS, max_size=4), _VALUES, _VALUES)
def test_anything_like_a_flow_is_judged(steps: list[Any], schema: object, output: object) -> None:
    found = validate({"flow": "x", "steps": steps, "input": schema, "output": output}, REGISTRY)
    assert found.valid == all(item.severity is not Severity.ERROR for item in found.problems)


@pytest.mark.parametrize(
    "document",
    [
        _flow({"id": "a", "tool": "anything.take"}),
        _flow({"id": "a", "tool": "anything.take@1", "args": {"": [0, False, "", None, {}]}}),
        _flow(
            {
                "id": "a",
                "tool": "mixed.take",
                "args": {"amount": 0, "flag": False, "note": None, "numbers": [], "anything": ""},
            }
        ),
        _flow({"id": "a", "tool": "mixed.take", "args": {"amount": 0, "note": ""}}),
        _flow(
            GET,
            {
                "id": "each",
                "tool": "text.upper",
                "for_each": "${{ steps.get.body.items }}",
                "args": {"text": "${{ index }}: ${{ item.text }}"},
            },
            {"id": "b", "tool": "text.upper", "args": {"text": "${{ steps.each[0].text }}"}},
            output=["${{ steps.each }}", "${{ run.id }}"],
        ),
        _flow(
            {"id": "later", "tool": "text.upper", "args": {"text": "${{ steps.get.body.title }}"}},
            GET,
        ),
        _flow(
            GET,
            {
                "id": "a",
                "tool": "mixed.take",
                "args": {
                    "amount": "${{ steps.get.status }}",
                    "numbers": [1, "${{ steps.get.status }}"],
                    "mode": "${{ steps.get.body.title }}",
                    "inner": {"key": "${{ steps.get.body.items[0].count }}"},
                },
            },
        ),
        _flow(
            {"id": "a", "tool": "mixed.take", "for_each": [0, 1], "args": {"amount": "${{ item }}"}}
        ),
        _flow({"id": "a", "tool": "text.upper", "args": {"text": "$${{ not.a.reference }}"}}),
        _flow(
            GET,
            {
                "id": "a",
                "tool": "anything.take",
                "when": "steps.get.status == 200 && size(steps.get.body.items) > 0",
                "retry": {"max_attempts": 1, "base_delay": 0},
                "timeout": "90s",
            },
        ),
        _flow(
            {"id": "a", "tool": "anything.take", "args": {"x": "${{ input.any.path }}"}},
            input={"type": "object"},
        ),
    ],
)
def test_right_documents_compile(document: dict[str, Any]) -> None:
    flow = compile_flow(document, REGISTRY)
    assert isinstance(flow, Flow)
    # what was compiled compiles again, and literals are as they were written
    assert compile_flow(flow, REGISTRY) == flow
    assert [step.args for step in flow.steps] == [
        step.get("args", {}) for step in document["steps"]
    ]


def test_every_problem_is_reported_at_once() -> None:
    found = validate(
        _flow(
            {"id": "a", "tool": "page.gte"},
            {"id": "b"},
            {"id": "c", "tool": "mixed.take", "args": {"amount": "much", "more": 1}, "when": "("},
            {"id": "c", "tool": "text.upper", "args": {"text": "${{ steps.d.x }}"}},
            {"id": "e", "tool": "anything.take", "depends_on": ["zz"], "timeout": -1},
            output="${{ steps.b.x }} ${{ steps.no }}",
            extra=1,
        ),
        REGISTRY,
    )
    assert not found.valid
    assert _codes(found) >= {
        ("unknown_key", "/extra"),
        ("unknown_tool", "/steps/0/tool"),
        ("missing_key", "/steps/1"),
        ("argument_type", "/steps/2/args/amount"),
        ("unknown_argument", "/steps/2/args/more"),
        ("cel_syntax", "/steps/2/when"),
        ("duplicate_step_id", "/steps/3/id"),
        ("unknown_step_reference", "/steps/3/args/text"),
        ("bad_value", "/steps/4/timeout"),
        ("unknown_step_reference", "/output"),
    }


def test_problems_come_in_document_order() -> None:
    found = validate(
        _flow(*({"id": f"s{number}", "tool": "no.such"} for number in range(12))), REGISTRY
    )
    assert [item.pointer for item in found.problems] == [
        f"/steps/{number}/tool" for number in range(12)
    ]


def test_compiling_raises_with_every_problem() -> None:
    with pytest.raises(DefinitionError) as caught:
        compile_flow(_flow({"id": "a", "tool": "x.y"}, {"id": "b", "tool": "x.z"}), REGISTRY)
    assert [item.code for item in caught.value.problems] == ["unknown_tool", "unknown_tool"]


def test_hints_guess_what_was_meant() -> None:
    found = validate(
        _flow(
            GET,
            {"id": "a", "tool": "text.uper", "args": {}},
            {"id": "b", "tool": "text.upper", "args": {"txt": "${{ steps.gte.status }}"}},
            {"id": "c", "tool": "text.upper", "args": {"text": "${{ steps.get.body.tile }}"}},
            {"id": "d", "tool": "text.upper", "arg": {}},
        ),
        REGISTRY,
    )
    hints = {item.pointer: item.hint or "" for item in found.problems if item.hint}
    assert "text.upper" in hints["/steps/1/tool"]
    assert "'get'" in hints["/steps/2/args/txt"] or "'text'" in hints["/steps/2/args/txt"]
    assert "'title'" in hints["/steps/3/args/text"]
    assert "'args'" in hints["/steps/4/arg"]


def test_warnings_do_not_stop_compilation() -> None:
    found = validate(
        _flow(GET, {"id": "a", "tool": "anything.take", "trigger_rule": "all_done"}), REGISTRY
    )
    assert found.valid
    assert [item.severity for item in found.problems] == [Severity.WARNING]


def test_too_many_steps_are_one_problem() -> None:
    steps = [{"id": "same", "tool": "no.such"} for _ in range(10_000)]
    found = validate(_flow(*steps), REGISTRY)
    assert _codes(found) == {("too_many_steps", "/steps")}
    few = validate(_flow(GET, {**GET, "id": "b"}), REGISTRY, max_steps=1)
    assert _codes(few) == {("too_many_steps", "/steps")}


def test_a_thousand_steps_compile() -> None:
    steps: list[dict[str, Any]] = [GET]
    for number in range(999):
        before = "get.body.title" if number == 0 else f"s{number - 1}.text"
        steps.append(
            {
                "id": f"s{number}",
                "tool": "text.upper",
                "args": {"text": f"${{{{ steps.{before} }}}}"},
            }
        )
    assert len(compile_flow(_flow(*steps), REGISTRY).steps) == 1000


def test_child_flows_are_known_only_where_they_are_given() -> None:
    document = _flow({"id": "a", "tool": "flow.run", "args": {"flow": "other"}})
    assert validate(document, REGISTRY).valid
    assert validate(document, REGISTRY, flows=["other"]).valid
    assert _codes(validate(document, REGISTRY, flows=[])) == {
        ("unknown_flow", "/steps/0/args/flow")
    }


def test_the_flow_that_undoes_a_step_is_known_too() -> None:
    undo = {"tool": "flow.run", "args": {"flow": "other"}}
    document = _flow({**GET, "compensate": undo})
    assert validate(document, REGISTRY).valid
    assert validate(document, REGISTRY, flows=["other"]).valid
    assert _codes(validate(document, REGISTRY, flows=[])) == {
        ("unknown_flow", "/steps/0/compensate/args/flow")
    }


def test_run_input_is_checked_against_the_input_schema() -> None:
    flow = compile_flow(
        _flow(
            {"id": "a", "tool": "anything.take"},
            input={
                "type": "object",
                "properties": {"n": {"type": "integer"}},
                "required": ["n", "m"],
            },
        ),
        REGISTRY,
    )
    assert validate_input(flow, {"n": 0, "m": None}) == ()
    found = validate_input(flow, {"n": "0"})
    assert sorted((item.code, item.pointer) for item in found) == [
        ("input_invalid", ""),
        ("input_invalid", "/n"),
    ]
    assert [item.code for item in validate_input(flow, None)] == ["input_invalid"]


@pytest.mark.parametrize(
    ("when", "codes"),
    [
        ("true", []),
        ("false", []),
        ("1 > 0 && !false", []),
        ("'x'", ["cel_not_bool"]),
        ("0", ["cel_not_bool"]),
        ("[]", ["cel_not_bool"]),
        ("null", ["cel_not_bool"]),
        ("1 + 'x' > 0", ["cel_type"]),
        ("1 / 0 > 0", ["cel_failed"]),
    ],
)
def test_a_condition_that_reads_nothing_is_tried(when: str, codes: list[str]) -> None:
    step = {"id": "a", "tool": "page.get", "args": {"url": "https://example.org"}, "when": when}
    found = validate({"flow": "f", "steps": [step]}, REGISTRY)
    errors = [item for item in found.problems if item.severity is Severity.ERROR]
    assert [(item.code, item.pointer) for item in errors] == [
        (code, "/steps/0/when") for code in codes
    ]
