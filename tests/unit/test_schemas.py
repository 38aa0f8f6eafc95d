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
    validator,
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
        ({"$ref": "#nowhere"}, "/input/$ref"),
        ({"$ref": "#/x", "x": {"allOf": 5}}, "/input/$ref/allOf"),
        ({"properties": {"default": {"$ref": "x.json"}}}, "/input/properties/default/$ref"),
        ({"pattern": "(" * 5000}, "/input"),
        ({"pattern": "a{99999999999}"}, "/input"),
    ],
)
def test_schemas_that_cannot_be_used(schema: object, pointer: str) -> None:
    problems = schema_problems(schema, "/input")
    assert [(item.code, item.pointer) for item in problems] == [("input_schema_invalid", pointer)]


@pytest.mark.parametrize(
    "schema",
    [
        {},
        NODE,
        {"type": "object", "properties": {"a": True, "b": False}},
        {"items": False, "anyOf": [True, {"$ref": "#/$defs/any"}], "$defs": {"any": True}},
        {"$ref": "#name", "$defs": {"a": {"$anchor": "name"}}},
        {"properties": {"$ref": {"type": "string"}, "more": {"$ref": "#"}}},
        {"const": {"$ref": "https://example.org/x"}, "default": {"$ref": "y.json"}},
        {"$ref": "#/$defs/a%20b", "$defs": {"a b": {"items": {"$ref": "#/$defs/a%20b"}}}},
        {"format": "no-such-format"},
    ],
)
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


TREE: dict[str, Any] = {
    "$ref": "#/$defs/a",
    "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}},
}
WIDE: dict[str, Any] = {
    "$ref": "#/$defs/a0",
    "$defs": {
        **{
            f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]}
            for n in range(60)
        },
        "a60": TEXT,
    },
}


@pytest.mark.parametrize("schema", [TREE, WIDE])
def test_alternatives_that_multiply_are_unknown(schema: dict[str, Any]) -> None:
    assert lookup(schema, ["x"]) is UNKNOWN
    assert type_names(schema) is None
    assert mismatch(Hit(schema, schema), Hit(TEXT, TEXT)) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [True, {"type": "object", "properties": {"a": TEXT}}]},
        {"anyOf": [{"type": "object"}, {"type": "object", "properties": {"a": TEXT}}]},
        {"properties": {"a": TEXT}, "if": {"required": ["a"]}, "then": {"properties": {"b": TEXT}}},
        {"properties": {"a": TEXT}, "dependentSchemas": {"a": {"properties": {"b": TEXT}}}},
        {"properties": {"a": TEXT}, "patternProperties": {"^b": TEXT}},
        {"properties": {"a": TEXT}, "additionalProperties": True},
        {"properties": {"a": TEXT, "b": True}},
        {"$ref": "#/$defs/any", "$defs": {"any": True}},
        {},
    ],
)
def test_a_member_that_may_be_there_is_not_missing(schema: dict[str, Any]) -> None:
    assert lookup(schema, ["b"]) is UNKNOWN
    assert lookup(schema, ["b", 0, "c"]) is UNKNOWN


def test_an_alternative_that_says_nothing_makes_the_type_unknown() -> None:
    loose = {"anyOf": [{"properties": {"a": TEXT}}, {"type": "object"}]}
    assert lookup(loose, ["a"]) is UNKNOWN
    strict = {"anyOf": [{"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}]}
    assert lookup(strict, ["a"]) == Hit(TEXT, strict)


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({"anyOf": [True, TEXT]}, None),
        ({"anyOf": [False, TEXT]}, {"string"}),
        ({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"object"}),
        ({"type": "number", "const": 5}, {"integer"}),
        ({"allOf": [{"type": ["string", "null"]}, {"type": ["string", "integer"]}]}, {"string"}),
        ({"enum": []}, None),
        ({"const": None}, {"null"}),
        ({"const": False}, {"boolean"}),
        ({"enum": [0, 0.5, "", None, [], {}]}, {"integer", "number", "string", "null", "array",
                                                 "object"}),
    ],
)  # fmt: skip
def test_types_of_schemas(schema: dict[str, Any], types: set[str] | None) -> None:
    found = type_names(schema)
    assert (None if found is None else set(found)) == types


def test_required_fields_of_the_wrong_type_do_not_fit() -> None:
    source = {"type": "object", "properties": {"n": TEXT}, "required": ["n"]}
    target = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert "'n'" in (mismatch(Hit(source, source), Hit(target, target)) or "")
    maybe = {**source, "required": []}
    assert mismatch(Hit(maybe, maybe), Hit(target, target)) is None


def test_a_pattern_takes_no_time_whatever_it_is() -> None:
    schema = {"pattern": "^(a+)+$"}
    text = "a" * 5000
    assert value_problems(schema, text, code="x", pointer="") == []
    (problem,) = value_problems(schema, f"{text}!", code="x", pointer="/p")
    assert problem.pointer == "/p"
    assert len(problem.message) < 200


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        (r"^(?!x).*\d$", "a1", True),
        (r"^(?!x).*\d$", "x1", False),
        (r"^\w+$", "é", True),
    ],
)
def test_patterns_are_searched(pattern: str, text: str, fits: bool) -> None:
    assert validator({"pattern": pattern}).is_valid(text) is fits


@pytest.mark.parametrize("schema", [{"$ref": "https://example.org/x"}, {"$ref": "#"}])
def test_a_schema_that_cannot_be_applied_is_a_problem_and_fetches_nothing(schema: Any) -> None:
    problems = value_problems(schema, {"a": 1}, code="input_invalid", pointer="")
    assert [item.code for item in problems] == ["input_invalid"]


@pytest.mark.parametrize(("value", "fits"), [(1.0, True), (1, True), (1.5, False), (True, False)])
def test_integers_are_integers_however_written(value: Any, fits: bool) -> None:
    assert validator({"type": "integer"}).is_valid(value) is fits


def test_endless_findings_are_cut() -> None:
    schema = {"items": TEXT}
    assert len(value_problems(schema, [0] * 5000, code="x", pointer="")) == 200
    (huge,) = value_problems({"type": "integer"}, "a" * 100_000, code="x", pointer="")
    assert len(huge.message) <= 500
