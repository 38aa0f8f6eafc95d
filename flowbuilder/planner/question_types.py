"""What may be answered to a question: its type, its options, why it is asked, what happens else.

All of it follows from the argument that the question is about, so that every planner's questions
have it, whatever the planner wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flowbuilder.plan import Plan, Question
from flowbuilder.planner.document import steps_of, tool_of
from flowbuilder.planner.pending import answers_later
from flowbuilder.schemapaths import target
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: Of an argument's schema, what says nothing of which values there are.
_NO_TYPE = frozenset({"default", "examples", "title", "deprecated", "readOnly", "writeOnly"})
_CONDITION: JsonSchema = {"type": "string", "minLength": 1}


def with_types(plan: Plan, registry: ToolRegistry) -> Plan:
    """Return a plan whose questions all tell their types; problems that they answer are left out.

    Of two questions about one place the first stays.
    """
    if not plan.questions or plan.flow is None:
        return plan
    document = plan.flow.document()
    questions: dict[str, Question] = {}
    for question in plan.questions:
        questions.setdefault(question.pointer, typed(question, document, registry))
    left = tuple(item for item in plan.problems if not answers_later(item, set(questions)))
    return replace(plan, questions=_told_apart(questions), problems=left)


def typed(question: Question, document: JsonObject, registry: ToolRegistry) -> Question:
    """Return a question with type, options, reason and default, where it has none of its own."""
    place = _place(question.pointer, document)
    if place is None:
        return question
    step, key, name = place
    if key == "when":
        return replace(
            question,
            type=question.type or _CONDITION,
            reason=question.reason or "The goal has a condition that could not be read.",
        )
    tool = tool_of(step, registry)
    if key != "args" or tool is None or not name:
        return question
    shape = argument_schema(tool, name)
    return replace(
        question,
        type=question.type or {k: v for k, v in shape.items() if k not in _NO_TYPE},
        options=question.options or options_of(shape),
        reason=question.reason or _reason(tool, name),
        default=shape.get("default") if question.default is None else question.default,
    )


def argument_schema(tool: Tool, name: str) -> JsonSchema:
    """Return the schema of one argument, with the definitions that it refers to."""
    schema = tool.input_schema
    shapes = schema.get("properties")
    shape = shapes.get(name) if isinstance(shapes, dict) else None
    if not isinstance(shape, dict):
        return {}
    definitions: JsonSchema = {
        key: schema[key] for key in ("$defs", "definitions") if key in schema
    }
    return {**shape, **definitions} if definitions and "$ref" in str(shape) else shape


def options_of(shape: JsonSchema) -> tuple[JsonValue, ...]:
    """Return the values that a schema lists, () where it lists none."""
    found = _options(shape, shape, 0)
    return tuple(found or ())


def _options(shape: Any, root: JsonSchema, depth: int) -> list[JsonValue] | None:
    """Return the values that there are, None where they are not listed."""
    if not isinstance(shape, dict) or depth > 8:
        return None
    if "$ref" in shape:
        return _options(target(str(shape["$ref"]), root), root, depth + 1)
    if isinstance(shape.get("enum"), list):
        return list(shape["enum"])
    if "const" in shape:
        return [shape["const"]]
    if shape.get("type") == "boolean":
        return [True, False]
    for word in ("anyOf", "oneOf"):
        if isinstance(shape.get(word), list):
            parts = [_options(part, root, depth + 1) for part in shape[word]]
            listed = [item for part in parts if part is not None for item in part]
            return listed if all(part is not None for part in parts) else None
    return [None] if shape.get("type") == "null" else None


def _reason(tool: Tool, name: str) -> str:
    if name in tool.input_schema.get("required", ()):
        return f"{tool.name} needs {name}, and nobody has said what it is."
    return f"Nobody has said what {name} of {tool.name} is to be."


def _place(pointer: str, document: JsonObject) -> tuple[JsonObject, str, str] | None:
    """Return the step, its key and the argument that a pointer leads to, None for another place."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]
    steps = steps_of(document)
    if len(parts) < 4 or parts[1] != "steps" or not parts[2].isdecimal():
        return None
    if int(parts[2]) >= len(steps):
        return None
    return steps[int(parts[2])], parts[3], parts[4] if len(parts) > 4 else ""


def _told_apart(questions: dict[str, Question]) -> tuple[Question, ...]:
    """Return questions whose ids are all different."""
    ids: set[str] = set()
    apart = []
    for question in questions.values():
        wanted, number = question.id, 2
        while wanted in ids:
            wanted, number = f"{question.id}_{number}", number + 1
        ids.add(wanted)
        apart.append(replace(question, id=wanted))
    return tuple(apart)


def unanswered(questions: Sequence[Question], ids: set[str]) -> tuple[Question, ...]:
    """Return the questions that are not among the ids."""
    return tuple(item for item in questions if item.id not in ids)
