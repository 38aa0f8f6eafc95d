"""Outputs that arguments ask for, arguments of which one is needed, inputs nobody declared."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.errors import DefinitionError, Fix, Severity
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import tool
from flowbuilder.types import JsonObject
from flowbuilder.validation import Checker, validate

STARTER = load_registry(Settings())
ROWS: JsonObject = {
    "type": "object",
    "properties": {
        "rows": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}}},
        }
    },
}


def found(*steps: Any, **head: Any) -> list[tuple[str, str]]:
    document = {"flow": "x", **head, "steps": [*steps]}
    problems = validate(document, STARTER).problems
    checker = Checker(STARTER, head={"flow": "x", **head})
    for step in steps:
        checker.add(step)
    assert checker.finish().problems == problems
    return [(item.code, item.pointer) for item in problems]


def asking(**args: Any) -> JsonObject:
    return {"id": "ask", "tool": "human.input", "args": {"message": "Which?", **args}}


def saving(content: str, **more: Any) -> JsonObject:
    args = {"path": "a.txt", "content": content}
    return {"id": "save", "tool": "file.write", "args": args, "approval": {}, **more}


@pytest.mark.parametrize("args", [{}, {"schema": None}, {"schema": {"type": "string"}}])
def test_an_answer_is_a_text_unless_something_else_is_asked_for(args: JsonObject) -> None:
    assert found(asking(**args), saving("${{ steps.ask }}")) == []
    wrong = found(asking(**args), saving("${{ steps.ask.response }}"))
    assert wrong == [("unknown_output_field", "/steps/1/args/content")]


def test_what_is_asked_for_is_what_comes_out() -> None:
    asked = asking(schema=ROWS)
    assert found(asked, saving("${{ steps.ask.rows[0].name }}")) == []
    assert found(asked, saving("${{ item.name }}", for_each="${{ steps.ask.rows }}")) == []
    assert found(asked, saving("${{ steps.ask.row }}")) == [
        ("unknown_output_field", "/steps/1/args/content")
    ]
    assert found(asked, saving("${{ item.age }}", for_each="${{ steps.ask.rows }}")) == [
        ("unknown_item_field", "/steps/1/args/content")
    ]


def test_what_an_extraction_is_asked_for_is_what_it_gives() -> None:
    extract: JsonObject = {
        "id": "get",
        "tool": "llm.extract",
        "args": {"text": "t", "schema": ROWS},
    }
    sort: JsonObject = {"id": "sort", "tool": "data.sort", "args": {"by": "name"}}
    good = {**sort, "args": {"by": "name", "records": "${{ steps.get.rows }}"}}
    bad = {**sort, "args": {"by": "name", "records": "${{ steps.get }}"}}
    assert found(extract, good) == []
    assert found(extract, bad) == [("argument_type", "/steps/1/args/records")]


def test_a_schema_that_is_not_known_yet_promises_nothing() -> None:
    given = {"type": "object", "properties": {"kind": {}}}
    asked = asking(schema={"type": "object", "properties": "${{ input.kind }}"})
    assert found(asked, saving("${{ steps.ask.anything }}"), input=given) == []


def test_a_tool_names_an_argument_that_it_has() -> None:
    with pytest.raises(DefinitionError, match="no argument 'shape'"):

        @tool(output_from="shape")
        def draw(text: str) -> Any:
            """Draw something."""

    with pytest.raises(DefinitionError, match="no argument 'sides'"):

        @tool(needs_one_of=[("text",), ("sides",)])
        def fold(text: str | None = None) -> None:
            """Fold something."""


@pytest.mark.parametrize("args", [{}, {"left_on": "a"}, {"how": "left"}])
def test_one_of_several_arguments_is_needed_whatever_references_bring(args: JsonObject) -> None:
    parse: JsonObject = {"id": "rows", "tool": "csv.parse", "args": {"text": "a"}}
    sides: JsonObject = {"left": "${{ steps.rows.records }}", "right": "${{ steps.rows.records }}"}
    document = {
        "flow": "x",
        "steps": [parse, {"id": "join", "tool": "data.join", "args": {**sides, **args}}],
    }
    (problem,) = validate(document, STARTER).problems
    assert (problem.code, problem.pointer) == ("missing_argument", "/steps/1/args")
    assert problem.message == "data.join needs one of these: 'on', or 'left_on' and 'right_on'"
    assert problem.fix is Fix.MODEL


@pytest.mark.parametrize("args", [{"on": "${{ input.key }}"}, {"left_on": "a", "right_on": ["b"]}])
def test_any_one_of_them_will_do(args: JsonObject) -> None:
    parse: JsonObject = {"id": "rows", "tool": "csv.parse", "args": {"text": "a"}}
    sides: JsonObject = {"left": "${{ steps.rows.records }}", "right": "${{ steps.rows.records }}"}
    join: JsonObject = {"id": "join", "tool": "data.join", "args": {**sides, **args}}
    given = {"type": "object", "properties": {"key": {"type": "string"}}}
    assert found(parse, join, input=given) == []


@pytest.mark.parametrize("head", [{}, {"input": {}}, {"input": {"type": "object"}}])
def test_an_input_that_nobody_declared_is_told_once_for_each_field(head: JsonObject) -> None:
    args: JsonObject = {
        "path": "${{ input.name }}.txt",
        "content": "${{ input.name }} ${{ input.age }}",
    }
    step: JsonObject = {"id": "save", "tool": "file.write", "args": args, "approval": {}}
    assert found(step, **head) == [
        ("undeclared_input", "/steps/0/args/content"),
        ("undeclared_input", "/steps/0/args/path"),
    ]
    (first, _) = validate({"flow": "x", **head, "steps": [step]}, STARTER).problems
    assert first.severity is Severity.WARNING
    assert "age" in first.message or "name" in first.message
    assert first.hint is not None and '"properties"' in first.hint


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "object", "properties": {"name": {"type": "string"}}},
        {"type": "object", "additionalProperties": True},
    ],
)
def test_a_declared_input_is_as_it_was(declared: JsonObject) -> None:
    assert found(saving("${{ input.name }}"), input=declared) == []


def test_the_whole_input_needs_no_declaration() -> None:
    assert found(saving("${{ input }}")) == []


def test_other_places_that_read_the_input_are_looked_at_too() -> None:
    mapped = saving("${{ item }}", for_each="${{ input.names }}")
    assert found(mapped) == [("undeclared_input", "/steps/0/for_each")]
    when = saving("x", when="input.go == true")
    assert found(when) == [("undeclared_input", "/steps/0/when")]
    assert found(saving("x", when="has(input.go) && input.go == true")) == []
