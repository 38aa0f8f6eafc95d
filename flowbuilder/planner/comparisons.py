"""Hold filters to the comparisons that a goal words: "a temperature above 80", "status is open".

A small model takes another column that the goal names, or the opposite operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject

_MORE = (
    r"above|over|exceed(?:s|ing)|beyond|(?:greater|more|higher|larger|bigger|longer|older|heavier|"
    r"later|warmer|hotter) than"
)
_LESS = (
    r"below|under|(?:less|lower|smaller|fewer|shorter|younger|lighter|earlier|cooler|colder) than"
)
_SIGNS = (
    (">=", r"at least|no less than|not (?:below|under)"),
    ("<=", r"at most|no more than|not (?:above|over)|up to"),
    ("!=", r"(?:is|are|was) not|isn't|aren't|does not equal|differs from|other than"),
    (">", _MORE),
    ("<", _LESS),
    ("==", r"equals|equal to|is|are"),
)
_ANY_SIGN = "|".join(f"(?:{words})" for _, words in _SIGNS)
_COMPARISON = re.compile(
    rf"(?i)(?<![\w.-])(?P<column>[a-z]\w*)\s+(?:(?:is|are|of|was|were)\s+)?(?P<words>{_ANY_SIGN})\s+"
    rf"(?P<value>-?\d+(?:\.\d+)?|\"[^\"]+\"|[A-Za-z]\w*)(?![\w@/-])"
)
#: "Norway as their country".
_TURNED = re.compile(
    r"\b(?P<value>[A-Z]\w*|\"[^\"]+\"|\d+) as (?:its|their|the) (?P<column>[a-z]\w*)"
)
_NO_COLUMNS = frozenset(
    {
        *("all", "and", "any", "anything", "are", "everything", "files", "it", "items", "just"),
        *("know", "one", "only", "or", "rows", "something", "that", "them", "there", "these"),
        *("they", "things", "this", "those", "value", "values", "what", "which", "who", "whose"),
    }
)
_NO_VALUES = frozenset(
    {
        *("a", "an", "and", "at", "by", "done", "for", "in", "it", "mine", "my", "no", "not"),
        *("of", "on", "one", "our", "part", "the", "their", "to", "what"),
    }
)
_TURNS = re.compile(
    r"(?i)\b(?:without|except|exclud\w+|remov\w+|drop\w*|discard\w*|delet\w+|skip\w*|omit\w*|"
    r"leav\w+ out|get rid|but not|not|no longer|ignor\w+|throw\w*|instead|other than)\b|n't\b"
)
_QUOTED = re.compile(r"\S*(?:://|@)\S*")
#: How tools spell a comparison, by its sign.
_SPELLINGS = {
    "==": ("==", "=", "eq", "equals", "equal", "is"),
    "!=": ("!=", "<>", "ne", "neq", "not_equals", "not_equal", "is_not"),
    ">": (">", "gt", "greater_than", "above", "greater"),
    "<": ("<", "lt", "less_than", "below", "less"),
    ">=": (">=", "ge", "gte", "at_least"),
    "<=": ("<=", "le", "lte", "at_most"),
}
_STEM = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What a goal wants compared, as `==`, `!=`, `<`, `<=`, `>` or `>=`."""

    column: str
    sign: str
    value: str


def comparisons(goal: str) -> list[Comparison]:
    """Return the comparisons that a goal words plainly."""
    bare = _QUOTED.sub(" ", goal)
    found = [
        Comparison(column=item["column"], sign=_sign(item["words"]), value=item["value"].strip('"'))
        for item in _COMPARISON.finditer(bare)
    ]
    found += [
        Comparison(column=item["column"], sign="==", value=item["value"].strip('"'))
        for item in _TURNED.finditer(bare)
    ]
    return [
        item
        for item in found
        if item.column.lower() not in _NO_COLUMNS and item.value.lower() not in _NO_VALUES
    ]


def mend_comparisons(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Write operators and columns of filters as the goal words them, where that is certain.

    An operator only where no word of the goal turns its meaning; a column only where the one that
    stands there belongs to another step and the goal's is in none. Return a sentence a change.
    """
    notes = []
    for index, step, tool, said in _compared(document, registry, goal):
        given: Any = step["args"]
        sign = _operator(tool)
        if sign and not _TURNS.search(goal):
            wanted = _spelt(said.sign, tool.input_schema["properties"][sign]["enum"])
            if wanted and sign in given and given[sign] != wanted and said.sign != "!=":
                notes.append(f"{step.get('id')}: {sign} is {wanted!r}, as the goal says.")
                given[sign] = wanted
        column = _column(tool)
        if column and _is_lost(said.column, document) and _is_elsewhere(column, index, document):
            notes.append(f"{step.get('id')}: {column} is {said.column!r}, as the goal says.")
            given[column] = said.column
    return notes


def lost_comparisons(document: JsonObject, registry: ToolRegistry, goal: str) -> list[Problem]:
    """Return a warning for each filter by a value whose column in the goal is in no step."""
    return [
        Problem(
            code="column_lost",
            pointer=f"/steps/{index}/args",
            message=f"the goal compares {said.column} with {said.value}, and no step does",
            hint=f"Compare {said.column}, as the goal says.",
            severity=Severity.WARNING,
            fix=Fix.MODEL,
        )
        for index, _, _, said in _compared(document, registry, goal)
        if _is_lost(said.column, document)
    ]


def _sign(words: str) -> str:
    return next(sign for sign, said in _SIGNS if re.fullmatch(said, words, re.IGNORECASE))


def _compared(
    document: JsonObject, registry: ToolRegistry, goal: str
) -> Iterator[tuple[int, JsonObject, Tool, Comparison]]:
    """Yield each step that filters by the value of a comparison of the goal."""
    said = comparisons(goal)
    steps = document.get("steps")
    for index, step in enumerate(steps if said and isinstance(steps, list) else []):
        tool = registry.get(str(step.get("tool"))) if isinstance(step, dict) else None
        given = step.get("args") if isinstance(step, dict) else None
        if tool is None or not isinstance(given, dict) or not isinstance(step, dict):
            continue
        if tool.effects in HARMLESS and _column(tool):
            own = {str(value).lower() for value in given.values()}
            yield from ((index, step, tool, item) for item in said if item.value.lower() in own)


def _operator(tool: Tool) -> str | None:
    """Return the argument of a tool that takes a comparison from a list."""
    shapes: dict[str, Any] = tool.input_schema.get("properties", {})
    for name, shape in shapes.items():
        listed = shape.get("enum") or ()
        if _spelt("==", listed) and (_spelt(">", listed) or _spelt("!=", listed)):
            return name
    return None


def _column(tool: Tool) -> str | None:
    shapes: dict[str, Any] = tool.input_schema.get("properties", {})
    return next((name for name in ("column", "field", "key", "by") if name in shapes), None)


def _spelt(sign: str, listed: Any) -> str | None:
    return next((item for item in _SPELLINGS[sign] if item in listed), None)


def _is_lost(column: str, document: JsonObject) -> bool:
    steps: Any = document["steps"]
    carried = repr([(item.get("args"), item.get("when")) for item in steps]).lower()
    return column.lower()[:_STEM] not in carried


def _is_elsewhere(name: str, index: int, document: JsonObject) -> bool:
    """Whether a column of a step stands in another step's arguments too."""
    steps: Any = document["steps"]
    value = steps[index]["args"].get(name)
    others = [item.get("args") for place, item in enumerate(steps) if place != index]
    return isinstance(value, str) and repr(value) in repr(others)
