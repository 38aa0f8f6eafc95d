"""Broken documents: each is refused with the code and the place of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowbuilder.validation import validate
from tests.support.sample_tools import sample_registry

REGISTRY = sample_registry()
GET = {"id": "get", "tool": "page.get", "args": {"url": "https://example.org"}}


def _flow(*steps: Any, **more: Any) -> dict[str, Any]:
    return {"flow": "x", "steps": list(steps), **more}


def _any(**more: Any) -> dict[str, Any]:
    return {"id": "a", "tool": "anything.take", **more}


def _mixed(**args: Any) -> dict[str, Any]:
    return _flow(GET, {"id": "a", "tool": "mixed.take", "args": {"amount": 1, **args}})


def _upper(text: object) -> dict[str, Any]:
    return _flow(GET, {"id": "a", "tool": "text.upper", "args": {"text": text}})


def _when(text: object) -> dict[str, Any]:
    return _flow(GET, _any(when=text))


def _deep(levels: int) -> Any:
    return json.loads('{"a":' * levels + "1" + "}" * levels)


def _input(schema: object) -> dict[str, Any]:
    return _flow(_any(args={"x": "${{ input.a }}"}), input=schema)


BROKEN: dict[str, tuple[object, str, str]] = {
    "null": (None, "document_not_object", ""),
    "zero": (0, "document_not_object", ""),
    "empty text": ("", "document_not_object", ""),
    "list": ([], "document_not_object", ""),
    "python object": (object(), "json_type", ""),
    "empty object": ({}, "missing_key", ""),
    "no steps": ({"flow": "x"}, "no_steps", "/steps"),
    "empty steps": (_flow(), "no_steps", "/steps"),
    "steps null": ({"flow": "x", "steps": None}, "wrong_type", "/steps"),
    "steps object": ({"flow": "x", "steps": {"a": {}}}, "wrong_type", "/steps"),
    "step null": (_flow(None), "wrong_type", "/steps/0"),
    "step text": (_flow(GET, "get"), "wrong_type", "/steps/1"),
    "step without id": (_flow({"tool": "page.get"}), "missing_key", "/steps/0"),
    "step without tool": (_flow({"id": "a"}), "missing_key", "/steps/0"),
    "no slug": ({"steps": [GET]}, "missing_key", ""),
    "bad slug": ({"flow": "a b/c", "steps": [GET]}, "bad_slug", "/flow"),
    "slug a number": ({"flow": 1, "steps": [GET]}, "wrong_type", "/flow"),
    "bad id": (_flow({"id": "1-a", "tool": "page.get"}), "bad_step_id", "/steps/0/id"),
    "id with newline": (_flow({**GET, "id": "a\n"}), "bad_step_id", "/steps/0/id"),
    "duplicate id": (_flow(_any(), _any()), "duplicate_step_id", "/steps/1/id"),
    "unknown key of the flow": (_flow(_any(), step=[]), "unknown_key", "/step"),
    "unknown key of a step": (_flow(_any(arg={})), "unknown_key", "/steps/0/arg"),
    "unknown format": (_flow(_any(), format="flow.v9"), "bad_value", "/format"),
    "bad tool name": (_flow(_any(tool="a b")), "bad_tool_name", "/steps/0/tool"),
    "unknown tool": (_flow(_any(tool="page.gett")), "unknown_tool", "/steps/0/tool"),
    "unknown version": (_flow(_any(tool="page.get@7")), "unknown_tool", "/steps/0/tool"),
    "tool a number": (_flow(_any(tool=5)), "wrong_type", "/steps/0/tool"),
    "args a list": (_flow(_any(args=[])), "wrong_type", "/steps/0/args"),
    "args null": (_flow(_any(args=None)), "wrong_type", "/steps/0/args"),
    "missing argument": (
        _flow({"id": "a", "tool": "page.get"}),
        "missing_argument",
        "/steps/0/args",
    ),
    "missing inner argument": (_mixed(inner={}), "missing_argument", "/steps/1/args/inner"),
    "extra argument": (_mixed(more=1), "unknown_argument", "/steps/1/args/more"),
    "extra inner argument": (
        _mixed(inner={"key": 1, "a/b": 0}),
        "unknown_argument",
        "/steps/1/args/inner/a~1b",
    ),
    "text for a number": (_mixed(amount="1"), "argument_type", "/steps/1/args/amount"),
    "true for a number": (_mixed(amount=True), "argument_type", "/steps/1/args/amount"),
    "null for a number": (_mixed(amount=None), "argument_type", "/steps/1/args/amount"),
    "zero for a boolean": (_mixed(flag=0), "argument_type", "/steps/1/args/flag"),
    "false for a text": (_mixed(note=False), "argument_type", "/steps/1/args/note"),
    "not one of": (_mixed(mode="quick"), "argument_type", "/steps/1/args/mode"),
    "wrong literal beside a reference": (
        _mixed(numbers=["${{ steps.get.status }}", "z"]),
        "argument_type",
        "/steps/1/args/numbers/1",
    ),
    "wrong element through a reference": (
        _mixed(numbers=["${{ steps.get.body.title }}"]),
        "argument_type",
        "/steps/1/args/numbers/0",
    ),
    "array for a text": (
        _upper("${{ steps.get.body.items }}"),
        "argument_type",
        "/steps/1/args/text",
    ),
    "number for a text": (_upper("${{ steps.get.status }}"), "argument_type", "/steps/1/args/text"),
    "interpolated text for a number": (
        _mixed(amount="1${{ steps.get.status }}"),
        "argument_type",
        "/steps/1/args/amount",
    ),
    "unknown field": (
        _upper("${{ steps.get.body.titel }}"),
        "unknown_output_field",
        "/steps/1/args/text",
    ),
    "unknown field in a text": (
        _upper("so: ${{ steps.get.bdy }}"),
        "unknown_output_field",
        "/steps/1/args/text",
    ),
    "field of an array": (
        _upper("${{ steps.get.body.items.text }}"),
        "unknown_output_field",
        "/steps/1/args/text",
    ),
    "field of a mapped step": (
        _flow(
            {**GET, "for_each": ["u"]},
            {"id": "a", "tool": "text.upper", "args": {"text": "${{ steps.get.body.title }}"}},
        ),
        "unknown_output_field",
        "/steps/1/args/text",
    ),
    "unknown step": (
        _upper("${{ steps.gte.status }}"),
        "unknown_step_reference",
        "/steps/1/args/text",
    ),
    "unknown step in the output": (
        _flow(_any(), output={"x": ["${{ steps.b }}"]}),
        "unknown_step_reference",
        "/output/x/0",
    ),
    "unknown input field": (
        _input({"type": "object", "properties": {"b": {}}}),
        "unknown_input_field",
        "/steps/0/args/x",
    ),
    "unknown run field": (
        _flow(_any(args={"x": "${{ run.name }}"})),
        "unknown_run_field",
        "/steps/0/args/x",
    ),
    "open reference": (_upper("${{ steps.get"), "reference_syntax", "/steps/1/args/text"),
    "code in a reference": (
        _upper("${{ steps.get.status + 1 }}"),
        "reference_syntax",
        "/steps/1/args/text",
    ),
    "unknown root": (_upper("${{ secrets.token }}"), "reference_root", "/steps/1/args/text"),
    "reference as a key": (
        _flow(_any(args={"in": {"${{ input.a }}": 1}})),
        "reference_in_key",
        "/steps/0/args/in/${{ input.a }}",
    ),
    "item without a map": (
        _flow(_any(args={"x": "${{ item.a }}"})),
        "item_outside_map",
        "/steps/0/args/x",
    ),
    "index in the output": (_flow(_any(), output="${{ index }}"), "item_outside_map", "/output"),
    "unknown item field": (
        _flow(GET, _any(for_each="${{ steps.get.body.items }}", args={"x": "${{ item.txt }}"})),
        "unknown_item_field",
        "/steps/1/args/x",
    ),
    "map over a text": (
        _flow(GET, _any(for_each="${{ steps.get.body.title }}")),
        "for_each_not_array",
        "/steps/1/for_each",
    ),
    "map over plain words": (_flow(_any(for_each="all")), "for_each_invalid", "/steps/0/for_each"),
    "map over a number": (_flow(_any(for_each=5)), "wrong_type", "/steps/0/for_each"),
    "self dependency": (_flow(_any(depends_on=["a"])), "self_dependency", "/steps/0/depends_on/0"),
    "self reference": (_flow(_any(args={"x": "${{ steps.a }}"})), "self_dependency", "/steps/0"),
    "unknown dependency": (
        _flow(_any(depends_on=["b"])),
        "unknown_dependency",
        "/steps/0/depends_on/0",
    ),
    "dependencies a text": (_flow(_any(depends_on="a")), "wrong_type", "/steps/0/depends_on"),
    "too many steps": (
        _flow(*({"id": f"s{number}", "tool": "no.such"} for number in range(10_000))),
        "too_many_steps",
        "/steps",
    ),
    "fifty levels": (_flow(_any(args=_deep(50))), "json_depth", "/steps/0/args" + "/a" * 29),
    "NaN": (_flow(_any(args={"x": [float("nan")]})), "json_nan", "/steps/0/args/x/0"),
    "infinity": (_flow(_any(args={"x": float("inf")})), "json_infinity", "/steps/0/args/x"),
    "NUL": (_flow(_any(args={"x": "\x00"})), "json_nul", "/steps/0/args/x"),
    "lone surrogate": (_flow(_any(description="\ud800")), "json_surrogate", "/steps/0/description"),
    "huge integer": (_flow(_any(args={"x": 10**40})), "json_number", "/steps/0/args/x"),
    "huge text": (_flow(_any(args={"x": "a" * 9_000_000})), "json_size", ""),
    "key that is no text": (_flow(_any(args={1: 2})), "json_type", "/steps/0/args"),
    "negative timeout": (_flow(_any(timeout=-1)), "bad_value", "/steps/0/timeout"),
    "timeout in words": (_flow(_any(timeout="soon")), "bad_value", "/steps/0/timeout"),
    "no attempts": (
        _flow(_any(retry={"max_attempts": 0})),
        "bad_value",
        "/steps/0/retry/max_attempts",
    ),
    "endless attempts": (
        _flow(_any(retry={"max_attempts": 10**9})),
        "bad_value",
        "/steps/0/retry/max_attempts",
    ),
    "endless delay": (
        _flow(_any(retry={"base_delay": "99999d"})),
        "bad_value",
        "/steps/0/retry/base_delay",
    ),
    "no concurrency": (_flow(_any(concurrency=0)), "bad_value", "/steps/0/concurrency"),
    "unknown trigger rule": (_flow(_any(trigger_rule="any")), "bad_value", "/steps/0/trigger_rule"),
    "unknown on_error": (_flow(_any(on_error="ignore")), "bad_value", "/steps/0/on_error"),
    "approval a boolean": (_flow(_any(approval=True)), "wrong_type", "/steps/0/approval"),
    "condition a number": (_when(5), "wrong_type", "/steps/1/when"),
    "condition empty": (_when(""), "bad_value", "/steps/1/when"),
    "condition too long": (_when("x" * 2001), "bad_value", "/steps/1/when"),
    "condition broken": (_when("size("), "cel_syntax", "/steps/1/when"),
    "condition with references": (
        _when("${{ steps.get.status }} == 200"),
        "reference_in_when",
        "/steps/1/when",
    ),
    "condition nested too deep": (_when("(" * 41 + "1" + ")" * 41), "cel_nesting", "/steps/1/when"),
    "condition with three macros": (
        _when("[1].all(x, [1].all(y, [1].all(z, true)))"),
        "cel_macros",
        "/steps/1/when",
    ),
    "condition with an unknown function": (
        _when("length('a') == 1"),
        "cel_function",
        "/steps/1/when",
    ),
    "condition with an unknown name": (_when("status == 200"), "cel_unknown_name", "/steps/1/when"),
    "condition on an unknown step": (
        _when("steps.gte == 1"),
        "unknown_step_reference",
        "/steps/1/when",
    ),
    "condition on an unknown field": (
        _when("steps.get.sttus == 200"),
        "unknown_output_field",
        "/steps/1/when",
    ),
    "input schema a text": (_input("object"), "input_schema_invalid", "/input"),
    "input schema of an unknown type": (
        _input({"type": "map"}),
        "input_schema_invalid",
        "/input/type",
    ),
    "input schema with a list of properties": (
        _input({"properties": []}),
        "input_schema_invalid",
        "/input/properties",
    ),
    "input schema from elsewhere": (
        _input({"$ref": "https://example.org/s"}),
        "input_schema_invalid",
        "/input/$ref",
    ),
    "input schema that never ends": (_input({"$ref": "#"}), "input_schema_invalid", "/input/$ref"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_documents_are_refused(name: str) -> None:
    document, code, pointer = BROKEN[name]
    found = validate(document, REGISTRY)
    assert not found.valid
    assert found.flow is None
    assert (code, pointer) in {(item.code, item.pointer) for item in found.problems}
    assert all(item.message and item.code for item in found.problems)


@pytest.mark.parametrize(
    "steps",
    [
        [_any(depends_on=["b"]), {"id": "b", "tool": "anything.take", "depends_on": ["a"]}],
        [
            _any(args={"x": "${{ steps.b }}"}),
            {"id": "b", "tool": "anything.take", "args": {"x": "at ${{ steps.a.y }}"}},
        ],
        [
            _any(when="steps.b == 1"),
            {"id": "b", "tool": "anything.take", "for_each": "${{ steps.a }}"},
        ],
    ],
)
def test_cycles_name_their_path(steps: list[dict[str, Any]]) -> None:
    found = validate(_flow(*steps), REGISTRY)
    (cycle,) = [item for item in found.problems if item.code == "cycle"]
    assert "a -> b -> a" in cycle.message or "b -> a -> b" in cycle.message


def test_a_broken_step_hides_nothing_about_the_others() -> None:
    for name, (document, _, pointer) in BROKEN.items():
        if not isinstance(document, dict) or not pointer.startswith("/steps/"):
            continue
        if any(
            problem.code.startswith("json_") for problem in validate(document, REGISTRY).problems
        ):
            continue
        more = {**document, "steps": [*document["steps"], {"id": "zz", "tool": "no.such.tool"}]}
        last = len(more["steps"]) - 1
        pointers = {item.pointer for item in validate(more, REGISTRY).problems}
        assert {pointer, f"/steps/{last}/tool"} <= pointers, name
