"""Edits of values by words: which argument is to be what, as its type wants it."""

from __future__ import annotations

import copy
import re
from typing import Any

from flowbuilder.errors import DefinitionError, InvalidValue, PlanningError
from flowbuilder.flow import Flow
from flowbuilder.plan import Question
from flowbuilder.planner.answering import read_text
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.editing import EditRequest
from flowbuilder.planner.editing_changes import step_named
from flowbuilder.planner.editing_places import Map, Place, ambiguous
from flowbuilder.planner.editing_words import Format, Instead, Put, Sort
from flowbuilder.planner.question_types import argument_schema, options_of
from flowbuilder.planner.rules.bridges import extension
from flowbuilder.planner.rules.matching import ToolIndex
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.references import ESCAPED, OPEN
from flowbuilder.schemas import value_problems
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

ABOUT_RULES = "Changed by rules, without a language model: the words were matched with the steps."
#: Parts of a step that are no arguments, by what people call them.
_POLICIES = {"timeout": "timeout", "time limit": "timeout", "concurrency": "concurrency",
             "description": "description", "condition": "when"}  # fmt: skip
_ATTEMPTS = frozenset({"retries", "attempts", "tries", "max attempts", "number of attempts"})
_FORMATS = {"excel": "xlsx", "markdown": "md", "text": "txt", "plain text": "txt", "yml": "yaml"}
_ORDERS = ("descending", "reverse", "reversed", "desc", "ascending", "asc", "order", "direction",
           "sort_order")  # fmt: skip
_SORTED_BY = ("by", "sort_by", "order_by", "key", "field", "column")


class ValueEdits:
    """A document on its way through commands, and those of them that set values."""

    def __init__(self, request: EditRequest, registry: ToolRegistry) -> None:
        self._request, self._registry = request, registry
        self._index = ToolIndex(registry)
        self._document: JsonObject = copy.deepcopy(request.document)
        self._notes: list[str] = [ABOUT_RULES]
        self._doubts: list[str] = []
        self._asked: list[tuple[str, str, str]] = []

    @property
    def _map(self) -> Map:
        return Map(self._document, self._registry, self._index)

    def _step(self, name: str) -> JsonObject:
        step = step_named(self._document, name)
        assert step is not None
        return step

    def _fitting(self, step: str, name: str, value: JsonValue) -> JsonValue:
        """Return a value as the argument takes it; what is wrong with it, validation will say."""
        tool = self._registry.get(str(self._step(step).get("tool")))
        schema = argument_schema(tool, name) if tool is not None else {}
        if not isinstance(value, str) or not value_problems(schema, value, code="", pointer=""):
            return value
        question = Question(id="", text="", pointer="", type=schema, options=options_of(schema))
        return read_text(value, question)

    def _put(self, command: Put) -> bool:
        if self._put_policy(command):
            return True
        places = self._map.arguments(command.name)
        if command.more:
            places = [place for place in places if place.slot.many]
        if not places:
            return False
        if len(places) > 1:
            ambiguous(command.name, [f"{one.step}.{one.name}" for one in places], "arguments")
        return self._fill(places[0], command.value, more=command.more)

    def _fill(self, place: Place, text: str, *, more: bool = False) -> bool:
        """Give an argument a value, as its type wants it. Raises: PlanningError."""
        tool = self._registry.require(str(self._step(place.step)["tool"]))
        schema = argument_schema(tool, place.name)
        question = Question(id="", text="", pointer="", type=schema, options=options_of(schema))
        before = self._map.given(place)
        value = read_text(text, question)
        if isinstance(before, list) and isinstance(value, str):
            listed: list[JsonValue] = [*re.split(r"\s*,\s*|\s+and\s+", value)]
            value = [*before, *listed] if more else listed
        if problems := value_problems(schema, value, code="edit_value", pointer=""):
            raise PlanningError(
                f"{place.step}: {place.name} cannot be {text!r:.100}: {problems[0].message}",
                problems=problems,
                code="edit_value",
            )
        step = self._step(place.step)
        arguments: Any = step.setdefault("args", {})
        arguments[place.name] = _escaped(value)
        self._notes.append(f"{place.step}: {place.name} is {text} now.")
        return True

    def _put_policy(self, command: Put) -> bool:
        """Set what is no argument: a time limit, how often an attempt is repeated."""
        name, _, said = command.name.lower().partition(" of ")
        key = _POLICIES.get(name.strip())
        retries = name.strip() in _ATTEMPTS
        if (key is None and not retries) or (not said and self._map.arguments(command.name)):
            return False
        target = self._map.step(said) if said else None
        steps = steps_of(self._document)
        if target is None and len(steps) == 1:
            target = str(steps[0]["id"])
        if target is None:
            ambiguous(command.name, [str(step["id"]) for step in steps], "steps")
        step = self._step(target)
        if retries:
            policy: Any = step.setdefault("retry", {})
            policy["max_attempts"] = _json(command.value)
        else:
            step[str(key)] = _json(command.value) if key == "concurrency" else command.value
        self._document = _canonical(self._document, command)
        self._notes.append(f"{target}: {name} is {command.value} now.")
        return True

    def _instead(self, command: Instead) -> bool:
        places = self._map.of_kind(command.value)
        if len(places) != 1:
            target = self._map.step(command.clause)
            every = places or self._map.taking(command.value)
            places = [place for place in every if target is None or place.step == target]
        if len(places) > 1:
            ambiguous(command.value, [f"{one.step}.{one.name}" for one in places], "arguments")
        return bool(places) and self._fill(places[0], command.value)

    def _sort(self, command: Sort) -> bool:
        map_ = self._map
        places = [p for step in steps_of(self._document) for p in _sorting(map_, step)]
        steps = list(dict.fromkeys(place.step for place in places))
        if len(steps) > 1:
            ambiguous("the order", steps, "steps")
        if not steps or (command.by is None and command.descending is None):
            return False
        done = False
        for place in places:
            if place.name in _SORTED_BY and command.by is not None:
                done = self._fill(place, command.by) or done
            elif place.name in _ORDERS and command.descending is not None:
                done = self._fill(place, _order(place, command.descending)) or done
        return done

    def _format(self, command: Format) -> bool:
        suffix = _FORMATS.get(command.name, command.name)
        for place in self._map.arguments("format"):
            options = [str(option) for option in place.slot.options]
            wanted = next((o for o in options if o.lower() in (command.name, suffix)), None)
            if wanted is not None:
                self._fill(place, wanted)
                return True
        written = [
            (str(step["id"]), slot.name, str(value))
            for step in steps_of(self._document)
            if (profile := self._map.profile(step)) is not None
            for slot in profile.slots
            if slot.kind is SlotKind.PATH and slot.writes
            for value in [_args(step).get(slot.name)]
            if isinstance(value, str) and extension(value)
        ]
        if len(written) != 1:
            return False
        name, key, path = written[0]
        arguments: Any = self._step(name)["args"]
        arguments[key] = path[: -len(extension(path))] + suffix
        self._notes.append(f"{name}: {key} is {arguments[key]} now.")
        self._doubts.append(f"Only the name of the file says {suffix}: read what {name} writes.")
        return True


def _args(step: JsonObject) -> JsonObject:
    given = step.get("args")
    return given if isinstance(given, dict) else {}


def _sorting(map_: Map, step: JsonObject) -> list[Place]:
    """Return the arguments that say how a step orders, none if it does not."""
    profile = map_.profile(step)
    slots = profile.slots if profile is not None else ()
    sorts = profile is not None and "sort" in profile.tool.name.lower()
    ordered = any(slot.name in _ORDERS for slot in slots)
    if not (sorts or ordered):
        return []
    names = (*_ORDERS, *_SORTED_BY)
    found = [slot for slot in slots if slot.name in names]
    return [Place(step=str(step["id"]), name=slot.name, slot=slot) for slot in found]


def _order(place: Place, descending: bool) -> str:
    """Return how an argument says a direction."""
    if place.slot.options:
        wanted = "desc" if descending else "asc"
        return next(
            (str(o) for o in place.slot.options if str(o).lower().startswith(wanted)), wanted
        )
    upward = place.name in ("ascending", "asc")
    return "false" if descending == upward else "true"


def as_literal(text: str) -> str:
    """Return a text that means itself, also where it looks like a reference."""
    return text.replace(OPEN, ESCAPED)


def _escaped(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return as_literal(value)
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return value


def _json(text: str) -> JsonValue:
    return int(text) if re.fullmatch(r"\d{1,6}", text.strip()) else text


def _canonical(document: JsonObject, command: Put) -> JsonObject:
    """Return a document whose policies are written as they are stored. Raises: PlanningError."""
    from pydantic import ValidationError

    try:
        return Flow.model_validate(document).document()
    except (ValidationError, DefinitionError, InvalidValue) as error:
        raise PlanningError(
            f"{command.name} cannot be {command.value!r:.100}", code="edit_value"
        ) from error
