"""Put values that are no texts into text arguments the way a person means it.

`content: ${{ steps.count.total }}` hands a number to an argument that takes text. Inside a longer
text a reference is written out, so a line break behind it says what is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowbuilder.planner.coercion import kinds_of
from flowbuilder.planner.document import steps_of, tool_of
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema

_EXACT = re.compile(r"^\$\{\{ steps\.([A-Za-z_]\w*)((?:\.\w+|\[\d+\])*) \}\}$")
_PART = re.compile(r"\.(\w+)|\[(\d+)\]")
#: Arguments that hold prose, where a list or an object may be written out too.
_PROSE = {
    "body", "caption", "comment", "content", "description", "html", "markdown", "message", "note",
    "prompt", "summary", "text",
}  # fmt: skip
_SCALARS = {"number", "integer", "boolean"}
_STRUCTURED = {"array", "object"}


def write_out(document: JsonObject, registry: ToolRegistry) -> list[str]:
    """Mend a document in place; return one sentence for each change."""
    listed = steps_of(document)
    outputs = {str(step.get("id")): output_of(step, registry) for step in listed}
    return [note for step in listed for note in write_out_in(step, registry, outputs)]


def write_out_in(
    step: JsonObject, registry: ToolRegistry, outputs: Mapping[str, JsonSchema]
) -> list[str]:
    """Mend one step in place, given the outputs of the steps that it may refer to."""
    notes: list[str] = []
    tool, arguments = tool_of(step, registry), step.get("args")
    if tool is None or not isinstance(arguments, dict):
        return notes
    for key, shape in tool.input_schema.get("properties", {}).items():
        value = arguments.get(key)
        if isinstance(value, str) and _is_meant_as_text(key, value, shape, outputs):
            arguments[key] = f"{value}\n"
            notes.append(f"{step.get('id')}: the value for {key} is written out as text.")
    return notes


def _is_meant_as_text(
    key: str, value: str, shape: JsonSchema, outputs: Mapping[str, JsonSchema]
) -> bool:
    match = _EXACT.match(value)
    if match is None or kinds_of(shape) - {"null"} != {"string"} or match.group(1) not in outputs:
        return False
    found = _kinds_at(outputs[match.group(1)], match.group(2))
    allowed = _SCALARS | _STRUCTURED if key.lower() in _PROSE else _SCALARS
    return bool(found) and found <= allowed


def _kinds_at(output: JsonSchema, path: str) -> set[str]:
    """Return the types at a path of an output schema; none where the schema does not say."""
    definitions = output.get("$defs", {})
    shape: Any = output
    for field, _ in _PART.findall(path):
        shape = _resolved(shape, definitions)
        shape = shape.get("properties", {}).get(field, {}) if field else shape.get("items", {})
    shape = _resolved(shape, definitions)
    if "properties" in shape:
        return {"object"}
    return kinds_of(shape)


def _resolved(shape: Any, definitions: JsonSchema) -> JsonSchema:
    if isinstance(shape, dict) and "$ref" in shape:
        shape = definitions.get(str(shape["$ref"]).rpartition("/")[2], {})
    return shape if isinstance(shape, dict) else {}


def output_of(step: JsonObject, registry: ToolRegistry) -> JsonSchema:
    """Return the schema of what a step gives; of a step over a list, of all elements."""
    tool = tool_of(step, registry)
    if tool is None:
        return {}
    if step.get("for_each") is not None:
        return {"type": "array", "items": tool.output_schema, "$defs": _definitions(tool)}
    return tool.output_schema


def _definitions(tool: Any) -> JsonSchema:
    found: JsonSchema = tool.output_schema.get("$defs", {})
    return found
