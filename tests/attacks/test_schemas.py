"""A15, A46: schemas and patterns that are to take for ever, wherever somebody may bring one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.errors import FlowBuilderError
from flowbuilder.models.shapes import response_model
from flowbuilder.schemabounds import may_multiply
from flowbuilder.schemas import (
    is_usable,
    quick_check,
    schema_problems,
    value_problems,
)
from flowbuilder.tools import Fail
from tests.attacks.test_mcp_servers import Given, offered
from tests.support.api import ECHO, problem
from tests.support.fortress import assert_healthy, fortress, over
from tests.support.outside import connected
from tests.support.tenants import Town
from tests.support.toolbox import acall

A = "a" * 40 + "!"


def references(depth: int, word: str = "allOf") -> dict[str, Any]:
    """A schema that refers twice to one that refers twice to one ..."""
    found: dict[str, Any] = {
        f"a{n}": {word: [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(depth)
    }
    found[f"a{depth}"] = {"type": "integer"}
    return {"$defs": found, "$ref": "#/$defs/a0"}


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


LISTS: dict[str, Any] = {
    "$defs": {
        "n": {
            "anyOf": [
                {"type": "integer"},
                {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/n"}},
                {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/n"}},
            ]
        }
    },
    "$ref": "#/$defs/n",
}
#: Schema, a value that makes the most of it, and whether it fits: None where nobody can say.
COSTLY: dict[str, tuple[dict[str, Any], Any, bool | None]] = {
    "repeats": ({"pattern": "^(a+)+$"}, A, False),
    "look-ahead": ({"pattern": "^(?=(a+)+$)b"}, A, False),
    "look-behind": ({"pattern": "(?<=(a))(a|a)*$"}, A, False),
    "back reference": ({"pattern": "^(a+)+\\1$"}, A, False),
    "alternatives": ({"pattern": "^(a|a|a|aa)+$"}, A, False),
    "large": ({"pattern": "((a{0,1000}){0,1000}){0,1000}$"}, A, None),
    "names": ({"patternProperties": {"^(a+)+$": {"type": "integer"}}}, {A: "x"}, True),
    "other names": (
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
        {A: 1},
        False,
    ),
    "names of names": ({"propertyNames": {"pattern": "^(?=(a+)+$)b"}}, {A: 1}, False),
    "references": (references(60), 5, None),
    "alternatives of alternatives": (references(60, "anyOf"), "x", None),
    "lists of lists": (LISTS, nested(28, "x"), None),
    "unique": ({"uniqueItems": True}, [{"a": n, "b": [n]} for n in range(20_000)], True),
    "not unique": ({"uniqueItems": True}, [{"a": n % 19_999} for n in range(20_000)], False),
    "wide": ({"anyOf": [{"const": n} for n in range(5000)]}, nested(2, -1), False),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a15_no_schema_takes_for_ever(name: str) -> None:
    schema, value, fits = COSTLY[name]
    found = value_problems(schema, value, code="x", pointer="")
    assert quick_check(schema)(value) in ((True, False) if fits else (False,))
    if fits is not None:
        assert (not found) is fits
        assert not schema_problems(schema, "")
    else:
        assert found
    if is_usable(schema) and not found:
        response_model({"type": "object", "properties": {"a": schema}}).model_validate({"a": value})


def test_a15_what_multiplies_is_told_from_trees() -> None:
    json_value: dict[str, Any] = {
        "$defs": {
            "J": {
                "anyOf": [
                    {"type": "array", "items": {"$ref": "#/$defs/J"}},
                    {"type": "object", "additionalProperties": {"$ref": "#/$defs/J"}},
                    {"type": ["string", "null"]},
                ]
            }
        },
        "$ref": "#/$defs/J",
    }
    tree: dict[str, Any] = {
        "properties": {"left": {"$ref": "#"}, "right": {"anyOf": [{"$ref": "#"}, True]}}
    }
    plain: list[dict[str, Any]] = [json_value, tree, {}, {"type": "object"}]
    for schema in plain:
        assert not may_multiply(schema)
    for schema in (LISTS, references(20), {"items": {"$ref": "#"}, "contains": {"$ref": "#"}}):
        assert may_multiply(schema)


def test_a46_patterns_and_words_that_cannot_be_bounded_make_no_schema() -> None:
    costly: list[dict[str, Any]] = [
        {"pattern": "((a{0,1000}){0,1000}){0,1000}"},
        {"properties": {"x": {"patternProperties": {"((a{0,999}){0,999}){0,999}": {}}}}},
        {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": False},
    ]
    for schema in costly:
        assert [item.code for item in schema_problems(schema, "")] == ["input_schema_invalid"]
        assert value_problems(schema, {A: 1}, code="x", pointer="")
    # and what people really write is one
    usual = {"type": "string", "pattern": "^(?!.*--)[a-z-]+(?<!-)$"}
    assert not schema_problems(usual, "")
    assert not value_problems(usual, "a-b", code="x", pointer="")
    for text in ("a--b", "a-", "", "A"):
        assert value_problems(usual, text, code="x", pointer=""), text


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[Town]:
    async with fortress(dsn) as opened:
        yield opened


async def test_a46_a_flow_brings_a_schema_that_takes_for_ever(place: Town) -> None:
    ada = await place.person("ada", "default", "builder")
    for name, (schema, value, fits) in COSTLY.items():
        document = {
            "flow": "costly",
            "input": {
                "type": "object",
                "properties": {"value": {k: v for k, v in schema.items() if k != "$defs"}},
                "required": ["value"],
                **({"$defs": schema["$defs"]} if "$defs" in schema else {}),
            },
            "steps": [ECHO],
        }
        body = {"document": document, "input": {"value": value}}
        response = await place.call(ada, "POST", "/runs", json=body)
        if fits:
            assert response.status_code == 201, (name, response.text)
            assert (await over(place, ada, response.json()["id"]))["status"] == "completed"
        else:
            codes = {item["code"] for item in problem(response, 422)["errors"]}
            assert codes <= {"input_invalid", "input_schema_invalid"}, name
    await assert_healthy(place, ada)


async def test_a46_servers_and_documents_bring_schemas(tmp_path: Path) -> None:
    """What another server says about its tools is a stranger's: what is costly makes no tool."""
    for schema, _, fits in COSTLY.values():
        given = Given(schema={"type": "object", "properties": {"a": schema}})
        if "$defs" in schema:
            given.schema["$defs"] = schema["$defs"]
        tools = offered(given, Given(tool="good"))
        assert "web.good" in {tool.name for tool in tools}
        if fits is None and "pattern" in schema:
            assert len(tools) == 1
    _, context = connected(tmp_path, {})
    registry, _ = connected(tmp_path, {})
    extract = registry.require("llm.extract")
    for schema in ({"$ref": "http://127.0.0.1/x"}, {"pattern": "((a{0,999}){0,999}){0,999}"}):
        with pytest.raises((Fail, FlowBuilderError)) as caught:
            args = {"text": "x", "schema": {"type": "object", "properties": {"a": schema}}}
            await acall(extract, args, context)
        assert getattr(caught.value, "code", "") == "schema_invalid"
