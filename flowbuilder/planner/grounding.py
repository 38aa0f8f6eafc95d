"""What of a plan comes from the goal: options nobody asked for are left out, stray steps named."""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.likeness import stems as stems
from flowbuilder.planner.document import steps_of, tool_of
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.planner.signs import signs
from flowbuilder.tools import HARMLESS, Effects, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_REFERENCE = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
#: Arguments that a writer composes: what stands in them need not stand in the goal.
COMPOSED = {
    "body", "caption", "comment", "content", "description", "headline", "message", "note",
    "prompt", "subject", "summary", "text", "title",
}  # fmt: skip
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve"
_SINGLE = ("once", "single", "first", "top", "best", "latest", "newest", "last")


class Ground:
    """The words, numbers and meanings of a goal."""

    def __init__(self, goal: str, known: JsonValue = None) -> None:
        self._text = goal.lower()
        self._signs = set(signs(goal))
        self.stems = stems(goal) | stems(repr(known) if known is not None else "")
        self._written = {float(item) for item in _NUMBER.findall(goal.replace(",", ""))}
        self.numbers = set(self._written)
        words = set(_WORD.findall(self._text))
        self.numbers |= {float(n) for n, word in enumerate(_NUMBER_WORDS.split()) if word in words}
        if words & set(_SINGLE):
            self.numbers.add(1.0)
        for literal in find_literals(goal):
            self.stems |= stems(f"{literal.value} {literal.unit or ''}")

    def writes(self, number: JsonValue) -> bool:
        """Whether a number stands in the goal: in figures, or as a word for more than one."""
        if isinstance(number, bool) or not isinstance(number, int | float):
            return False
        return float(number) in self._written or (number != 1 and float(number) in self.numbers)

    def holds(self, value: JsonValue) -> bool:
        """Whether any part of a value comes from the goal or from another step."""
        if isinstance(value, bool) or value is None:
            return False
        if isinstance(value, int | float):
            return float(value) in self.numbers
        if isinstance(value, str):
            bare = value.strip().lower()
            if value in self._signs or bare in self._signs:
                return True
            if _REFERENCE.search(value) or (len(bare) > 1 and bare in self._text):
                return True
            return bool(stems(value) & self.stems)
        items = list(value.values()) + list(value) if isinstance(value, dict) else value
        return any(self.holds(item) for item in items)


def drop_options(document: JsonObject, registry: ToolRegistry, ground: Ground) -> list[str]:
    """Leave out optional arguments that nobody asked for.

    The options of pure tools are part of what they compute (`descending`, `how`), so those stay.
    Return one sentence for each change.
    """
    notes = []
    for step in steps_of(document):
        tool, arguments = tool_of(step, registry), step.get("args")
        if tool is None or not isinstance(arguments, dict):
            continue
        required = set(tool.input_schema.get("required", ()))
        for name, shape in tool.input_schema.get("properties", {}).items():
            if name in required or name not in arguments:
                continue
            if _is_unasked(name, shape, arguments[name], tool, ground):
                value = arguments.pop(name)
                notes.append(f"{step.get('id')}: {name} {value!r} was left out: nobody asked.")
    return notes


def _is_unasked(name: str, shape: Any, value: JsonValue, tool: Tool, ground: Ground) -> bool:
    if "default" in shape and type(shape["default"]) is type(value) and shape["default"] == value:
        return False
    if tool.effects is Effects.PURE or set(_WORD.findall(name.lower())) & COMPOSED:
        return False
    described = f"{name.replace('_', ' ')} {shape.get('description', '')}"
    return not ground.holds(value) and not stems(described) & ground.stems


def name_languages(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Write the one language of the goal as the goal does where a model abbreviates it.

    Arguments that ask for a code are left alone. Return one sentence for each change.
    """
    named = {item.text for item in find_literals(goal) if item.kind is Kind.LANGUAGE}
    if len(named) != 1:
        return []
    language, notes = named.pop(), []
    for step in steps_of(document):
        tool, arguments = tool_of(step, registry), step.get("args")
        if tool is None or not isinstance(arguments, dict):
            continue
        for name, shape in tool.input_schema.get("properties", {}).items():
            value = arguments.get(name)
            if _is_short_language(name, shape, value):
                arguments[name] = language
                notes.append(f"{step.get('id')}: {name} {value!r} was written as {language!r}.")
    return notes


def _is_short_language(name: str, shape: Any, value: JsonValue) -> bool:
    if "lang" not in name.lower() or not isinstance(value, str):
        return False
    asks_code = "enum" in shape or re.search(r"code|iso", f"{name} {shape}".lower())
    return not asks_code and re.fullmatch(r"[a-z]{2}(-[A-Za-z]{2})?", value) is not None


def stray_steps(document: JsonObject, registry: ToolRegistry, ground: Ground) -> list[Problem]:
    """Return a problem for each step that seems to be there for nothing.

    That is a step whose tool's name and whose own values are all foreign to the goal, such as a
    translation into a language that nobody mentioned, and one whose result nobody uses although
    others send or write something.
    """
    problems, steps = [], steps_of(document)
    tools = [tool_of(step, registry) for step in steps]
    acts = any(tool and tool.effects not in HARMLESS for tool in tools)
    for index, (step, tool) in enumerate(zip(steps, tools, strict=True)):
        if tool is None:
            continue
        own = _own_values(step, tool)
        named = stems(tool.name.replace("_", " ")) & ground.stems
        if own and not named and not any(ground.holds(value) for value in own):
            problems.append(_unasked(index, step, own))
        elif acts and tool.effects in HARMLESS and not is_used(step, steps):
            problems.append(_unused(index, step))
    return problems


def is_used(step: JsonObject, steps: list[JsonObject]) -> bool:
    """Whether any other step refers to a step."""
    name = re.escape(str(step.get("id")))
    others = [item for item in steps if item is not step]
    return bool(re.search(rf"steps\.{name}\b|'{name}'", repr(others)))


def _unused(index: int, step: JsonObject) -> Problem:
    return Problem(
        code="result_unused",
        pointer=f"/steps/{index}",
        message=f"no step uses the result of {step.get('tool')}",
        hint="Let a later step use it, in the order of the goal, or leave the step out.",
        severity=Severity.WARNING,
        fix=Fix.MODEL,
    )


def _own_values(step: JsonObject, tool: Tool) -> list[JsonValue]:
    """Return the necessary values, texts that are composed aside, of a step that uses a result.

    Of a step that acts on the world a value taken from a result counts as foreign too.
    """
    arguments = step.get("args")
    if not isinstance(arguments, dict) or "${{ steps." not in repr(arguments):
        return []
    harmless = tool.effects in HARMLESS
    required = tool.input_schema.get("required", ())
    values = [
        arguments[name]
        for name in required
        if name in arguments and (harmless or name not in COMPOSED)
    ]
    if harmless:
        return [value for value in values if not _REFERENCE.search(repr(value))]
    return [_REFERENCE.sub("", value) if isinstance(value, str) else value for value in values]


def _unasked(index: int, step: JsonObject, own: list[JsonValue]) -> Problem:
    shown = ", ".join(str(value)[:60] for value in own if value) or "what it is given"
    return Problem(
        code="step_unasked",
        pointer=f"/steps/{index}",
        message=f"nothing in the goal asks for {step.get('tool')} with {shown}",
        hint="Leave the step out unless the goal needs it.",
        severity=Severity.WARNING,
        fix=Fix.MODEL,
    )


#: Words of tools' names that say nothing of what they work on.
GENERAL = frozenset(
    stems(
        "add call create delete do fetch find get list load look make new open post put query "
        "read run save search send set show store take tell text update write"
    )
)
