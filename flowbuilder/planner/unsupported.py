"""Ask for the values that nobody stated: what a model fills in of its own is not the user's wish.

A required value of a tool that the user brought must stand in the goal, in the input, or in the
tool's schema as a default; a text to be told or a query is composed, and addresses and files have
rules of their own (`inventions.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from flowbuilder.plan import Question
from flowbuilder.planner.argument_names import FILES
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.document import steps_of, tool_of
from flowbuilder.planner.evidence import Statement
from flowbuilder.planner.grounding import COMPOSED, stems
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import HARMLESS, Tool
from flowbuilder.types import JsonObject, JsonValue

#: Arguments that a planner writes in a language of their own, or words as it sees fit.
_WORDED = frozenset(
    {"code", "expression", "instruction", "instructions", "prompt", "q", "query", "sql", "template"}
)
#: What says that a text is an address, a reference or a secret.
_JUDGED_ELSEWHERE = ("${{", "://", "@", "secret:")
_LONGEST_DESCRIPTION = 120
#: Words of a tool's name that a goal has when it speaks of that tool and no other.
_SPOKEN = 2


def unsupported_values(document: JsonObject, request: PlanRequest) -> Iterator[Question]:
    """Yield a question for each required argument whose value nobody stated."""
    statement = _statement(request)
    for index, step in enumerate(steps_of(document)):
        tool = tool_of(step, request.registry)
        for name, shape in _unsupported(step, tool, statement) if tool else ():
            yield question_about(index, step, name, shape)


def asks_incompletely(step: JsonObject, tool: Tool, request: PlanRequest) -> bool:
    """Whether the goal speaks of a step's tool in several words, and misses what it needs.

    Such a step is to be asked about and not to be left out.
    """
    spoken = stems(tool.name.replace("_", " ")) & stems(request.goal)
    return len(spoken) >= _SPOKEN and any(_unsupported(step, tool, _statement(request)))


def _statement(request: PlanRequest) -> Statement:
    known = "" if request.input is None else orjson.dumps(request.input).decode()
    return Statement(f"{request.goal}\n{known}")


def _unsupported(
    step: JsonObject, tool: Tool, statement: Statement
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names and schemas of required arguments whose values nobody stated."""
    arguments = step.get("args")
    if is_starter(tool) or not isinstance(arguments, dict):
        return
    shapes: dict[str, Any] = tool.input_schema.get("properties", {})
    for name in tool.input_schema.get("required", ()):
        if name not in arguments or _is_composed(name, tool):
            continue
        shape = shapes.get(name)
        known = shape if isinstance(shape, dict) else {}
        if not _is_elsewhere(arguments[name]) and not statement.supports(arguments[name], known):
            yield name, known


def _is_composed(name: str, tool: Tool) -> bool:
    told = name in COMPOSED and tool.effects not in HARMLESS
    return told or name in _WORDED or name in FILES


def _is_elsewhere(value: JsonValue) -> bool:
    text = value if isinstance(value, str) else repr(value)
    return any(sign in text for sign in _JUDGED_ELSEWHERE)


def question_about(index: int, step: JsonObject, name: str, shape: dict[str, Any]) -> Question:
    """Return the question for an argument of the step at a place, whose schema is given."""
    told = str(shape.get("description") or "").strip().rstrip(".")
    about = f" ({told})" if told and len(told) <= _LONGEST_DESCRIPTION else ""
    return Question(
        id=f"{step.get('id')}.{name}",
        text=f"Which {name}{about} should {step.get('id')} use? The goal does not say.",
        pointer=f"/steps/{index}/args/{_escaped(name)}",
        options=tuple(str(option) for option in shape.get("enum") or ()),
    )


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
