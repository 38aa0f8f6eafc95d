"""Changes of a flow document by a step's id: each leaves everything else as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from flowbuilder.planner.document import REFERENCE, mention_of, steps_of, with_texts
from flowbuilder.references import CLOSE, OPEN
from flowbuilder.types import JsonObject, JsonValue

#: What of a step may hold values or references.
_FILLED = ("args", "for_each", "when", "compensate", "limit")
_INSIDE = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def step_named(document: JsonObject, name: str) -> JsonObject | None:
    """Return the step with an id, None if there is none."""
    return next((step for step in steps_of(document) if step.get("id") == name), None)


def users_of(document: JsonObject, name: str) -> list[str]:
    """Return the ids of the steps that take something of a step, or wait for it."""
    pattern = mention_of(name)
    found = []
    for step in steps_of(document):
        waits = step.get("depends_on")
        refers = any(pattern.search(str(step.get(key))) for key in _FILLED)
        if step.get("id") != name and (refers or (isinstance(waits, list) and name in waits)):
            found.append(str(step.get("id")))
    return found


def rename_step(document: JsonObject, old: str, new: str) -> None:
    """Give a step another id; what refers to it follows."""
    pattern = mention_of(old)

    def follow(text: str) -> str:
        return _INSIDE.sub(lambda found: pattern.sub(f"steps.{new}", found.group()), text)

    for step in steps_of(document):
        if step.get("id") == old:
            step["id"] = new
        _follow(step, old, new, pattern, follow)
    if "output" in document:
        document["output"] = with_texts(document["output"], follow)


def _follow(
    step: JsonObject, old: str, new: str, pattern: re.Pattern[str], follow: Callable[[str], str]
) -> None:
    for key in _FILLED:
        if key == "when" and isinstance(step.get(key), str):
            step[key] = pattern.sub(f"steps.{new}", str(step[key]))
        elif key in step:
            step[key] = with_texts(step[key], follow)
    waits = step.get("depends_on")
    if isinstance(waits, list):
        step["depends_on"] = [new if item == old else item for item in waits]


def remove_step(document: JsonObject, name: str) -> list[str]:
    """Take a step out; who took its result takes what it took, who waited for it no longer does.

    Return the ids of the steps that had to be changed.
    """
    step = step_named(document, name)
    steps: Any = document["steps"]
    users = users_of(document, name)
    steps[:] = [item for item in steps if item is not step]
    source = _source(step) if step is not None else None
    whole = f"{OPEN} steps.{name} {CLOSE}"
    pattern = re.compile(rf"\$\{{\{{ ?steps\.{re.escape(name)}\b[^}}]*\}}\}}")

    def bypass(text: str) -> str:
        return pattern.sub(lambda _: source, text) if source is not None else text

    for other in steps_of(document):
        waits = other.get("depends_on")
        if isinstance(waits, list) and name in waits:
            rest = [item for item in waits if item != name]
            other["depends_on"] = rest
            if not rest:
                del other["depends_on"]
        for key in ("args", "for_each"):
            if key in other and str(other["id"]) in users:
                other[key] = with_texts(other[key], bypass)
    _mend_output(document, name, whole, bypass)
    return users


def _mend_output(document: JsonObject, name: str, whole: str, bypass: Callable[[str], str]) -> None:
    """Let the output take what the step took that is gone; without that there is none."""
    if "output" not in document:
        return
    changed = with_texts(document["output"], bypass)
    if f"steps.{name}" in str(changed) and whole not in str(document.get("steps")):
        del document["output"]
    else:
        document["output"] = changed


def _source(step: JsonObject) -> str | None:
    """Return the one result that a step was given as a whole, None where there are several."""
    given = step.get("args")
    values = [*given.values()] if isinstance(given, dict) else []
    taken = [v for v in values if isinstance(v, str) and REFERENCE.fullmatch(v)]
    others = [v for v in values if v not in taken and "${{ steps." in str(v)]
    return taken[0] if len(taken) == 1 and not others and "for_each" not in step else None


def texts_holding(document: JsonObject, old: str) -> Iterator[tuple[str, str]]:
    """Yield the step and the argument (or `for_each`, `when`) in which a value stands."""
    for step in steps_of(document):
        arguments = step.get("args")
        for name, value in (arguments if isinstance(arguments, dict) else {}).items():
            if not same_value(exchanged(value, old, old + "\x00"), value):
                yield str(step.get("id")), name
        for key in ("for_each", "when"):
            if key in step and not same_value(exchanged(step[key], old, old + "\x00"), step[key]):
                yield str(step.get("id")), key


def exchanged(value: JsonValue, old: str, new: str) -> JsonValue:
    """Return a value in which a text or number is another one; references are left alone.

    A number stays a number where the new one is one, too.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return _number(new, value) if _is_number(old) and float(old) == float(value) else value
    if isinstance(value, str):
        return _exchanged_text(value, old, new)
    if isinstance(value, list):
        return [exchanged(item, old, new) for item in value]
    return {key: exchanged(item, old, new) for key, item in value.items()}


def same_value(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are the same, 1 and true apart."""
    return repr(one) == repr(other)


def _exchanged_text(text: str, old: str, new: str) -> str:
    pattern = re.compile(rf"(?<![\w@]){re.escape(old)}(?![\w@]|\.\w)", re.IGNORECASE)
    parts, at = [], 0
    for found in _INSIDE.finditer(text):
        parts += [pattern.sub(lambda _: new, text[at : found.start()]), found.group()]
        at = found.end()
    return "".join([*parts, pattern.sub(lambda _: new, text[at:])])


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip()) is not None


def _number(text: str, like: float) -> JsonValue:
    if not _is_number(text):
        return text
    number = float(text)
    return int(number) if isinstance(like, int) and number.is_integer() else number
