"""The JSON Schema that a model's answer is decoded by: one shape of step for every tool.

It closes the set of tools and argument names. Wherever a typed value stands, a reference may
stand too. Bounds, formats and texts are left out: they slow a grammar down, and validation checks
them anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowbuilder.flow import STEP_ID_PATTERN
from flowbuilder.tools import HARMLESS, Tool
from flowbuilder.types import JsonSchema

#: The tool that a model names when nothing fits.
NO_TOOL = "none"
#: The key under which a patch says why nothing can be mended.
IMPOSSIBLE = "impossible"
REFERENCE: JsonSchema = {"type": "string", "pattern": r"^\$\{\{ [^{}\n]{1,100} \}\}$"}
_STEP_ID: JsonSchema = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,30}$"}
_DEPTH = 4


def answer_schema(
    tools: Sequence[Tool],
    *,
    max_steps: int,
    longest_text: int | None,
    min_steps: int = 1,
    may_refuse: bool = True,
) -> JsonSchema:
    """Return the schema of `{"tasks": [step, …]}` over these tools.

    `longest_text` bounds every text in characters, so that a small model cannot run on. With
    `may_refuse` the model may say that no tool fits.
    """
    steps = [_step(tool.name, _arguments(tool.input_schema, longest_text)) for tool in tools]
    refusal = _step(NO_TOOL, _object({"reason": _text(longest_text)}, ["reason"]))
    if may_refuse and not longest_text:
        steps.append(refusal)
    items: JsonSchema = {"anyOf": steps}
    tasks = {"type": "array", "items": items, "minItems": min_steps}
    tasks["maxItems"] = max(min_steps, min(max_steps, 100))
    if may_refuse and longest_text:
        # A small model that has refused once goes on refusing; it is held to once.
        tasks = {"anyOf": [tasks, _exactly([refusal]), _exactly([items, refusal])]}
    return _object({"tasks": tasks}, ["tasks"])


def patch_schema(tools: Sequence[Tool], ids: Sequence[str], *, most_added: int) -> JsonSchema:
    """Return the schema of a patch: whole steps to be put in or added, and ids to be taken out.

    `ids` are of the steps that may be changed; at most `most_added` steps may be added to them.
    """
    name: JsonSchema = {"type": "string", "pattern": STEP_ID_PATTERN}
    steps = [_step(tool.name, _arguments(tool.input_schema, None), name) for tool in tools]
    tasks: JsonSchema = {"type": "array", "items": {"anyOf": steps}}
    tasks["maxItems"] = len(ids) + most_added
    properties: dict[str, JsonSchema] = {"tasks": tasks}
    if ids:
        properties["remove"] = {"type": "array", "items": {"type": "string", "enum": [*ids]}}
    properties[IMPOSSIBLE] = {"type": "string"}
    return _object(properties, ["tasks"])


def _exactly(steps: list[JsonSchema]) -> JsonSchema:
    size = len(steps)
    return {"type": "array", "prefixItems": steps, "minItems": size, "maxItems": size}


def sequence_schema(tools: Sequence[Tool], *, longest_text: int | None) -> JsonSchema:
    """Return the schema of a plan with exactly these tools in this order."""
    steps = [_step(tool.name, _arguments(tool.input_schema, longest_text)) for tool in tools]
    return _object({"tasks": _exactly(steps)}, ["tasks"])


def inserted_schema(
    inserted: Sequence[Tool], tools: Sequence[Tool], *, longest_text: int | None
) -> JsonSchema:
    """Return the schema of a plan with these tools in order and one of the inserted behind one.

    Not behind the last one if that acts: nothing would use the result. Before a single one
    that acts: what it tells then stands in the goal.
    """
    further = [_step(tool.name, _arguments(tool.input_schema, longest_text)) for tool in inserted]
    steps = [_step(tool.name, _arguments(tool.input_schema, longest_text)) for tool in tools]
    first = int(len(tools) > 1 or tools[0].effects in HARMLESS)
    plans = [
        _exactly([*steps[:place], {"anyOf": further}, *steps[place:]])
        for place in range(first, max(first + 1, len(steps) + (tools[-1].effects in HARMLESS)))
    ]
    return _object({"tasks": {"anyOf": plans}}, ["tasks"])


def framed_schema(
    first: Sequence[Tool], tools: Sequence[Tool], last: Sequence[Tool], *, longest_text: int | None
) -> JsonSchema:
    """Return the schema of a plan with these tools in order and one more before or behind them."""
    steps = [_step(tool.name, _arguments(tool.input_schema, longest_text)) for tool in tools]
    before, behind = (
        [_step(tool.name, _arguments(tool.input_schema, longest_text)) for tool in some]
        for some in (first, last)
    )
    plans = [_exactly([{"anyOf": before}, *steps])]
    if behind:
        plans.append(_exactly([*steps, {"anyOf": behind}]))
    return _object({"tasks": {"anyOf": plans}}, ["tasks"])


def preceded_schema(
    readers: Sequence[Tool], tools: Sequence[Tool], *, longest_text: int | None
) -> JsonSchema:
    """Return the schema of a plan with one of the readers first, then these tools in order."""
    schema = sequence_schema(tools, longest_text=longest_text)
    first = [_step(tool.name, _arguments(tool.input_schema, longest_text)) for tool in readers]
    tasks = schema["properties"]["tasks"]
    tasks["prefixItems"].insert(0, {"anyOf": first})
    tasks["minItems"] = tasks["maxItems"] = len(tools) + 1
    return schema


def _step(name: str, arguments: JsonSchema, step_id: JsonSchema = _STEP_ID) -> JsonSchema:
    properties: dict[str, JsonSchema] = {
        "id": step_id,
        "tool": {"type": "string", "enum": [name]},
    }
    if name != NO_TOOL:
        properties["for_each"] = REFERENCE
        properties["when"] = {"type": "string", "maxLength": 200}
    properties["args"] = arguments
    if name != NO_TOOL:
        properties["after"] = {"type": "array", "items": _STEP_ID, "maxItems": 5}
    return _object(properties, ["id", "tool", "args"])


def _object(properties: dict[str, JsonSchema], required: list[str]) -> JsonSchema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _text(longest: int | None) -> JsonSchema:
    return {"type": "string", "maxLength": longest} if longest else {"type": "string"}


def _arguments(schema: JsonSchema, longest: int | None) -> JsonSchema:
    definitions = schema.get("$defs", {})
    properties = {
        name: _value(shape, definitions, longest, 1)
        for name, shape in schema.get("properties", {}).items()
    }
    if not properties and schema.get("additionalProperties", True) is not False:
        return {"type": "object"}
    return _object(properties, [name for name in schema.get("required", ()) if name in properties])


def _value(shape: Any, definitions: JsonSchema, longest: int | None, depth: int) -> JsonSchema:
    """Return the shape of a value that may also be a reference."""
    loose = _loosened(shape, definitions, longest, depth)
    if not loose or (loose.get("type") == "string" and "enum" not in loose):
        return loose
    options = loose["anyOf"] if set(loose) == {"anyOf"} else [loose]
    if any(option == _text(longest) for option in options):
        return {"anyOf": options}
    return {"anyOf": [*options, REFERENCE]}


def _loosened(shape: Any, definitions: JsonSchema, longest: int | None, depth: int) -> JsonSchema:
    if not isinstance(shape, dict) or depth > _DEPTH:
        return {}
    if "$ref" in shape:
        target = definitions.get(str(shape["$ref"]).split("/")[-1])
        return _loosened(target, definitions, longest, depth + 1)
    if "enum" in shape:
        return {"enum": shape["enum"]}
    if "const" in shape:
        return {"enum": [shape["const"]]}
    options = shape.get("anyOf") or shape.get("oneOf")
    if options:
        found = [_loosened(option, definitions, longest, depth) for option in options]
        return {} if {} in found else {"anyOf": found}
    return _by_type(shape, definitions, longest, depth)


def _by_type(
    shape: JsonSchema, definitions: JsonSchema, longest: int | None, depth: int
) -> JsonSchema:
    kind = shape.get("type")
    if kind == "string":
        return _text(longest)
    if kind == "array":
        items = _value(shape.get("items", {}), definitions, longest, depth + 1)
        return {"type": "array", "items": items} if items else {"type": "array"}
    if kind == "object":
        return _nested(shape, definitions, longest, depth)
    if isinstance(kind, list):
        return {
            "anyOf": [_by_type({**shape, "type": one}, definitions, longest, depth) for one in kind]
        }
    return {"type": kind} if isinstance(kind, str) else {}


def _nested(
    shape: JsonSchema, definitions: JsonSchema, longest: int | None, depth: int
) -> JsonSchema:
    properties = shape.get("properties")
    if not properties:
        return {"type": "object"}
    found = {
        name: _value(value, definitions, longest, depth + 1) for name, value in properties.items()
    }
    nested = _object(found, [name for name in shape.get("required", ()) if name in found])
    if shape.get("additionalProperties", True) is not False:
        nested.pop("additionalProperties")
    return nested
