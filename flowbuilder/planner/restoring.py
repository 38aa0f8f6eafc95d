"""Put what the goal says back in the place of what a model wrote there instead.

A file is called after the bucket it belongs to, or a quoted text stands there translated already
beside the step that is to translate it. Only where one thing of the goal is lost and fits there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowbuilder.errors import Severity
from flowbuilder.planner.argument_names import FILES
from flowbuilder.planner.coercion import texts_of
from flowbuilder.planner.grounding import COMPOSED
from flowbuilder.planner.literals import Literal, literals, lost_literals, named_literals, taking
from flowbuilder.planner.surplus import asks
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject

_LANGUAGE = "lang"
_WORDS = re.compile(r"\w+")
#: Words that do not stand in a goal in the same order by chance.
_SEVERAL = 3
_HEADED = frozenset({"subject", "title", "headline"})


def restore(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Mend a document in place; return one sentence for each change."""
    notes = _cut_instructions(document, registry, goal) + _lengthen(document, registry, goal)
    messages = [item.message for item in lost_literals(goal, document, registry)]
    known = literals(goal)
    lost = [
        item for item in known if any(f"the {item.kind} {item.text} " in said for said in messages)
    ]
    for literal in lost:
        if [item.kind for item in lost].count(literal.kind) == 1:
            notes += _swap_named(document, registry, goal, literal)
            if [item for item in known if item.kind == "quoted text"] == [literal]:
                notes += _put_back(document, registry, goal, literal)
    return notes


def _cut_instructions(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Leave of a told text only what the goal quotes, where the rest stands in the goal as well.

    That the address is in the address book is not for whom the mail is for.
    """
    quoted = [item.text for item in literals(goal) if item.kind == "quoted text"]
    notes = []
    for step, tool, given in _acted(document, registry):
        for name, value in given.items() if tool.effects not in HARMLESS else ():
            if name not in COMPOSED - _HEADED or not isinstance(value, str):
                continue
            found = [text for text in quoted if text in value and text.strip() != value.strip()]
            rest = value.replace(found[0], " ") if len(found) == 1 else ""
            if _says(goal, rest) and not asks(rest.strip()):
                given[name] = found[0]
                notes.append(f"{step.get('id')}: {name} is what the goal quotes.")
    return notes


def _lengthen(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Write a file as the goal does where only the end of its path stands."""
    paths = [item.text for item in literals(goal) if item.kind == "file name"]
    notes = []
    for step, _, given in _acted(document, registry):
        for name, value in given.items():
            text = value if isinstance(value, str) and name.rpartition("_")[2] in FILES else ""
            whole = [path for path in paths if text and path.endswith(f"/{text}")]
            if len(whole) == 1 and text not in paths:
                given[name] = whole[0]
                notes.append(f"{step.get('id')}: {name} is {whole[0]}, as the goal says.")
    return notes


def _says(goal: str, text: str) -> bool:
    """Whether a goal says a text of several words word for word."""
    said = _WORDS.findall(text.lower())
    return len(said) >= _SEVERAL and " ".join(said) in " ".join(_WORDS.findall(goal.lower()))


def _swap_named(
    document: JsonObject, registry: ToolRegistry, goal: str, literal: Literal
) -> list[str]:
    """Put a lost literal where a value stands that the goal calls something else."""
    others = {
        item.text.lower(): item
        for item in [*literals(goal), *named_literals(goal, registry)]
        if item.is_named or item.severity is Severity.ERROR
    }
    notes = []
    for step, tool, given in _acted(document, registry):
        for name in taking(literal, tool):
            text = "".join(texts_of(given.get(name))[:1])
            other = others.get(text.lower())
            if other is None or other.kind == literal.kind or name in taking(other, tool):
                continue
            listed = isinstance(given[name], list)
            given[name] = [literal.text] if listed else literal.text
            notes.append(
                f"{step.get('id')}: {name} is {literal.text}, not the {other.kind} {text}."
            )
    return notes


def _put_back(
    document: JsonObject, registry: ToolRegistry, goal: str, quoted: Literal
) -> list[str]:
    """Put the quoted text back where a step that is to translate it has another one."""
    found = [
        (step, name, value)
        for step, tool, given in _acted(document, registry)
        for name, value in given.items()
        if tool.effects in HARMLESS and any(_LANGUAGE in key for key in given)
        if name in COMPOSED - _HEADED and isinstance(value, str)
        if "${{" not in value and value.lower() not in goal.lower()
    ]
    if len(found) != 1:
        return []
    wrong = found[0][2]
    notes = []
    for step, _, given in _acted(document, registry):
        for name, value in given.items():
            if value == wrong:
                given[name] = quoted.text
                notes.append(f"{step.get('id')}: {name} is the quoted text of the goal.")
    return notes


def _acted(
    document: JsonObject, registry: ToolRegistry
) -> Iterator[tuple[JsonObject, Tool, JsonObject]]:
    steps = document.get("steps")
    for step in steps if isinstance(steps, list) else []:
        tool = registry.get(str(step.get("tool"))) if isinstance(step, dict) else None
        given = step.get("args") if isinstance(step, dict) else None
        if isinstance(step, dict) and tool is not None and isinstance(given, dict):
            yield step, tool, given
