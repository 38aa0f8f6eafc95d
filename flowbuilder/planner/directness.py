"""Give a step itself what the goal names, where a small model looks that up by itself first.

Such as the field "Long Acre" for the name of "Long Acre", or the member "L-20417" for a card number
that the goal gives.
"""

from __future__ import annotations

import re
from functools import partial

from flowbuilder.planner.argument_names import MAILS, PHONES
from flowbuilder.planner.document import not_after, steps_of, tool_of
from flowbuilder.planner.grounding import COMPOSED, is_used
from flowbuilder.tools import HARMLESS, ToolRegistry
from flowbuilder.types import JsonObject

#: A number or code as it is written on a card or a label, and no name or date.
_CODE = re.compile(r"(?=.*\d)(?!\d{4}-\d\d-\d\d$)[A-Za-z]{0,6}[-_/#.]?[\dA-Za-z]*\d[-_/\dA-Za-z]*")
_CODED = re.compile(r"(?i)(?:^|_)(?:id|number|no|code|key|ref|reference|tag|sku|card|isbn)(?:$|_)")
#: What is told may speak of what was found.
_TOLD = COMPOSED - {"title"}
_LOOKED_FOR = re.compile(r"(?i)\b(?:look(?:s|ed|ing)?\b.{0,40}?\bup|find|search|fetch|retrieve)\b")


def give_directly(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Replace the results of look-ups by what they were given, where they can be nothing else.

    A look-up that nothing uses then is left out, unless the goal asks for one. Change the document
    in place; return one sentence for each change.
    """
    notes = []
    for step in list(steps_of(document)):
        key, value = _given(step, registry)
        if not value or value.lower() not in goal.lower():
            continue
        pattern = re.compile(rf"\$\{{\{{ steps\.{re.escape(str(step.get('id')))}\.(\w+) \}}\}}")
        swap = partial(_swapped, key=key, value=value, pattern=pattern)
        before = steps_of(document)
        after = [item if item is step else swap(item) for item in before]
        if after == before:
            continue
        document["steps"] = list(after)
        notes.append(f"{value} is given as the goal says, and not as {step.get('id')} finds it.")
        if not (is_used(step, after) or _LOOKED_FOR.search(goal)):
            document["steps"] = [not_after(item, step) for item in after if item is not step]
    return notes


def _given(step: JsonObject, registry: ToolRegistry) -> tuple[str, str]:
    """Return the one argument of a look-up and its text; empty if it is given anything else."""
    tool, given = tool_of(step, registry), step.get("args")
    if tool is None or tool.effects not in HARMLESS or "for_each" in step:
        return "", ""
    if not isinstance(given, dict) or len(given) != 1:
        return "", ""
    ((key, value),) = given.items()
    return (key, value) if isinstance(value, str) and "${{" not in value else ("", "")


def _swapped(step: JsonObject, *, key: str, value: str, pattern: re.Pattern[str]) -> JsonObject:
    given = step.get("args")
    if not isinstance(given, dict):
        return step
    direct = {}
    for name, item in given.items():
        found = pattern.fullmatch(item) if isinstance(item, str) and name not in _TOLD else None
        swapped = found is not None and _is_the_same(found[1], name, key, value)
        direct[name] = value if swapped else item
    return {**step, "args": direct}


def _is_the_same(field: str, name: str, key: str, value: str) -> bool:
    """Whether a field of what is found holds what it was looked for by.

    It does under the same name; and a code that was taken for a name is what a field and an
    argument of one name for codes hold.
    """
    if field == key:
        return True
    coded = _CODE.fullmatch(value) and _CODED.search(field) and not _CODED.search(key)
    return bool(coded) and field == name and field not in MAILS | PHONES
