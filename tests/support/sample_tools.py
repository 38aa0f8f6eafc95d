"""A small registry for tests of validation and policy: schemas of every kind, no real effects."""

from __future__ import annotations

from typing import Any

from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.types import JsonSchema

TEXT: JsonSchema = {"type": "string"}
WHOLE: JsonSchema = {"type": "integer"}


def record(**properties: JsonSchema) -> JsonSchema:
    """Return the schema of an object that needs all of these fields and takes no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def optional(**properties: JsonSchema) -> JsonSchema:
    """Return the schema of an object that may have these fields and takes no other."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _tool(name: str, takes: JsonSchema, gives: JsonSchema, **more: Any) -> Tool:
    return Tool(
        name=name,
        summary=f"Do {name}.",
        handler=lambda **arguments: arguments,
        input_schema=takes,
        output_schema=gives,
        **more,
    )


_ITEMS: JsonSchema = {"type": "array", "items": record(text=TEXT, count=WHOLE)}
_PAGE = record(status=WHOLE, body=record(title=TEXT, items=_ITEMS))
_MIXED: JsonSchema = {
    **optional(
        amount={"type": "number"},
        flag={"type": "boolean"},
        note={"anyOf": [TEXT, {"type": "null"}]},
        mode={"enum": ["fast", "slow"]},
        numbers={"type": "array", "items": WHOLE},
        inner=record(key=WHOLE),
        anything={},
    ),
    "required": ["amount"],
}


def sample_registry() -> ToolRegistry:
    """Return a registry of tools that read, change, write, send and ask."""
    registry = ToolRegistry()
    for item in (
        _tool("page.get", record(url=TEXT), _PAGE, effects=Effects.READ, untrusted_output=True),
        _tool("text.upper", record(text=TEXT), record(text=TEXT)),
        _tool("mixed.take", _MIXED, {"type": "number"}),
        _tool("anything.take", {"type": "object"}, {}),
        _tool("file.save", record(path=TEXT, text=TEXT), record(path=TEXT), effects=Effects.WRITE),
        _tool("mail.send", record(to=TEXT, body=TEXT), record(id=TEXT), effects=Effects.EXTERNAL),
        _tool("flow.run", {**optional(flow=TEXT, input={}), "required": ["flow"]}, {}),
        _tool(
            "human.approve",
            {**optional(message=TEXT, data={}), "required": ["message"]},
            optional(approved={"type": "boolean"}),
        ),
    ):
        registry.add(item)
    return registry
