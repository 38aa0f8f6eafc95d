"""Broken flow documents by what is wrong with them: the document, the code, the pointer."""

from __future__ import annotations

from typing import Any

GET = {"id": "get", "tool": "page.get", "args": {"url": "https://example.org"}}


def flow_of(*steps: Any, **more: Any) -> dict[str, Any]:
    return {"flow": "x", "steps": list(steps), **more}


def step_of(**more: Any) -> dict[str, Any]:
    return {"id": "a", "tool": "anything.take", **more}


def _mixed(**args: Any) -> dict[str, Any]:
    return flow_of(GET, {"id": "a", "tool": "mixed.take", "args": {"amount": 1, **args}})


def _upper(text: object) -> dict[str, Any]:
    return flow_of(GET, {"id": "a", "tool": "text.upper", "args": {"text": text}})


def _when(text: object) -> dict[str, Any]:
    return flow_of(GET, step_of(when=text))


def _deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = {"a": found}
    return found


def _circular() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def _input(schema: object) -> dict[str, Any]:
    return flow_of(step_of(args={"x": "${{ input.a }}"}), input=schema)


BROKEN: dict[str, tuple[object, str, str]] = {
    "null": (None, "document_not_object", ""),
    "zero": (0, "document_not_object", ""),
    "empty text": ("", "document_not_object", ""),
    "list": ([], "document_not_object", ""),
    "python object": (object(), "json_type", ""),
    "empty object": ({}, "missing_key", ""),
    "no steps": ({"flow": "x"}, "no_steps", "/steps"),
    "empty steps": (flow_of(), "no_steps", "/steps"),
    "steps null": ({"flow": "x", "steps": None}, "wrong_type", "/steps"),
    "steps object": ({"flow": "x", "steps": {"a": {}}}, "wrong_type", "/steps"),
    "step null": (flow_of(None), "wrong_type", "/steps/0"),
    "step text": (flow_of(GET, "get"), "wrong_type", "/steps/1"),
    "step without id": (flow_of({"tool": "page.get"}), "missing_key", "/steps/0"),
    "step without tool": (flow_of({"id": "a"}), "missing_key", "/steps/0"),
    "no slug": ({"steps": [GET]}, "missing_key", ""),
    "bad slug": ({"flow": "a b/c", "steps": [GET]}, "bad_slug", "/flow"),
    "slug a number": ({"flow": 1, "steps": [GET]}, "wrong_type", "/flow"),
    "bad id": (flow_of({"id": "1-a", "tool": "page.get"}), "bad_step_id", "/steps/0/id"),
    "id with newline": (flow_of({**GET, "id": "a\n"}), "bad_step_id", "/steps/0/id"),
    "duplicate id": (flow_of(step_of(), step_of()), "duplicate_step_id", "/steps/1/id"),
    "unknown key of the flow": (flow_of(step_of(), step=[]), "unknown_key", "/step"),
    "unknown key of a step": (flow_of(step_of(arg={})), "unknown_key", "/steps/0/arg"),
    "unknown format": (flow_of(step_of(), format="flow.v9"), "bad_value", "/format"),
    "bad tool name": (flow_of(step_of(tool="a b")), "bad_tool_name", "/steps/0/tool"),
    "unknown tool": (flow_of(step_of(tool="page.gett")), "unknown_tool", "/steps/0/tool"),
    "unknown version": (flow_of(step_of(tool="page.get@7")), "unknown_tool", "/steps/0/tool"),
    "tool a number": (flow_of(step_of(tool=5)), "wrong_type", "/steps/0/tool"),
    "args a list": (flow_of(step_of(args=[])), "wrong_type", "/steps/0/args"),
    "args null": (flow_of(step_of(args=None)), "wrong_type", "/steps/0/args"),
    "missing argument": (
        flow_of({"id": "a", "tool": "page.get"}),
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
    "too much for a value": (
        flow_of(step_of(args={"x": "y" * 1_100_000})),
        "json_size",
        "/steps/0/args",
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
        flow_of(
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
        flow_of(step_of(), output={"x": ["${{ steps.b }}"]}),
        "unknown_step_reference",
        "/output/x/0",
    ),
    "unknown input field": (
        _input({"type": "object", "properties": {"b": {}}}),
        "unknown_input_field",
        "/steps/0/args/x",
    ),
    "field of a closed empty input": (
        _input({"type": "object", "additionalProperties": False, "properties": {}}),
        "unknown_input_field",
        "/steps/0/args/x",
    ),
    "field of an input that is a text": (
        _input({"type": "string"}),
        "unknown_input_field",
        "/steps/0/args/x",
    ),
    "unknown run field": (
        flow_of(step_of(args={"x": "${{ run.name }}"})),
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
        flow_of(step_of(args={"in": {"${{ input.a }}": 1}})),
        "reference_in_key",
        "/steps/0/args/in/${{ input.a }}",
    ),
    "item without a map": (
        flow_of(step_of(args={"x": "${{ item.a }}"})),
        "item_outside_map",
        "/steps/0/args/x",
    ),
    "index in the output": (
        flow_of(step_of(), output="${{ index }}"),
        "item_outside_map",
        "/output",
    ),
    "unknown item field": (
        flow_of(
            GET, step_of(for_each="${{ steps.get.body.items }}", args={"x": "${{ item.txt }}"})
        ),
        "unknown_item_field",
        "/steps/1/args/x",
    ),
    "map over a text": (
        flow_of(GET, step_of(for_each="${{ steps.get.body.title }}")),
        "for_each_not_array",
        "/steps/1/for_each",
    ),
    "map over plain words": (
        flow_of(step_of(for_each="all")),
        "for_each_invalid",
        "/steps/0/for_each",
    ),
    "map over a number": (flow_of(step_of(for_each=5)), "wrong_type", "/steps/0/for_each"),
    "self dependency": (
        flow_of(step_of(depends_on=["a"])),
        "self_dependency",
        "/steps/0/depends_on/0",
    ),
    "self reference": (
        flow_of(step_of(args={"x": ["${{ steps.a }}"]})),
        "self_dependency",
        "/steps/0/args/x/0",
    ),
    "self reference in a condition": (
        flow_of(step_of(when="steps.a == 1")),
        "self_dependency",
        "/steps/0/when",
    ),
    "self reference in a map": (
        flow_of(step_of(for_each="${{ steps.a }}")),
        "self_dependency",
        "/steps/0/for_each",
    ),
    "unknown dependency": (
        flow_of(step_of(depends_on=["b"])),
        "unknown_dependency",
        "/steps/0/depends_on/0",
    ),
    "dependencies a text": (flow_of(step_of(depends_on="a")), "wrong_type", "/steps/0/depends_on"),
    "too many steps": (
        flow_of(*({"id": f"s{number}", "tool": "no.such"} for number in range(10_000))),
        "too_many_steps",
        "/steps",
    ),
    "fifty levels": (flow_of(step_of(args=_deep(50))), "json_depth", "/steps/0/args" + "/a" * 29),
    "fifty thousand levels": (_deep(50_000), "json_depth", "/a" * 32),
    "list that holds itself": (
        flow_of(step_of(args={"x": _circular()})),
        "json_depth",
        "/steps/0/args/x" + "/0" * 28,
    ),
    "NaN": (flow_of(step_of(args={"x": [float("nan")]})), "json_nan", "/steps/0/args/x/0"),
    "infinity": (flow_of(step_of(args={"x": float("inf")})), "json_infinity", "/steps/0/args/x"),
    "NUL": (flow_of(step_of(args={"x": "\x00"})), "json_nul", "/steps/0/args/x"),
    "lone surrogate": (
        flow_of(step_of(description="\ud800")),
        "json_surrogate",
        "/steps/0/description",
    ),
    "huge integer": (flow_of(step_of(args={"x": 10**40})), "json_number", "/steps/0/args/x"),
    "huge text": (flow_of(step_of(args={"x": "a" * 9_000_000})), "json_size", ""),
    "key that is no text": (flow_of(step_of(args={1: 2})), "json_type", "/steps/0/args"),
    "negative timeout": (flow_of(step_of(timeout=-1)), "bad_value", "/steps/0/timeout"),
    "timeout in words": (flow_of(step_of(timeout="soon")), "bad_value", "/steps/0/timeout"),
    "no attempts": (
        flow_of(step_of(retry={"max_attempts": 0})),
        "bad_value",
        "/steps/0/retry/max_attempts",
    ),
    "endless attempts": (
        flow_of(step_of(retry={"max_attempts": 10**9})),
        "bad_value",
        "/steps/0/retry/max_attempts",
    ),
    "endless delay": (
        flow_of(step_of(retry={"base_delay": "99999d"})),
        "bad_value",
        "/steps/0/retry/base_delay",
    ),
    "no timeout": (flow_of(step_of(timeout="0s")), "bad_value", "/steps/0/timeout"),
    "no timeout of the run": (flow_of(step_of(), timeout=0), "bad_value", "/timeout"),
    "timeout a list": (flow_of(step_of(timeout=["30s"])), "bad_value", "/steps/0/timeout"),
    "delay null": (
        flow_of(step_of(retry={"base_delay": None})),
        "bad_value",
        "/steps/0/retry/base_delay",
    ),
    "attempts in words": (
        flow_of(step_of(retry={"max_attempts": "3"})),
        "wrong_type",
        "/steps/0/retry/max_attempts",
    ),
    "attempts true": (
        flow_of(step_of(retry={"max_attempts": True})),
        "wrong_type",
        "/steps/0/retry/max_attempts",
    ),
    "half an attempt": (
        flow_of(step_of(retry={"max_attempts": 1.5})),
        "wrong_type",
        "/steps/0/retry/max_attempts",
    ),
    "jitter a number": (
        flow_of(step_of(retry={"jitter": 1})),
        "wrong_type",
        "/steps/0/retry/jitter",
    ),
    "retry null": (flow_of(step_of(retry=None)), "wrong_type", "/steps/0/retry"),
    "unknown key of retry": (
        flow_of(step_of(retry={"attempts": 3})),
        "unknown_key",
        "/steps/0/retry/attempts",
    ),
    "unknown backoff": (
        flow_of(step_of(retry={"backoff": "no"})),
        "bad_value",
        "/steps/0/retry/backoff",
    ),
    "approval without time": (
        flow_of(step_of(approval={"deadline": 0})),
        "bad_value",
        "/steps/0/approval/deadline",
    ),
    "approvers a text": (
        flow_of(step_of(approval={"by": "ada"})),
        "wrong_type",
        "/steps/0/approval/by",
    ),
    "approver a number": (
        flow_of(step_of(approval={"by": ["ada", 0]})),
        "wrong_type",
        "/steps/0/approval/by/1",
    ),
    "unknown key named like a type": (flow_of(step_of(str=1)), "unknown_key", "/steps/0/str"),
    "key with a slash": (flow_of(step_of(**{"a/b~": 1})), "unknown_key", "/steps/0/a~1b~0"),
    "thousands of unknown keys": (
        flow_of({f"k{number}": 0 for number in range(5000)}),
        "unknown_key",
        "/steps/0",
    ),
    "dependency a number": (
        flow_of(step_of(depends_on=[0])),
        "wrong_type",
        "/steps/0/depends_on/0",
    ),
    "no concurrency": (flow_of(step_of(concurrency=0)), "bad_value", "/steps/0/concurrency"),
    "unknown trigger rule": (
        flow_of(step_of(trigger_rule="any")),
        "bad_value",
        "/steps/0/trigger_rule",
    ),
    "unknown on_error": (flow_of(step_of(on_error="ignore")), "bad_value", "/steps/0/on_error"),
    "approval a boolean": (flow_of(step_of(approval=True)), "wrong_type", "/steps/0/approval"),
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
    "condition on an unknown input": (
        {**_when("size(input.nmaes) > 0"), "input": {"properties": {"names": {}}}},
        "unknown_input_field",
        "/steps/1/when",
    ),
    "condition on an unknown field": (
        _when("steps.get.sttus == 200"),
        "unknown_output_field",
        "/steps/1/when",
    ),
    "input schema a text": (_input("object"), "input_schema_invalid", "/input"),
    "input schema from elsewhere": (
        _input({"$ref": "https://example.org/s"}),
        "input_schema_invalid",
        "/input/$ref",
    ),
    "input schema with a broken pattern": (
        _input({"properties": {"a": {"pattern": "(" * 5000}}}),
        "input_schema_invalid",
        "/input",
    ),
    "input schema null": (_input(None), "input_schema_invalid", "/input"),
    "input schema that never ends": (_input({"$ref": "#"}), "input_schema_invalid", "/input/$ref"),
}
