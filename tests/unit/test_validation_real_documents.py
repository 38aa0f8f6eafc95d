"""The examples, whole and damaged, and what is built in Python, against the starter tools."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.flow import Flow, Step
from flowbuilder.strictjson import load_document
from flowbuilder.toolkit import starter_tools
from flowbuilder.tools import ToolRegistry
from flowbuilder.validation import validate
from tests.support.sample_tools import sample_registry

REGISTRY = ToolRegistry(starter_tools())
SAMPLES = sample_registry()
EXAMPLES: dict[str, Any] = {
    path.stem: load_document(path.read_text("utf-8"), name=path.name)
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
}
_PARTS: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 1.5, 10**30, float("nan"), "", "\x00", "\ud800", "x" * 3000, [], {},
     [[]], "${{", "${{ }}", "${{ input }}", "${{ item }}", "${{ steps.read }}", "${{ steps.x.y }}",
     "${{ steps.parse.records[0].a }}", "$${{", "steps.read", "has(steps.read.x)", "30s", "read",
     {"$ref": "#"}, {"type": "object"}, {"a/b~": 1}, ["read", "read"], {"id": "read", "tool": "x"}]
)  # fmt: skip
_PLACES = st.lists(st.integers(0, 30), min_size=1, max_size=6)
_DAMAGES = st.lists(st.tuples(_PLACES, _PARTS, st.booleans()), min_size=1, max_size=4)


def _damage(document: Any, places: list[int], part: Any, remove: bool) -> None:
    """Walk down by the given places, and replace or remove what is there."""
    at = document
    for place in places[:-1]:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        following = at[keys[place % len(keys)]] if keys else None
        if not isinstance(following, dict | list) or not following:
            break
        at = following
    keys = list(at) if isinstance(at, dict) else list(range(len(at)))
    key = keys[places[-1] % len(keys)]
    if remove:
        del at[key]
    else:
        at[key] = copy.deepcopy(part)


def _errors(problems: tuple[Problem, ...]) -> list[Problem]:
    return [item for item in problems if item.severity is Severity.ERROR]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_right(name: str) -> None:
    found = validate(EXAMPLES[name], REGISTRY, flows=["species-summary"])
    assert found.problems == ()
    assert found.flow is not None
    assert found.flow.slug == name


@settings(max_examples=150)
@given(st.sampled_from(sorted(EXAMPLES)), _DAMAGES)
def test_damaged_examples_are_judged(name: str, damages: list[tuple[list[int], Any, bool]]) -> None:
    document = copy.deepcopy(EXAMPLES[name])
    for places, part, remove in damages:
        if document:
            _damage(document, places, part, remove)
    found = validate(document, REGISTRY)
    assert found.valid == (not _errors(found.problems))
    for problem in found.problems:
        assert problem.pointer == "" or problem.pointer.startswith("/")
        assert isinstance(problem.fix, Fix)
        assert len(problem.message) < 1000
    if found.flow is not None:
        assert validate(found.flow, REGISTRY).flow == found.flow


def _circular() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["x"] = found
    return found


def _deep() -> Any:
    found: Any = 0
    for _ in range(1000):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("args", "code", "pointer"),
    [
        ({"x": float("nan")}, "json_nan", "/steps/0/args/x"),
        ({"x": b"bytes"}, "json_type", "/steps/0/args/x"),
        ({"x": {1, 2}}, "json_type", "/steps/0/args/x"),
        ({"x": object()}, "json_type", "/steps/0/args/x"),
        ({"x": 2**70}, "json_number", "/steps/0/args/x"),
        ({"x": {1: 2}}, "json_type", "/steps/0/args/x"),
        ({"x": "\ud800"}, "json_surrogate", "/steps/0/args/x"),
        ({"x": _deep()}, "json_depth", "/steps/0/args/x" + "/0" * 31),
        (_circular(), "json_depth", "/steps/0/args" + "/x" * 32),
    ],
)
def test_flows_built_in_python_are_held_to_the_same(
    args: dict[str, Any], code: str, pointer: str
) -> None:
    flow = Flow(flow="x", steps=[Step(id="a", tool="anything.take", args=args)])
    found = validate(flow, SAMPLES)
    assert [(item.code, item.pointer) for item in found.problems] == [(code, pointer)]


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, 0.0, -0.0, [None], {"": {}}, 1e300])
def test_empty_values_are_values(value: Any) -> None:
    step = {"id": "a", "tool": "anything.take", "args": {"v": value, "in": [value]}}
    mapped = {"id": "b", "tool": "anything.take", "for_each": [value], "args": {"v": "${{ item }}"}}
    document = {"flow": "x", "steps": [step, mapped], "output": value}
    found = validate(document, SAMPLES)
    assert found.problems == ()
    assert found.flow is not None
    assert found.flow.steps[0].args == {"v": value, "in": [value]}
    assert found.flow.document().get("output") == value


def _flow(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"flow": "x", "steps": list(steps), **more}


_CHILD = {"id": "child", "tool": "flow.run", "args": {"flow": "other"}}
_EACH = {"id": "each", "tool": "flow.run", "for_each": [1], "args": {"flow": "other"}}
_READ = {"id": "read", "tool": "file.read", "args": {"path": "a.txt"}}


@pytest.mark.parametrize(
    "document",
    [
        # what a child flow gives is not known
        _flow(_CHILD, output="${{ steps.child.any.thing[3].at_all }}"),
        _flow(_CHILD, {"id": "a", "tool": "time.sleep", "args": {"seconds": "${{ steps.child }}"}}),
        _flow(_EACH, output=["${{ steps.each }}", "${{ steps.each[0].any }}"]),
        _flow(_CHILD, {**_EACH, "for_each": "${{ steps.child.rows }}"}),
        # a failed step that continues gives null
        _flow({**_READ, "on_error": "continue"}, output="${{ steps.read.text }}"),
        _flow({**_READ, "on_error": "continue"}, output={"all": "${{ steps.read }}"}),
        _flow(_READ, {**_READ, "id": "b", "when": "steps.read == null || has(steps.read.nothing)"}),
        # an input that does not say what it is
        _flow(_READ, output="${{ input.anything }}"),
        _flow(_READ, input={"additionalProperties": {"type": "string"}}, output="${{ input.any }}"),
        _flow(
            {**_READ, "for_each": "${{ input.paths }}", "args": {"path": "${{ item.deep.path }}"}},
            input={"type": "object", "properties": {"paths": {"type": ["array", "null"]}}},
        ),
        _flow({**_READ, "for_each": "${{ input }}", "args": {"path": "${{ item }}"}}, input={}),
        _flow(
            {**_READ, "for_each": "${{ input.rows }}", "args": {"path": "${{ item.path }}"}},
            {**_READ, "id": "b", "args": {"path": "${{ steps.read[0].text }}-${{ input.rows }}"}},
            input={"type": "object", "properties": {"rows": {"items": {"type": "object"}}}},
        ),
    ],
)
def test_what_could_be_right_is_no_error(document: dict[str, Any]) -> None:
    assert _errors(validate(document, REGISTRY).problems) == []


def test_problems_are_bounded() -> None:
    steps = [
        {"id": f"s{n}", "tool": "file.read", "args": {"path": "a"}, "depends_on": missing}
        for n in range(20)
        for missing in [[f"m{m}" for m in range(100)]]
    ]
    found = validate(_flow(*steps), REGISTRY)
    assert len(found.problems) == 1001
    assert found.problems[-1].code == "more_problems"
    assert {item.pointer for item in found.problems[:-1]} >= {"/steps/0/depends_on/99"}


def test_a_step_with_thousands_of_bad_arguments_is_cut_short() -> None:
    many = {f"k{n}": "${{ input.x }}" for n in range(5000)}
    found = validate(_flow({**_READ, "args": many}), REGISTRY)
    assert 2 <= len(found.problems) <= 200


def test_a_tool_whose_schemas_are_broken_is_not_judged_by_them() -> None:
    broken = SAMPLES.require("page.get")
    tools = ToolRegistry(SAMPLES)
    odd = type(broken)(
        name="odd.tool",
        summary="Odd.",
        handler=broken.handler,
        input_schema={"properties": 5},
        output_schema={"anyOf": "x"},
    )
    tools.add(odd)
    step = {"id": "a", "tool": "odd.tool", "args": {"x": "${{ input.y }}"}}
    assert validate(_flow(step, output="${{ steps.a.b }}"), tools).valid
