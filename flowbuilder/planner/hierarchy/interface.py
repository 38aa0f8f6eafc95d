"""What a parent flow hands to a child and gets back; and the child seen as a tool of its parent.

The parent is judged with one tool for each child, whose schemas are the interface. So every edge
between children is checked like any other edge. What is stored calls `flow.run` instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import orjson

from flowbuilder.flow import Flow
from flowbuilder.tools import Effects, Fail, Tool
from flowbuilder.types import JsonSchema

#: The tool that starts a child run.
CHILD_TOOL = "flow.run"
_INTERFACE = "subgoal"
_LONGEST_NAME = 60


def interface_schema(members: Mapping[str, JsonSchema], required: Collection[str]) -> JsonSchema:
    """Return the schema of an object with these members and no others.

    A member whose schema refers to parts of itself keeps them as a definition of its own.
    """
    definitions: dict[str, JsonSchema] = {}
    properties: dict[str, JsonSchema] = {}
    for name, schema in members.items():
        if b'"$ref"' in orjson.dumps(schema):
            definitions[name] = _moved(schema, f"#/$defs/{name}")
            properties[name] = {"$ref": f"#/$defs/{name}"}
        else:
            properties[name] = {key: value for key, value in schema.items() if key != "$defs"}
    found: JsonSchema = {
        "type": "object",
        "properties": properties,
        "required": [name for name in members if name in required],
        "additionalProperties": False,
    }
    if definitions:
        found["$defs"] = definitions
    return found


def _moved(value: Any, root: str) -> Any:
    """Return a schema whose references start at another place."""
    if isinstance(value, list):
        return [_moved(item, root) for item in value]
    if not isinstance(value, dict):
        return value
    moved = {key: _moved(item, root) for key, item in value.items()}
    reference = value.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        moved["$ref"] = root + reference[1:]
    return moved


def tool_name(step: str) -> str:
    """Return the name of the tool that stands for the child of a step."""
    return f"{_INTERFACE}.{step}"


def interface_tool(
    step: str, summary: str, inputs: JsonSchema, outputs: JsonSchema, *, untrusted: bool
) -> Tool:
    """Return the tool that stands for a child: what it does is asked about inside the child."""
    return Tool(
        name=tool_name(step),
        summary=summary[:200],
        handler=_planned_only,
        input_schema=inputs,
        output_schema=outputs,
        effects=Effects.READ,
        untrusted_output=untrusted,
    )


def _planned_only(**_: Any) -> NoReturn:
    raise Fail("a part of a plan is run as a child flow")


def child_slug(parent: str, step: str, flow: Flow) -> str:
    """Return the name that a child is stored under: another content has another name."""
    bare = flow.model_copy(update={"flow": "child"})
    head = f"{parent}-{step}"[:_LONGEST_NAME].strip("-")
    return f"{head}-{hashlib.sha256(bare.content_hash().encode()).hexdigest()[:10]}"
