"""Name and leave out what a small model adds of its own: a second message, a claimed result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.plan import Question
from flowbuilder.planner.asking import without_step
from flowbuilder.planner.document import result_in, steps_of, tool_of
from flowbuilder.planner.grounding import COMPOSED, Ground, is_used, stems
from flowbuilder.planner.literals import is_missed
from flowbuilder.tools import HARMLESS, Effects, ToolRegistry
from flowbuilder.types import JsonObject

_TOLD = frozenset({"body", "comment", "content", "message", "text"})
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_FILLERS = (
    "about also been dear done from greetings have hello here hope into just kind more note please "
    "regards result sincerely some that thank thanks their them then there these they this those "
    "what when where which will with would your"
)
#: The steps whose results a text refers to, with or without `steps.` before them.
_REFERRED = re.compile(r"\{\{\s*(?:steps\.)?(\w+)")
_INQUIRY = re.compile(
    r"(?i)\b(?:how|what|whether|which|who|whose|where|why"
    r"|(?:ask|wonder|know|see|check|tell)(?:s|ing)?(?: \w+)? if"
    r"|wait(?:s|ing)? for|details|asks? (?:about|for)|asking (?:about|for)|interested in"
    r"|to hear about|update on)\b"
)
#: The same, but no "anyone who calls": where a clause begins, or behind a verb of asking.
_ASKED = re.compile(
    r"(?i)(?:^|[.?!:;,]\s+|\b(?:and|but|knows?|sees?|tell \w+|wonder(?:s|ing)?|ask(?:s|ed|ing)?|"
    r"hear|find out|says?|of|about|in) )(?:how|what|whether|which|who|whose|where|why|when)\b"
    r"|(?:^|[.?!]\s+)(?:is|are|was|were|do|does|did|has|have|had|will) (?!you\b)[^.?!]*\?"
)
_COMMON = frozenset(_FILLERS.split())


def leave_out_messages(
    document: JsonObject,
    questions: Sequence[Question],
    registry: ToolRegistry,
    goal: str,
) -> tuple[tuple[Question, ...], list[str]]:
    """Leave out messages to nobody of the goal; return the questions left, and a note for each.

    Such a step's tool is not spoken of, its receiver is asked for or stands in another step too,
    and without it every literal of the goal is still carried by a step.
    """
    ground, notes, left = Ground(goal), [], tuple(questions)
    for step in reversed(steps_of(document)):
        kept = steps_of(document)
        index = next(place for place, item in enumerate(kept) if item is step)
        if _is_surplus(step, document, registry, ground, goal):
            document["steps"] = [item for item in kept if item is not step]
            left = without_step(left, index)
            notes.append(f"{step.get('id')} was left out: the goal names nobody else to tell.")
    return left, notes


def _is_surplus(
    step: JsonObject, document: JsonObject, registry: ToolRegistry, ground: Ground, goal: str
) -> bool:
    tool, arguments, steps = tool_of(step, registry), step.get("args"), steps_of(document)
    if tool is None or tool.effects is not Effects.EXTERNAL or not isinstance(arguments, dict):
        return False
    rest = [item for item in steps if item is not step]
    acting = [other for item in rest if (other := tool_of(item, registry))]
    if tool in acting or is_used(step, steps):
        return False
    if not any(other.effects not in HARMLESS for other in acting):
        return False
    about = _LONG_WORD.findall(f"{tool.name} {tool.summary}".replace("_", " ").lower())
    if stems(" ".join(about)) & ground.stems:
        return False
    carried = repr([item.get("args") for item in rest]).lower()
    receivers = [value for name, value in arguments.items() if name not in COMPOSED]
    if any(str(value).lower() not in carried for value in receivers):
        return False
    return not is_missed(step, document, registry, goal)


def claimed_results(
    document: JsonObject, registry: ToolRegistry, ground: Ground, goal: str
) -> list[Problem]:
    """Return a warning for each message that tells what neither goal nor a step's result says.

    The model is asked about it where the goal wants something found out; a letter it may compose.
    """
    problems = []
    for index, step in enumerate(steps_of(document)):
        tool, arguments = tool_of(step, registry), step.get("args")
        if tool is None or tool.effects in HARMLESS or not isinstance(arguments, dict):
            continue
        for name in sorted(_TOLD & set(arguments)):
            text = arguments[name]
            if isinstance(text, str) and "${{" not in text and _claims(text, ground, goal):
                problems.append(_claimed(index, name, text))
    if not (inquires(goal) or _has_idle_reader(document, registry)):
        return [replace(item, fix=Fix.USER) for item in problems]
    return problems


def inquires(goal: str) -> bool:
    """Whether a goal wants something to be found out: "how db-01 is doing"."""
    return _INQUIRY.search(goal) is not None


def asks(goal: str) -> bool:
    """Whether a goal has a question in it, direct or not."""
    return _ASKED.search(goal) is not None


def tell_result(steps: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the steps of an answer with the first one's result in the place of what is claimed.

    Unchanged where a later step refers to the first. Where both have the same id, which a small
    model falls into, the first gets another.
    """
    first, *later = steps
    if first.get("id") in {step.get("id") for step in later}:
        first = {**first, "id": "found_out"}
    if first.get("id") in _REFERRED.findall(repr(later)):
        return list(steps)
    result = result_in(first)
    told = []
    for step in later:
        given = step.get("args")
        arguments: JsonObject = dict(given) if isinstance(given, dict) else {}
        for name in _TOLD & set(arguments):
            arguments[name] = result
        told.append({**step, "args": arguments})
    return [first, *told]


def _has_idle_reader(document: JsonObject, registry: ToolRegistry) -> bool:
    steps = steps_of(document)
    tools = [(step, tool_of(step, registry)) for step in steps]
    return any(
        tool is not None and tool.effects in HARMLESS and not is_used(step, steps)
        for step, tool in tools
    )


def _claims(text: str, ground: Ground, goal: str) -> bool:
    plain, asked = " ".join(text.lower().split()).rstrip(".!?"), " ".join(goal.lower().split())
    if plain in asked:
        return False
    if inquires(goal):
        return True  # an answer that nobody looked for, in whatever words
    words = set(_LONG_WORD.findall(plain)) - _COMMON
    return any(not stems(word) & ground.stems for word in words)


def _claimed(index: int, name: str, text: str) -> Problem:
    return Problem(
        code="text_claimed",
        pointer=f"/steps/{index}/args/{name}",
        message=f"neither the goal nor a step says {text[:80]!r}",
        hint="Find it out by a step before, and refer to its result.",
        severity=Severity.WARNING,
        fix=Fix.MODEL,
    )
