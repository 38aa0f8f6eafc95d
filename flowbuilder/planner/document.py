"""What a model wrote as a document, read as far as it is one."""

from __future__ import annotations

import re

from flowbuilder.repair.edits import REFERENCE as REFERENCE
from flowbuilder.repair.edits import with_texts as with_texts
from flowbuilder.schemapaths import target
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Where a text mentions a step: by the name in the first group.
MENTION = re.compile(r"\bsteps\.([A-Za-z_]\w*)")


def steps_of(document: JsonObject) -> list[JsonObject]:
    """Return the steps; what is no object is none of them."""
    steps = document.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def mention_of(name: str) -> re.Pattern[str]:
    """Return the pattern by which a text mentions this one step."""
    return re.compile(rf"\bsteps\.{re.escape(name)}\b")


def tool_of(step: JsonObject, registry: ToolRegistry) -> Tool | None:
    """Return the tool that a step names, None if there is none."""
    name = step.get("tool")
    return registry.get(name) if isinstance(name, str) else None


def is_needed(tool: Tool, name: str) -> bool:
    """Whether a tool needs an argument: always, or for want of others that do as well."""
    groups = [tool.input_schema, *tool.input_schema.get("anyOf", ())]
    return any(name in group.get("required", ()) for group in groups if isinstance(group, dict))


def fields_of(tool: Tool) -> list[str]:
    """Return the fields of a tool's output, or of its elements if that is a list of records."""
    shape: object = tool.output_schema
    if tool.output_schema.get("type") == "array":
        shape = tool.output_schema.get("items")
    if isinstance(shape, dict) and "$ref" in shape:
        shape = target(str(shape["$ref"]), tool.output_schema)
    fields = shape.get("properties") if isinstance(shape, dict) else None
    return list(fields) if isinstance(fields, dict) else []


def result_in(step: JsonObject) -> str:
    """Return the reference to the whole result of a step."""
    return f"${{{{ steps.{step.get('id')} }}}}"


def given_to(step: JsonObject) -> list[JsonValue]:
    """Return the values of a step's arguments."""
    given = step.get("args")
    return list(given.values()) if isinstance(given, dict) else []


def taking_instead(step: JsonObject, old: str, new: str) -> JsonObject:
    """Return a step with one reference in the place of another, wherever it stands."""

    def change(text: str) -> str:
        return text.replace(old, new)

    return {
        name: with_texts(value, change) if name in ("args", "when", "for_each") else value
        for name, value in step.items()
    }


def unordered(step: JsonObject) -> JsonObject:
    """Return a step without what it only waits for."""
    return {key: value for key, value in step.items() if key != "depends_on"}


def not_after(step: JsonObject, gone: JsonObject) -> JsonObject:
    """Return a step that does not wait for one that is gone."""
    before = step.get("depends_on")
    if not isinstance(before, list) or gone.get("id") not in before:
        return step
    rest = [item for item in before if item != gone.get("id")]
    return {**step, "depends_on": rest} if rest else unordered(step)
