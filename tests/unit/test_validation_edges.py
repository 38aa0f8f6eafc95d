"""What flows along the edges of a flow: types, null, optional fields, skipped steps, taint."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from flowbuilder.errors import Problem, Severity
from flowbuilder.schemafit import doubt, mismatch
from flowbuilder.schemapaths import Hit
from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.types import JsonSchema
from flowbuilder.validation import validate
from flowbuilder.validation.facts import _FACTS
from tests.support.sample_tools import sample_registry

_TEXT: JsonSchema = {"type": "string"}


def _tool(name: str, takes: JsonSchema, gives: JsonSchema, **more: Any) -> Tool:
    shape = {
        "type": "object",
        "properties": {"v": takes},
        "required": ["v"],
        "additionalProperties": False,
    }
    return Tool(
        name=name,
        summary="Do it.",
        handler=lambda **given: given,
        input_schema=shape if takes != {} else {"type": "object"},
        output_schema=gives,
        **more,
    )


def _edge(gives: JsonSchema, takes: JsonSchema, path: str = "", **step: Any) -> list[Problem]:
    """Return what is said of one output that goes into one argument."""
    registry = ToolRegistry([_tool("a.give", {}, gives), _tool("b.take", takes, {})])
    taker = {"id": "b", "tool": "b.take", "args": {"v": f"${{{{ steps.a{path} }}}}"}, **step}
    flow = {"flow": "x", "steps": [{"id": "a", "tool": "a.give"}, taker]}
    return list(validate(flow, registry).problems)


def _codes(found: list[Problem]) -> list[tuple[str, str]]:
    return [(item.code, item.pointer) for item in found]


@pytest.mark.parametrize(
    ("gives", "takes"),
    [
        (_TEXT, {"type": "integer"}),
        ({"type": "array", "items": _TEXT}, _TEXT),
        (_TEXT, {"type": "array", "items": _TEXT}),
        ({"type": "object", "properties": {"a": _TEXT}}, _TEXT),
        ({"enum": ["a", "b"]}, {"enum": ["c"]}),
        ({"const": 1}, {"enum": [2, 3]}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "email"}),
        ({"type": "string", "format": "image"}, {"type": "string", "format": "audio"}),
        (
            {"type": "string", "contentMediaType": "image/png"},
            {"type": "string", "contentMediaType": "text/plain"},
        ),
        ({"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 4}),
        ({"type": "array", "items": _TEXT}, {"type": "array", "items": {"type": "integer"}}),
        (
            {"type": "object", "properties": {"a": _TEXT}},
            {"type": "object", "properties": {"b": _TEXT}, "required": ["b"]},
        ),
        (
            {"$ref": "#/$defs/T", "$defs": {"T": {"type": "object", "properties": {"a": _TEXT}}}},
            {"type": "number"},
        ),
    ],
)
def test_what_cannot_fit_is_an_error(gives: JsonSchema, takes: JsonSchema) -> None:
    assert _codes(_edge(gives, takes)) == [("argument_type", "/steps/1/args/v")]


@pytest.mark.parametrize(
    ("gives", "takes"),
    [
        ({}, {"type": "integer"}),
        ({"type": "integer"}, {"type": "number"}),
        (_TEXT, {"type": ["string", "null"]}),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}),
        ({"const": 1.0}, {"enum": [1]}),
        ({"type": "string", "format": "date"}, _TEXT),
        ({"type": "string", "format": "postcode"}, {"type": "string", "format": "zip"}),
        ({"type": "integer", "maximum": 4}, {"type": "integer", "minimum": 4}),
        ({"type": "string", "contentMediaType": "image/png"},
         {"type": "string", "contentMediaType": "image/*"}),
        ({"anyOf": [{"type": "integer"}]}, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    ],
)  # fmt: skip
def test_what_fits_is_no_finding(gives: JsonSchema, takes: JsonSchema) -> None:
    assert _edge(gives, takes) == []


@pytest.mark.parametrize(
    ("gives", "takes", "path", "code"),
    [
        ({"type": ["string", "null"]}, _TEXT, "", "maybe_null"),
        ({"anyOf": [_TEXT, {"type": "null"}]}, _TEXT, "", "maybe_null"),
        ({"type": ["string", "integer"]}, _TEXT, "", "maybe_unfit"),
        ({"type": "number"}, {"type": "integer"}, "", "maybe_unfit"),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, "", "maybe_unfit"),
        (_TEXT, {"enum": ["a"]}, "", "maybe_unfit"),
        (
            {"type": "object", "properties": {"a": _TEXT, "b": _TEXT}, "required": ["b"]},
            _TEXT,
            ".a",
            "maybe_missing",
        ),
    ],
)
def test_what_may_not_fit_is_a_warning(
    gives: JsonSchema, takes: JsonSchema, path: str, code: str
) -> None:
    found = _edge(gives, takes, path)
    assert _codes(found) == [(code, "/steps/1/args/v")]
    assert found[0].severity is Severity.WARNING
    assert _edge(gives, takes, path, when=f"steps.a{path} != null") == []


def test_a_schema_without_a_list_of_needed_fields_is_not_doubted() -> None:
    assert _edge({"type": "object", "properties": {"a": _TEXT}}, _TEXT, ".a") == []
    default = {"type": "object", "properties": {"a": {**_TEXT, "default": ""}, "b": _TEXT}}
    assert _edge({**default, "required": ["b"]}, _TEXT, ".a") == []


def test_an_array_for_one_element_suggests_a_map() -> None:
    (found,) = _edge({"type": "array", "items": _TEXT}, _TEXT)
    assert "for_each" in str(found.hint)
    assert "null" in str(mismatch(Hit({"type": "null"}, {}), Hit(_TEXT, {})))
    assert doubt(Hit({}, {}), Hit(_TEXT, {})) is None


REGISTRY = sample_registry()
GET = {"id": "get", "tool": "page.get", "args": {"url": "https://e.org"}}


def _said(*steps: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    document = {"flow": "x", "input": {"properties": {"go": {}}}, "steps": list(steps), **more}
    return _codes(list(validate(document, REGISTRY).problems))


def _upper(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "up", "tool": "text.upper", "args": {"text": text}, **more}


def test_an_object_in_a_text_is_a_warning() -> None:
    assert _said(GET, _upper("so: ${{ steps.get.body }}")) == [
        ("object_in_text", "/steps/1/args/text")
    ]
    assert _said(GET, _upper("so: ${{ steps.get.body.title }}")) == []


def test_the_output_of_a_step_that_may_be_skipped() -> None:
    first = {**GET, "when": "input.go == true"}
    title = "${{ steps.get.body.title }}"
    assert _said(first, _upper(title)) == []
    assert _said(first, _upper(title, trigger_rule="none_failed")) == [
        ("maybe_skipped", "/steps/1/args/text")
    ]
    rule = {"trigger_rule": "none_failed", "when": "steps.get.status == 200"}
    assert _said(first, _upper(title, **rule)) == []
    assert _said({**GET, "on_error": "skip"}, _upper(title, trigger_rule="all_done")) == [
        ("maybe_skipped", "/steps/1/args/text")
    ]


def test_a_skipped_step_whose_output_is_unknown() -> None:
    first = {"id": "get", "tool": "anything.take", "when": "input.go == true"}
    step = _upper("${{ steps.get.some.field }}", trigger_rule="all_done")
    assert _said(first, step) == [("maybe_skipped", "/steps/1/args/text")]


def test_what_never_runs_is_unreachable() -> None:
    off = {**GET, "when": "false"}
    title = "${{ steps.get.body.title }}"
    assert _said(off, _upper(title)) == [
        ("unreachable_step", "/steps/0/when"),
        ("unreachable_step", "/steps/1"),
    ]
    assert _said(off, _upper("x", depends_on=["get"], trigger_rule="all_done")) == [
        ("unreachable_step", "/steps/0/when")
    ]
    assert _said({**GET, "when": "true"}) == [("condition_constant", "/steps/0/when")]


def test_dependencies_that_hold_anyway_are_needless() -> None:
    title = "${{ steps.get.body.title }}"
    assert _said(GET, _upper(title, depends_on=["get"])) == [
        ("needless_dependency", "/steps/1/depends_on/0")
    ]
    last = {"id": "z", "tool": "anything.take", "depends_on": ["get", "up"]}
    assert _said(GET, _upper(title), last) == [("needless_dependency", "/steps/2/depends_on/0")]
    # after a failure or a skip in between, the rule asks about the step itself
    assert _said(GET, _upper(title), {**last, "trigger_rule": "all_done"}) == []
    assert _said(GET, _upper(title, trigger_rule="all_done"), last) == []


def test_steps_that_give_nothing_to_anybody() -> None:
    output = {"v": "${{ steps.up }}"}
    assert _said(GET, _upper("x"), output=output) == [("unused_step", "/steps/0")]
    assert _said(GET, _upper("x"), output={"v": 1}) == []
    assert _said(GET, _upper("x")) == []


def test_maps_and_their_settings() -> None:
    assert _said(_upper("x", for_each=[1, 2])) == [("map_without_item", "/steps/0/for_each")]
    assert _said(_upper("${{ index }}", for_each=[1, 2])) == [
        ("argument_type", "/steps/0/args/text")
    ]
    assert _said(_upper("x", concurrency=2)) == [("concurrency_unused", "/steps/0/concurrency")]


@pytest.mark.parametrize(
    "text", ["{{ steps.get.body.title }}", "${steps.get.status}", "$steps.get"]
)
def test_references_in_other_languages(text: str) -> None:
    assert _said(GET, _upper(text)) == [("reference_spelling", "/steps/1/args/text")]
    assert _said(GET, _upper(text.replace("get", "nobody"))) == []
    assert _said(GET, _upper("$${{ steps.get.status }}")) == []


def test_data_from_outside_that_nobody_looks_at() -> None:
    title = "${{ steps.get.body.title }}"
    tools = ToolRegistry(REGISTRY)
    tools.add(_tool("disk.write", {"type": "string"}, {}, effects=Effects.WRITE))
    write = {"id": "w", "tool": "disk.write", "args": {"v": title}}

    def said(*steps: dict[str, Any]) -> list[tuple[str, str]]:
        return _codes(list(validate({"flow": "x", "steps": list(steps)}, tools).problems))

    assert said(GET, write) == [("untrusted_argument", "/steps/1/args/v")]
    through = {**write, "args": {"v": "${{ steps.up }}"}}
    tainted = said(GET, {"id": "up", "tool": "anything.take", "args": {"x": title}}, through)
    assert tainted == [("untrusted_argument", "/steps/2/args/v")]
    assert said(GET, {**write, "approval": {}}) == []
    assert said(GET, {**write, "approval": {"on_deadline": "approve"}}) == [
        ("approval_by_time", "/steps/1/approval/on_deadline")
    ]
    assert said(GET, {**write, "args": {"v": "known"}}) == []


def test_what_is_known_of_a_tool_goes_with_it() -> None:
    def judged() -> None:
        registry = ToolRegistry([_tool("short.lived", {}, _TEXT)])
        assert validate(
            {"flow": "x", "steps": [{"id": "a", "tool": "short.lived"}]}, registry
        ).valid

    gc.collect()
    before = len(_FACTS)
    for _ in range(5):
        judged()
    gc.collect()
    assert len(_FACTS) <= before
