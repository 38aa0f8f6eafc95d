"""Tools as lines of text that a model reads: signature, what they do, what they return."""

from __future__ import annotations

from typing import Any

import orjson

from flowbuilder.tools import Tool
from flowbuilder.types import JsonSchema

_DEPTH = 3
_LONGEST_DESCRIPTION = 80


def tool_line(tool: Tool) -> str:
    """Describe a tool in one line: signature, what it does, what it returns."""
    return line(tool.name, tool.summary, tool.input_schema, tool.output_schema)


def result_type(tool: Tool) -> str:
    """Describe what a tool returns."""
    return type_text(tool.output_schema, 0, tool.output_schema.get("$defs", {}))


def line(name: str, summary: str, inputs: JsonSchema, outputs: JsonSchema) -> str:
    """Return the line of a tool: signature, what it does, what it returns."""
    definitions = inputs.get("$defs", {})
    required = set(inputs.get("required", ()))
    arguments = ", ".join(
        f"{key}{'' if key in required else '?'}: {_argument(shape, definitions)}"
        for key, shape in inputs.get("properties", {}).items()
    )
    result = type_text(outputs, 0, outputs.get("$defs", {}))
    if outputs and outputs.get("type") != "object" and "properties" not in outputs:
        result += ", as ${{ steps.ID }}"
    return f"- {name}({arguments}): {summary.rstrip('.')}. Returns {result}"


def _argument(shape: Any, definitions: JsonSchema) -> str:
    text = type_text(shape, 1, definitions)
    if isinstance(shape, dict) and shape.get("default") is not None:
        text += f" = {_dumped(shape['default'])}"
    description = shape.get("description", "") if isinstance(shape, dict) else ""
    if description and len(description) <= _LONGEST_DESCRIPTION:
        return f"{text} ({description.rstrip('.')})"
    return text


def type_text(shape: Any, depth: int, definitions: JsonSchema | None = None) -> str:
    """Write a JSON Schema as a short type; beyond some depth it is `any`."""
    if not isinstance(shape, dict) or not shape or depth > _DEPTH:
        return "any"
    definitions = definitions or {}
    if "$ref" in shape:
        return type_text(definitions.get(str(shape["$ref"]).split("/")[-1]), depth + 1, definitions)
    if "enum" in shape or "const" in shape:
        values = shape.get("enum", [shape.get("const")])
        return "|".join(_dumped(value) for value in values)
    options = shape.get("anyOf") or shape.get("oneOf")
    if options:
        return "|".join(dict.fromkeys(type_text(option, depth, definitions) for option in options))
    kind = shape.get("type", "any")
    if kind == "array":
        return f"[{type_text(shape.get('items'), depth + 1, definitions)}]"
    if kind == "object" and shape.get("properties"):
        fields = (
            f"{key}: {type_text(value, depth + 1, definitions)}"
            for key, value in shape["properties"].items()
        )
        return f"{{{', '.join(fields)}}}"
    return "|".join(kind) if isinstance(kind, list) else str(kind)


def _dumped(value: Any) -> str:
    return orjson.dumps(value).decode()
