"""What schemas say about paths, and when two schemas surely do not go together."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.schemas import (
    UNKNOWN,
    Hit,
    Missing,
    element,
    lookup,
    mismatch,
    schema_problems,
    type_names,
    value_problems,
    with_defaults,
)

TEXT = {"type": "string"}
NODE: dict[str, Any] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "maybe": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "pair": {"type": "array", "prefixItems": [TEXT, {"type": "integer"}]},
                "map": {"type": "object", "additionalProperties": {"type": "number"}},
                "either": {
                    "oneOf": [
                        {"type": "object", "properties": {"a": TEXT}},
                        {"type": "object", "properties": {"b": TEXT}},
                    ]
                },
                "both": {"allOf": [{"type": "object", "properties": {"a": TEXT}}]},
                "free": {},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("path", "types"),
    [
        (["name"], {"string"}),
        (["children", 3, "children", 0, "name"], {"string"}),
        (["maybe", "maybe", "name"], {"string"}),
        (["pair", 1], {"integer"}),
        (["map", "anything"], {"number"}),
        (["either", "b"], {"string"}),
        (["both", "a"], {"string"}),
        ([], {"object"}),
        (["maybe"], {"object", "null"}),
    ],
)
def test_paths_are_followed(path: list[str | int], types: set[str]) -> None:
    found = lookup(NODE, path)
    assert isinstance(found, Hit)
    assert set(type_names(found.schema, found.root) or ()) == types


@pytest.mark.parametrize(
    ("path", "at"),
    [
        (["nane"], 0),
        (["children", "name"], 1),
        (["name", "length"], 1),
        (["name", 0], 1),
        ([0], 0),
        (["either", "c"], 1),
        (["maybe", "x"], 1),
    ],
)
def test_a_path_that_cannot_exist_is_missing(path: list[str | int], at: int) -> None:
    found = lookup(NODE, path)
    assert isinstance(found, Missing)
    assert found.at == at


def test_a_missing_field_knows_the_others() -> None:
    found = lookup(NODE, ["maybe", "nane"])
    assert isinstance(found, Missing)
    assert "name" in found.known


@pytest.mark.parametrize("path", [["free", "x"], ["free", 0], ["pair", 9]])
def test_what_a_schema_does_not_say_is_unknown(path: list[str | int]) -> None:
    assert lookup(NODE, path) is UNKNOWN


def test_endless_references_are_unknown() -> None:
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    assert lookup(loop, ["x"]) is UNKNOWN
    assert type_names(loop) is None


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ({"type": "array"}, TEXT),
        (TEXT, {"type": "number"}),
        ({"type": "number"}, TEXT),
        ({"type": "boolean"}, {"type": "integer"}),
        ({"type": ["array", "null"]}, {"type": "object"}),
        ({"type": "array", "items": TEXT}, {"type": "array", "items": {"type": "integer"}}),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            {"type": "object", "required": ["b"]},
        ),
        ({"enum": [1, 2]}, TEXT),
    ],
)
def test_what_surely_does_not_fit_has_a_reason(source: Any, target: Any) -> None:
    assert mismatch(Hit(source, source), Hit(target, target))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (TEXT, TEXT),
        ({}, TEXT),
        (TEXT, {}),
        ({"type": "integer"}, {"type": "number"}),
        ({"type": "number"}, {"type": "integer"}),
        ({"type": ["string", "null"]}, TEXT),
        ({"anyOf": [TEXT, {"type": "array"}]}, {"type": "array"}),
        ({"type": "array"}, {"type": "array", "items": TEXT}),
        (
            {"type": "object", "properties": {"a": {}, "b": {}}},
            {"type": "object", "required": ["b"]},
        ),
        ({"type": "object"}, {"type": "object", "required": ["b"]}),
        ({"$ref": "#/$defs/t", "$defs": {"t": TEXT}}, TEXT),
    ],
)
def test_what_may_fit_is_left_alone(source: Any, target: Any) -> None:
    assert mismatch(Hit(source, source), Hit(target, target)) is None


def test_elements() -> None:
    found = element({"type": "array", "items": TEXT})
    assert isinstance(found, Hit)
    assert found.schema == TEXT
    assert isinstance(element(TEXT), Missing)
    assert element({}) is UNKNOWN


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ("text", "/input"),
        (True, "/input"),
        ({"type": "strin"}, "/input/type"),
        ({"properties": []}, "/input/properties"),
        ({"properties": {"a": {"pattern": "("}}}, "/input/properties/a/pattern"),
        ({"$ref": "https://example.org/x"}, "/input/$ref"),
        ({"items": {"$ref": "other.json#/a"}}, "/input/items/$ref"),
        ({"$ref": "#/$defs/no"}, "/input/$ref"),
        ({"$ref": "#"}, "/input/$ref"),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "/input/anyOf/0/$ref"),
        ({"$dynamicRef": "https://example.org/x"}, "/input/$dynamicRef"),
    ],
)
def test_schemas_that_cannot_be_used(schema: object, pointer: str) -> None:
    problems = schema_problems(schema, "/input")
    assert [(item.code, item.pointer) for item in problems] == [("input_schema_invalid", pointer)]


@pytest.mark.parametrize("schema", [{}, NODE, {"type": "object", "properties": {"a": True}}])
def test_schemas_that_can_be_used(schema: object) -> None:
    assert schema_problems(schema, "") == []


def test_values_are_checked_with_pointers() -> None:
    problems = value_problems(
        {"type": "object", "properties": {"a/b": {"items": TEXT}}},
        {"a/b": ["", 0]},
        code="input_invalid",
        pointer="",
    )
    assert [(item.code, item.pointer) for item in problems] == [("input_invalid", "/a~1b/1")]


def test_defaults_fill_what_is_absent_only() -> None:
    schema: dict[str, Any] = {"properties": {"a": {"default": 1}, "b": {"default": []}, "c": {}}}
    first = with_defaults(schema, {"a": None})
    assert first == {"a": None, "b": []}
    assert isinstance(first, dict)
    assert first["b"] is not schema["properties"]["b"]["default"]
    assert with_defaults(schema, 0) == 0
