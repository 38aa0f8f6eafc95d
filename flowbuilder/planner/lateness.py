"""Bring forward a step that makes something after the step that was to send it.

A small model mails a text and translates it afterwards, for nobody; or it tells a channel the link
to a file before it puts the file anywhere. The same value is given to both steps, and nothing uses
what the later one makes of it.
"""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.planner.document import mention_of, result_in
from flowbuilder.planner.grounding import is_used, stems
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject

_RENDERS = re.compile(r"(?i)\b(?:translat|summar|rewrit|rephras|shorten)")
_REWORKS = re.compile(r"(?i)\b(?:resiz|scal|crop|convert|compress|rotat)\w*")
_RETURNS = re.compile(r"(?i)\breturns? (?:its |the |an? )?(?:public |full )?(\w+)")
_SHORTEST_WORD = 3
#: A shorter text may stand in two places by chance.
_SHORTEST = 8


def bring_forward(document: JsonObject, registry: ToolRegistry, goal: str) -> list[Problem]:
    """Change a document in place; return a warning for each step that was brought forward."""
    doubts = []
    steps: Any = document["steps"]
    for late in list(steps):
        tool = registry.get(str(late.get("tool")))
        if tool is None or is_used(late, steps):
            continue
        if not (_renders(tool) or _makes_what_is_told(tool, goal)):
            continue
        place = _receiver(late, steps[: steps.index(late)], registry)
        if place is None:
            continue
        receiver, name, value = place
        steps.remove(late)
        steps.insert(steps.index(receiver), late)
        given = receiver["args"][name]
        receiver["args"][name] = given.replace(value, result_in(late))
        doubts.append(
            Problem(
                code="step_brought_forward",
                pointer=f"/steps/{steps.index(late)}",
                message=f"{receiver['id']} is supposed to take what {late['id']} makes of the text",
                severity=Severity.WARNING,
                fix=Fix.USER,
            )
        )
    return doubts


def _renders(tool: Tool) -> bool:
    about = f"{tool.name} {tool.summary}".replace("_", " ").replace(".", " ")
    texts = tool.output_schema.get("type") == "string"
    harmless = tool.effects in HARMLESS and _RENDERS.search(about) is not None
    return texts and (harmless or _REWORKS.search(about) is not None)


def _makes_what_is_told(tool: Tool, goal: str) -> bool:
    """Whether a tool gives back what the goal speaks of, such as a link."""
    made = {word for word in _RETURNS.findall(tool.summary) if len(word) >= _SHORTEST_WORD}
    texts = tool.output_schema.get("type") == "string" and tool.effects not in HARMLESS
    return texts and bool(stems(" ".join(made)) & stems(goal))


def _receiver(
    late: JsonObject, before: list[JsonObject], registry: ToolRegistry
) -> tuple[Any, str, str] | None:
    """Return the acting step before that has the same text, the argument, and the text."""
    args: Any = late.get("args")
    texts = [
        value
        for value in (args.values() if isinstance(args, dict) else ())
        if isinstance(value, str) and len(value) >= _SHORTEST
    ]
    for step in reversed(before):
        tool = registry.get(str(step.get("tool")))
        given: Any = step.get("args")
        if tool is None or tool.effects in HARMLESS or not isinstance(given, dict):
            continue
        if mention_of(str(step.get("id"))).search(repr(args)):
            continue
        for name, value in given.items():
            for text in texts:
                if isinstance(value, str) and text in value:
                    return step, name, text
    return None
