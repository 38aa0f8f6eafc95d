"""Steps of an answer as all that plans may take them: every member of the type that it is to have.

JSON may have anything anywhere: a tool that is a list, arguments that are a text. Such a member is
set aside in its step when the step is read, once, and something empty of the right type stands in
its place; so nobody behind has to look at types. What judges or repairs a plan, and what a model is
shown of it, has it as it was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from flowbuilder.planner.base import PlanRequest
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation import Validation, validate

#: Where a step of a plan has what was set aside. What a model writes under it is set aside as well.
ASIDE = "written_otherwise"
WORD = re.compile(r"[^,\s]+")


def in_shape(raw: JsonObject) -> JsonObject:
    """Return a step of an answer or of a document whose members have the types of a step's.

    An id that is none is empty then; steps to wait for are under `depends_on`, also if the answer
    has them under `after`.
    """
    step = {key: value for key, value in raw.items() if key not in ("after", ASIDE)}
    if raw.get("after") is not None:
        step["depends_on"] = raw["after"]
    aside: JsonObject = {ASIDE: raw[ASIDE]} if ASIDE in raw else {}
    for key, (fits, instead) in _MEMBERS.items():
        value = step.get(key)
        if fits(value) or (key not in step and key not in _REQUIRED):
            continue
        if key in _OPTIONAL and value in _EMPTY:
            del step[key]
            continue
        aside[key] = value
        step[key] = instead(value)
    if aside:
        step[ASIDE] = aside
    return step


def as_written(step: JsonObject) -> JsonObject:
    """Return a step with what was set aside of it, but under the name that it was given."""
    return _restored(step, but="id")


def document_as_written(document: JsonObject) -> JsonObject:
    """Return a document whose steps are as they were written; the same objects where they are."""
    steps = document.get("steps")
    listed: list[Any] = steps if isinstance(steps, list) else []
    if not any(ASIDE in step for step in listed):
        return document
    return {**document, "steps": [as_written(step) for step in listed]}


def validated(document: JsonObject, request: PlanRequest) -> Validation:
    """Validate a plan as it was written, ids and all."""
    steps: Any = document["steps"]
    if any(ASIDE in step for step in steps):
        document = {**document, "steps": [fully_written(step) for step in steps]}
    return validate(document, request.registry, flows=request.flows)


def fully_written(step: JsonObject) -> JsonObject:
    """Return a step with all that was set aside of it, for who judges it."""
    return _restored(step)


def odd_id(step: JsonObject) -> tuple[JsonValue] | None:
    """Return what was written as a step's id and is none, None if it has one."""
    aside = step.get(ASIDE)
    return (aside["id"],) if isinstance(aside, dict) and "id" in aside else None


def _restored(step: JsonObject, but: str = "") -> JsonObject:
    aside = step.get(ASIDE)
    if not isinstance(aside, dict):
        return step
    kept = {key: value for key, value in step.items() if key != ASIDE}
    return {**kept, **{key: value for key, value in aside.items() if key != but}}


def _is_text(value: JsonValue) -> bool:
    return isinstance(value, str)


def _is_text_or_nothing(value: JsonValue) -> bool:
    return value is None or isinstance(value, str)


def _are_names(value: JsonValue) -> bool:
    listed = value if isinstance(value, list) else []
    return value is None or (isinstance(value, list) and all(isinstance(n, str) for n in listed))


def _names_in(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return [*WORD.findall(value)]
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _text_of_number(value: JsonValue) -> JsonValue:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


_Member = tuple[Callable[[JsonValue], bool], Callable[[JsonValue], JsonValue]]
_MEMBERS: dict[str, _Member] = {
    "id": (_is_text, _text_of_number),
    "tool": (_is_text, lambda value: "" if value is None else json.dumps(value)),
    "args": (lambda value: isinstance(value, dict), lambda value: {}),
    "when": (_is_text_or_nothing, lambda value: None),
    "for_each": (lambda value: value is None or isinstance(value, str | list), lambda value: None),
    "depends_on": (_are_names, _names_in),
}
_REQUIRED = frozenset({"id", "tool"})
#: Members that say nothing if they are empty, of whatever type.
_OPTIONAL = frozenset({"when", "for_each", "depends_on"})
_EMPTY: tuple[JsonValue, ...] = ("", [], {})
